"""Trajectories in memory as the groups of runs that stages work on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from mdbench.errors import InputError
from mdbench.stages.loaded import LoadedRun, OpenRun
from mdbench.stages.runs import Group, n_atoms_of, same_temperature
from mdbench.trajectory import Trajectory

#: One run, or replicas.
Runs = Trajectory | Sequence[Trajectory]


@dataclass(frozen=True)
class Loaded:
    """Replicas in memory.

    Attributes:
        group: As stages know them; their paths are names.
        runs: By these names.
    """

    group: Group
    runs: dict[Path, LoadedRun]

    def opened(self, path: Path) -> AbstractContextManager[OpenRun]:
        """A run by its name."""
        return nullcontext(self.runs[path])


def replicas_of(runs: Runs, what: str) -> list[Trajectory]:
    """The runs as a list.

    Args:
        runs: One or several.
        what: Their name in errors, as "run".

    Raises:
        InputError: None, or something else than trajectories.
    """
    found = [runs] if isinstance(runs, Trajectory) else list(runs)
    if not found:
        raise InputError(f"{what}s", expected="a Trajectory or several", found="none")
    for number, each in enumerate(found, start=1):
        if not isinstance(each, Trajectory):
            raise InputError(
                f"{what} {number}",
                expected="a Trajectory",
                found=type(each).__name__,
                remedy="mdbench.read_trajectory reads a file",
            )
    return found


def loaded(runs: Runs, what: str = "run", temperature_k: float | None = None) -> Loaded:
    """Replicas as stages know them.

    Args:
        runs: One or several of the same atoms.
        what: Their name in errors: "run 1" is the first.
        temperature_k: That of all; by default what the first one states.

    Raises:
        InputError: Replicas of other atoms or at another temperature.
    """
    found = replicas_of(runs, what)
    known = found[0].provenance
    n_atoms = n_atoms_of(found[0].atomic_numbers)
    stated = known.temperature_k if temperature_k is None else temperature_k
    for number, each in enumerate(found, start=1):
        own = each.provenance.temperature_k
        unknown = own is None and temperature_k is not None
        if not unknown and not same_temperature(own, stated):
            raise InputError(
                f"{what} {number}: temperatures contradict each other",
                expected=f"{stated} K",
                found=f"{own} K, as its provenance says",
            )
        if n_atoms_of(each.atomic_numbers) != n_atoms:
            raise InputError(
                f"{what} {number}: replica with other atoms",
                expected=f"those of {what} 1, {found[0].n_atoms} atoms of {found[0].formula}",
                found=f"{each.n_atoms} atoms of {each.formula}",
            )
    named = {Path(f"{what} {i}"): LoadedRun(each, f"{what} {i}") for i, each in enumerate(found, 1)}
    group = Group(
        source=known.label or "ingested",
        material=known.material or found[0].formula,
        temperature_k=stated,
        paths=tuple(named),
        provenance=known,
        n_atoms=n_atoms,
    )
    return Loaded(group, named)
