"""Whether results of several runs may stand in one table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mdbench.errors import InputError
from mdbench.store import Result

#: Settings on which numbers depend, by what they belong to; of a dataset in each material.
_SETTINGS = {
    "rdf": ("r_max", "dr", "skip_ps", "stride", "threshold"),
    "conductivity": ("estimator", "smoothing", "at", "skip_ps", "stride", "mobile", "charge"),
    "evaluate": ("split", "stride"),
    "dataset": ("sampling", "fraction"),
}
#: Runs whose lengths differ by more than this share are of other length.
_SAME_LENGTH = 0.01


@dataclass(frozen=True)
class Setting:
    """The value of a setting in a file.

    Attributes:
        name: As "rdf dr".
        value: Plain JSON.
        file: That was made with it.
    """

    name: str
    value: Any
    file: str

    @property
    def shown(self) -> str:
        """The value, as it is shown."""
        return "the default" if self.value is None else str(self.value)


@dataclass
class Conditions:
    """Under what conditions the results of a run were made.

    Attributes:
        run: Name of the run.
        settings: All that numbers depend on.
        references: sha256 of the reference's runs by material.
        synthetic: Whether a material's reference is made up, by material.
        length_ps: Length of the longest run of a model after equilibration; None is unknown.
    """

    run: str
    settings: list[Setting] = field(default_factory=list)
    references: dict[str, frozenset[str]] = field(default_factory=dict)
    synthetic: dict[str, bool] = field(default_factory=dict)
    length_ps: float | None = None

    def add(self, stage: str, config: Mapping[str, Any], file: str, material: str = "") -> None:
        """Takes down the settings of a result; none of other stages."""
        for key in _SETTINGS.get(stage, ()):
            name = f"{stage} {material} {key}" if material else f"{stage} {key}"
            self.settings.append(Setting(name, config.get(key), file))

    def add_length(self, conductivity: Result) -> None:
        """Takes down how long the runs of a model are."""
        for point in conductivity.attributes["document"]["temperatures"]:
            length = float(point["length_ps"]) / int(point["n_runs"])
            self.length_ps = max(length, self.length_ps or 0.0)


def check_together(runs: Sequence[Conditions]) -> list[str]:
    """What a reader of one table of all these runs should know.

    Raises:
        InputError: Synthetic beside real references, or other settings: no such table can be.
    """
    notes = []
    for one, other in _differing(s for run in runs for s in run.settings):
        if len(runs) > 1:
            raise InputError(
                f"{one.name} is not the same in all runs",
                expected=f"one value: {one.shown} in {one.file}",
                found=f"{other.shown} in {other.file}",
                remedy="report them apart, or make one again",
            )
        notes.append(
            f"{one.name} is not the same in all results: {one.shown} in {one.file}, "
            f"{other.shown} in {other.file}"
        )
    return [*notes, *_synthetic_notes(runs), *_reference_notes(runs), *_length_notes(runs)]


def _differing(settings: Iterable[Setting]) -> Iterator[tuple[Setting, Setting]]:
    """The first file of each setting and the first that has another value."""
    first: dict[str, Setting] = {}
    told = set()
    for setting in settings:
        known = first.setdefault(setting.name, setting)
        if json.dumps(known.value) != json.dumps(setting.value) and setting.name not in told:
            told.add(setting.name)
            yield known, setting


def _synthetic_notes(runs: Sequence[Conditions]) -> list[str]:
    known = [run for run in runs if run.synthetic]
    for run in known[1:]:
        first = known[0]
        shared = first.synthetic.keys() & run.synthetic.keys()
        other_kinds = set(first.synthetic.values()) != set(run.synthetic.values())
        if other_kinds or any(first.synthetic[m] != run.synthetic[m] for m in shared):
            raise InputError(
                "synthetic and real references in one table",
                expected=f"one kind: {_kinds(first)} in {first.run}",
                found=f"{_kinds(run)} in {run.run}",
                remedy="report them apart",
            )
    mixed = {m: kind for run in known for m, kind in run.synthetic.items()}
    if len(set(mixed.values())) < 2:
        return []
    names = ", ".join(sorted(m for m, kind in mixed.items() if kind))
    return [f"the reference is synthetic for {names}, and not for the other materials"]


def _kinds(run: Conditions) -> str:
    words = {True: "synthetic", False: "real"}
    return " and ".join(words[kind] for kind in sorted(set(run.synthetic.values())))


def _reference_notes(runs: Sequence[Conditions]) -> list[str]:
    notes = []
    for material in dict.fromkeys(m for run in runs for m in run.references):
        have = [run for run in runs if material in run.references]
        if len({run.references[material] for run in have}) > 1:
            names = ", ".join(run.run for run in have)
            notes.append(
                f"the reference runs of {material} are not the same files in {names}: each model "
                "is held against those of its own run"
            )
    return notes


def _length_notes(runs: Sequence[Conditions]) -> list[str]:
    known = [(run.run, run.length_ps) for run in runs if run.length_ps is not None]
    lengths = [length for _, length in known]
    if not known or max(lengths) <= (1.0 + _SAME_LENGTH) * min(lengths):
        return []
    shown = ", ".join(f"{length:.3g} ps in {name}" for name, length in known)
    return [f"the runs of the models differ in length (after equilibration): {shown}"]
