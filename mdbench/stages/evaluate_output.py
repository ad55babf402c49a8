"""Errors of a force field as JSON, text, CSV, HDF5 and figure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.accuracy import Accuracy, EnergyErrors, Predictions
from mdbench.reporting.tables import Cell, text_table
from mdbench.stats import Estimate
from mdbench.store import Dataset, Input, read_result, write_result
from mdbench.table import Table

if TYPE_CHECKING:
    from mdbench.reporting.accuracy_figure import ParityPoints

FloatArray = NDArray[np.float64]

#: Force components that are kept for figures.
_MOST_COMPONENTS = 20_000
#: Where files keep quantities.
_QUANTITIES = "quantities/"
#: Units as they are printed, and as files state them.
_UNITS = {"meV/atom": "meV", "meV/A": "meV Angstrom-1", "deg": "deg", "": ""}
_PRINTED = {stored: printed for printed, stored in _UNITS.items()}


@dataclass(frozen=True)
class Failure:
    """That a force field gave no finite answer.

    Attributes:
        n_frames: To how many frames.
        run: The first of them: name of its trajectory …
        frame: … and its number there.
    """

    n_frames: int
    run: str
    frame: int


@dataclass(frozen=True)
class Parity:
    """Predicted and reference numbers for figures.

    Attributes:
        energies: (n_frames, 2) meV/atom, predicted and reference.
        temperatures_k: (n_frames,) K, NaN is unknown.
        forces: (n, 2) eV/Å, predicted and reference components, drawn at random from all.
        atomic_numbers: (n,) of the atoms that they act on.
    """

    energies: FloatArray
    temperatures_k: FloatArray
    forces: FloatArray
    atomic_numbers: NDArray[np.int64]


@dataclass(frozen=True)
class Evaluated:
    """The errors of a force field for one material.

    Attributes:
        source: Name of the force field, as tables show it.
        label: As provenance states it.
        material: Name of the material.
        split: Of the dataset; None where trajectories were read.
        stride: Every how many frames.
        reference: What the reference forces came from; None is unknown.
        files: What was read.
        n_atoms, n_frames, n_runs: How much.
        failure: Set where a prediction is not finite; then there are no quantities.
        quantities: By path, as `forces/per_element/Li/mae`.
        parity: For figures.
    """

    source: str
    label: str
    material: str
    split: str | None
    stride: int
    reference: str | None
    files: tuple[str, ...]
    n_atoms: int
    n_frames: int
    n_runs: int
    failure: Failure | None
    quantities: Mapping[str, Estimate]
    parity: Parity

    @property
    def name(self) -> str:
        """Force field, material and split in one line."""
        return f"{self.source}: {self.material}" + (f", {self.split}" if self.split else "")


def quantities_of(found: Accuracy) -> dict[str, Estimate]:
    """All quantities by their path, sorted."""
    nested = {
        "energy": {
            **vars(found.energy.raw),
            "spearman": found.energy.spearman,
            "shift": found.shift,
            "per_temperature": _by_temperature(found.energy_per_temperature, "raw"),
            "shift_removed": {
                **vars(found.energy.shift_removed),
                "per_temperature": _by_temperature(found.energy_per_temperature, "shift_removed"),
            },
        },
        "forces": {
            **vars(found.forces),
            "per_axis": {axis: vars(e) for axis, e in found.per_axis.items()},
            "per_element": {symbol: vars(e) for symbol, e in found.per_element.items()},
            "per_temperature": {f"{t:g}": vars(e) for t, e in found.per_temperature.items()},
            "magnitude": vars(found.magnitude),
            "angle": {"mean": found.angle_mean, "median": found.angle_median},
        },
    }
    return dict(sorted(_flat(nested, "")))


def _by_temperature(found: Mapping[float, EnergyErrors], side: str) -> dict[str, Any]:
    ranks = {t: {"spearman": e.spearman} if side == "raw" else {} for t, e in found.items()}
    return {f"{t:g}": {**vars(getattr(e, side)), **ranks[t]} for t, e in found.items()}


def _flat(nested: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Estimate]]:
    for key, value in nested.items():
        if isinstance(value, Estimate):
            yield prefix + key, value
        else:
            yield from _flat(value, f"{prefix}{key}/")


def parity(predictions: Predictions) -> Parity:
    """All energies, and a sample of the force components, the same at each call."""
    p = predictions
    n = p.forces.size
    chosen = np.arange(n)
    if n > _MOST_COMPONENTS:
        chosen = np.sort(np.random.default_rng(0).choice(n, _MOST_COMPONENTS, replace=False))
    return Parity(
        energies=np.stack(p.per_atom, axis=1),
        temperatures_k=p.temperatures_k,
        forces=np.stack([p.forces.ravel()[chosen], p.reference_forces.ravel()[chosen]], axis=1),
        atomic_numbers=p.atomic_numbers[chosen // 3 % len(p.atomic_numbers)],
    )


def group_json(result: Evaluated) -> dict[str, Any]:
    """One material as plain JSON values (docs/cli.md, keys of `evaluate`)."""
    document: dict[str, Any] = {
        "source": result.source,
        "material": result.material,
        "split": result.split,
        "n_atoms": result.n_atoms,
        "n_frames": result.n_frames,
        "n_runs": result.n_runs,
        "failure": None if result.failure is None else asdict(result.failure),
        "energy": None,
        "forces": None,
        "settings": {
            "force_field": result.label,
            "reference": result.reference,
            "data": list(result.files),
            "split": result.split,
            "stride": result.stride,
        },
    }
    for path, estimate in result.quantities.items():
        *folders, name = path.split("/")
        place = document
        for folder in folders:
            if place.get(folder) is None:
                place[folder] = {}
            place = place[folder]
        place[name] = estimate.as_json()
    return document


def group_text(result: Evaluated) -> str:
    """One material as a table."""
    size = f"{result.n_runs} run(s), {result.n_frames} frames, {result.n_atoms} atoms"
    head = f"{result.name}, {size}"
    if result.failure is not None:
        failed = result.failure
        where = f"first frame {failed.frame} of {failed.run}"
        return f"{head}\nfailed: no finite prediction of {failed.n_frames} frames, {where}"
    found = result.quantities
    removed = "energy/shift_removed"
    rows = [_row("energy (meV/atom)", found, "energy"), _row("  shift removed", found, removed)]
    by_temperature = f"{removed}/per_temperature"
    rows += [_row(f"  {t} K", found, f"{by_temperature}/{t}") for t in _keys(found, by_temperature)]
    rows.append(_row("forces (meV/A)", found, "forces"))
    for part, unit in (("per_axis", ""), ("per_element", ""), ("per_temperature", " K")):
        folder = f"forces/{part}"
        rows += [_row(f"  {key}{unit}", found, f"{folder}/{key}") for key in _keys(found, folder)]
    rows.append(_row("  magnitude", found, "forces/magnitude"))
    header = ("absolute error", "mean", "low", "high", "median", "99 %", "max", "RMSE", "R2")
    facts = [
        f"shift {_stated(found['energy/shift'])}",
        f"rank correlation of energies {_stated(found['energy/spearman'])}",
        f"angle between forces {_stated(found['forces/angle/mean'])}",
    ]
    return f"{head}\n{text_table(header, rows)}\n{'; '.join(facts)}"


def _keys(found: Mapping[str, Estimate], folder: str) -> list[str]:
    """Names within a folder of the paths; temperatures from cold to hot."""
    start = folder + "/"
    names = {path[len(start) :].split("/")[0] for path in found if path.startswith(start)}
    return sorted(names, key=float if folder.endswith("per_temperature") else str)


def _row(name: str, found: Mapping[str, Estimate], folder: str) -> list[Cell]:
    mae = found[f"{folder}/mae"]
    others = [found[f"{folder}/{key}"].value for key in ("median", "p99", "max", "rmse")]
    shown = [_three(x) for x in (mae.value, mae.low, mae.high, *others)]
    r2 = found[f"{folder}/r2"].value
    return [name, *shown, f"{r2:.4f}" if r2 is not None and r2 > -10.0 else _three(r2)]


def _three(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _stated(estimate: Estimate) -> str:
    if estimate.value is None:
        return "undefined"
    limits = (
        ""
        if estimate.low is None or estimate.high is None
        else (f" ({_three(estimate.low)} to {_three(estimate.high)})")
    )
    return f"{_three(estimate.value)}{limits} {estimate.unit}".rstrip()


def write_evaluated(
    path: Path, result: Evaluated, settings: Mapping[str, Any], inputs: Sequence[Input]
) -> None:
    """Writes a result as a file of kind `accuracy`."""
    frames, points = ("frame",), ("component",)
    sides = ("predicted reference",)
    shown = result.parity
    datasets = {
        _QUANTITIES + name: Dataset(
            np.array([math.nan if x is None else x for x in (e.value, e.low, e.high)]),
            _UNITS[e.unit],
            ("value low high",),
        )
        for name, e in result.quantities.items()
    }
    datasets |= {
        "parity/energies": Dataset(shown.energies, "meV", frames + sides),
        "parity/temperature_k": Dataset(shown.temperatures_k, "K", frames),
        "parity/forces": Dataset(shown.forces, "eV Angstrom-1", points + sides),
        "parity/atomic_numbers": Dataset(shown.atomic_numbers, "", points),
    }
    attributes: dict[str, Any] = {
        f.name: getattr(result, f.name)
        for f in fields(result)
        if f.name not in ("quantities", "parity", "failure")
    }
    attributes["failure"] = None if result.failure is None else asdict(result.failure)
    write_result(path, "accuracy", datasets, attributes=attributes, config=settings, inputs=inputs)


def read_evaluated(path: Path) -> tuple[Evaluated, dict[str, Any], list[Input]]:
    """A result, its settings, and what it was made from."""
    stored = read_result(path, "accuracy")
    known = dict(stored.attributes)
    quantities = {}
    for place in sorted(name for name in stored.datasets if name.startswith(_QUANTITIES)):
        value, low, high = (None if math.isnan(x) else float(x) for x in stored.datasets[place])
        unit = _PRINTED[stored.units[place]]
        quantities[place.removeprefix(_QUANTITIES)] = Estimate(value, low, high, unit)
    failure = known.pop("failure")
    result = Evaluated(
        **{**known, "files": tuple(known["files"])},
        failure=None if failure is None else Failure(**failure),
        quantities=quantities,
        parity=Parity(
            stored.datasets["parity/energies"],
            stored.datasets["parity/temperature_k"],
            stored.datasets["parity/forces"],
            stored.datasets["parity/atomic_numbers"],
        ),
    )
    return result, stored.config, stored.inputs


def results_table(results: Sequence[Evaluated]) -> Table:
    """One row per material and quantity."""
    header = ("source", "material", "split", "of", "quantity", "value", "low", "high", "unit")
    rows: list[list[Cell]] = []
    for result in results:
        for name, e in result.quantities.items():
            of, _, quantity = name.rpartition("/")
            known: list[Cell] = [result.source, result.material, result.split]
            rows.append([*known, of, quantity, e.value, e.low, e.high, e.unit])
    return Table(header, rows)


def draw(path: Path, results: Sequence[Evaluated]) -> None:
    """Writes the parity figure of the materials that have one."""
    from mdbench.reporting.accuracy_figure import accuracy_figure
    from mdbench.reporting.figures import save

    sound = [points_of(result) for result in results if result.failure is None]
    save(accuracy_figure(sound), path)


def points_of(result: Evaluated) -> ParityPoints:
    """What the parity figure shows of a material without a failure."""
    from ase.data import chemical_symbols

    from mdbench.reporting.accuracy_figure import ParityPoints

    shown, found = result.parity, result.quantities
    elements = _keys(found, "forces/per_element")
    return ParityPoints(
        title=f"{result.name}, {result.n_frames} frames",
        energies=shown.energies[:, 0],
        reference_energies=shown.energies[:, 1],
        temperatures_k=shown.temperatures_k,
        forces=shown.forces[:, 0],
        reference_forces=shown.forces[:, 1],
        elements=np.array(chemical_symbols)[shown.atomic_numbers],
        energy_mae=found["energy/shift_removed/mae"],
        force_mae={
            "all": found["forces/mae"],
            **{symbol: found[f"forces/per_element/{symbol}/mae"] for symbol in elements},
        },
    )
