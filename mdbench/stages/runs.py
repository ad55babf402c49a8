"""Which trajectories an analysis works on: files that were named, or those of a run folder."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from mdbench.errors import InputError, suggest
from mdbench.stages.loaded import Opener, OpenRun
from mdbench.store import TrajectoryFile
from mdbench.trajectory import Provenance, reduced_formula
from mdbench.units import FS_IN_PS

#: Where a run folder keeps trajectories.
_PLACES = ("reference/*/*.h5", "rollouts/*/*/*.h5")
#: Temperatures that differ by less are one, K.
_SAME_TEMPERATURE = 0.5
#: Runs of at least this length leave out the first of these; shorter ones a share (ps).
_LONG_RUN_PS, _LONG_RUN_SKIP_PS, _SHORT_RUN_SHARE = 50.0, 15.0, 0.3


@dataclass(frozen=True)
class Group:
    """Trajectories of one source, material and temperature: replicas of each other.

    Attributes:
        source: Name of the source, as tables show it.
        material: As stated, else the reduced formula.
        temperature_k: None is unknown.
        paths: The files.
        provenance: Of the first of them.
        n_atoms: Number of atoms of each element.
    """

    source: str
    material: str
    temperature_k: float | None
    paths: tuple[Path, ...]
    provenance: Provenance
    n_atoms: Mapping[str, int]

    @property
    def name(self) -> str:
        """Source, material and temperature in one line."""
        shown = "" if self.temperature_k is None else f", {self.temperature_k:g} K"
        return f"{self.source}: {self.material}{shown}"


class EndedEarlyError(InputError):
    """All runs of a group ended before there was anything to analyze.

    Args:
        group: The runs.
        reasons: Why each of them ended.
    """

    def __init__(self, group: Group, reasons: Sequence[str]) -> None:
        super().__init__(
            "nothing to analyze",
            where=group.name,
            expected="a run that reaches its end",
            found=reasons[0],
        )
        self.reasons = tuple(reasons)


def expand(names: Iterable[Path]) -> list[Path]:
    """Files by name or glob pattern, in order, each once."""
    found: list[Path] = []
    for name in names:
        matches = [name]
        if not name.exists() and glob.has_magic(str(name)):
            matches = [Path(match) for match in sorted(glob.glob(str(name)))]  # noqa: PTH207
            if not matches:
                raise InputError("no file has such a name", where=name)
        found.extend(path for path in matches if path not in found)
    return found


def trajectories_in(run: Path, sources: Sequence[str] = ()) -> list[Path]:
    """The trajectories of a run folder, or of some of its sources.

    Args:
        run: The folder.
        sources: As `reference` or `schnet-s0`; none means all.
    """
    found = [path for place in _PLACES for path in sorted(run.glob(place))]
    if not found:
        raise InputError(
            "no trajectories in this run folder",
            where=run,
            remedy="name files, as `mdbench rdf traj.h5`, or a folder with --run",
        )
    known = {_source(path, run) for path in found}
    for name in sources:
        if name not in known:
            raise InputError(
                f"no trajectories of the source {name!r}", where=run, remedy=suggest(name, known)
            )
    return [path for path in found if not sources or _source(path, run) in sources]


def without(paths: Sequence[Path], others: Sequence[Path], folder: Path) -> list[Path]:
    """The trajectories of a run folder without those that they are held against."""
    reference = {path.resolve() for path in others}
    kept = [path for path in paths if path.resolve() not in reference]
    if not kept:
        raise InputError(
            "nothing to hold against the reference",
            where=folder,
            expected="other trajectories than those of --against",
        )
    return kept


def grouped(paths: Sequence[Path], *, run: Path | None = None) -> list[Group]:
    """The files by source and material in the order of their first file, then by temperature."""
    groups: list[Group] = []
    for path in paths:
        with TrajectoryFile(path) as file:
            known = file.provenance
            formula = reduced_formula(file.atomic_numbers)
            n_atoms = n_atoms_of(file.atomic_numbers)
        new = Group(
            source=(None if run is None else _source(path, run)) or known.label or "ingested",
            material=known.material or formula,
            temperature_k=known.temperature_k,
            paths=(path,),
            provenance=known,
            n_atoms=n_atoms,
        )
        place = next((i for i, group in enumerate(groups) if _replicas(group, new)), None)
        if place is None:
            groups.append(new)
            continue
        old = groups[place]
        if n_atoms != old.n_atoms:
            raise InputError(
                "replicas with other atoms",
                where=path,
                expected=f"the {sum(old.n_atoms.values())} atoms of {old.paths[0]}",
                found=f"{sum(n_atoms.values())} atoms, {formula}",
                remedy="name the materials apart with `mdbench ingest --material`",
            )
        groups[place] = replace(old, paths=(*old.paths, path))
    names = [(group.source, group.material) for group in groups]
    return sorted(
        groups, key=lambda g: (names.index((g.source, g.material)), g.temperature_k or 0.0)
    )


def _replicas(a: Group, b: Group) -> bool:
    if (a.source, a.material) != (b.source, b.material):
        return False
    return same_temperature(a.temperature_k, b.temperature_k)


def same_temperature(a: float | None, b: float | None) -> bool:
    """Whether two temperatures (K) are one; an unknown one is only the same as another unknown."""
    if a is None or b is None:
        return a is b
    return abs(a - b) < _SAME_TEMPERATURE


def first_frame(file: OpenRun, skip_ps: float | None) -> tuple[int, float]:
    """The first frame after equilibration, and the time that is left out, ps.

    Args:
        file: A trajectory.
        skip_ps: Time to leave out; None is `default_skip_ps`.
    """
    interval = file.frame_interval_fs
    if interval is None:
        if skip_ps and file.n_frames > 1:
            raise InputError("--skip-ps", expected="a trajectory with a time axis", found="none")
        return 0, 0.0
    times = file.times_ps - file.times_ps[0]
    if skip_ps is None:
        skip_ps = default_skip_ps(float(times[-1]) + interval * FS_IN_PS)
    first = int(np.searchsorted(times, skip_ps - 1e-9))
    if first >= file.n_frames:
        raise InputError(
            "no frames left after equilibration",
            expected=f"a run longer than {skip_ps:g} ps",
            found=f"{times[-1]:g} ps",
            remedy="a smaller --skip-ps",
        )
    return first, skip_ps


def ended_early(
    paths: Sequence[Path], skip_ps: float | None, stride: int, least: int, opened: Opener
) -> dict[Path, str]:
    """Why runs that broke off are left out: too few frames, or fewer than half of the longest.

    Args:
        paths: Of replicas.
        skip_ps: Equilibration to leave out.
        stride: Every so many frames are used.
        least: Frames that are enough for an analysis.
        opened: How a run is opened.
    """
    n_frames, reasons = dict.fromkeys(paths, 0), {}
    for path in paths:
        with opened(path) as file:
            if file.provenance.end_reason is not None:
                reasons[path] = f"{path.name}: {file.provenance.end_reason}"
            if file.frame_interval_fs is not None:
                with suppress(InputError):  # it ended before its equilibration did
                    first, _ = first_frame(file, skip_ps)
                    n_frames[path] = len(range(first, file.n_frames, stride))
    enough = max(least, max(n_frames.values()) // 2)
    return {path: reason for path, reason in reasons.items() if n_frames[path] < enough}


def default_skip_ps(length_ps: float) -> float:
    """Equilibration to leave out, ps: 15 of runs of 50 or more, else 30 % of the run."""
    if length_ps >= _LONG_RUN_PS - 1e-6:
        return _LONG_RUN_SKIP_PS
    return _SHORT_RUN_SHARE * length_ps


def n_atoms_of(atomic_numbers: NDArray[np.int64]) -> dict[str, int]:
    """Number of atoms of each element, by symbol."""
    numbers, counts = np.unique(atomic_numbers, return_counts=True)
    symbols = (chemical_symbols[z] for z in numbers)
    return dict(zip(symbols, counts.tolist(), strict=True))


def _source(path: Path, run: Path) -> str:
    """In a run folder the place of a file names its source."""
    parts = path.relative_to(run).parts
    return "reference" if parts[0] == "reference" else parts[1]
