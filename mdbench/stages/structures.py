"""The structures that force fields are asked about: of a crystal, a file, a reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mdbench.errors import InputError, suggest
from mdbench.potentials.materials import MATERIALS, Material, known_as, material
from mdbench.store import TrajectoryFile


def structure_of(name: str, folder: Path) -> Material:
    """A crystal by name, a structure file, or a material of which the run folder has a reference.

    The structure of a reference is its first frame. Where it has the name of a crystal, it is the
    crystal's, and must be of the same atoms.
    """
    if Path(name).is_file():
        return material(name)
    own = sorted({path.parent.name for path in folder.glob("reference/*/*.h5")})
    known = name if name in own else known_as(name, own)
    if known is not None and known not in MATERIALS:
        return _frame_of(_trajectories(folder, known)[0], known, 0)
    try:
        structure = material(name)
    except InputError:
        raise InputError(
            f"material {name!r}",
            expected="a known name, one in reference/ of the run folder, or a structure file",
            remedy=suggest(name, {*MATERIALS, *own}),
        ) from None
    for path in _trajectories(folder, structure.name)[:1]:
        _check_atoms(structure, _frame_of(path, structure.name, 0), path)
    return structure


def end_of_reference(
    folder: Path, structure: Material, temperature_k: float, replica: int
) -> Material:
    """The last frame of the reference's run of the same number, counted around where fewer."""
    place = folder / "reference" / structure.name
    paths = _trajectories(folder, structure.name, f"{temperature_k:g}K-r*.h5")
    if not paths:
        raise InputError(
            f"--start reference: no run at {temperature_k:g} K",
            where=place,
            remedy="`mdbench reference` makes them",
        )
    path = paths[replica % len(paths)]
    last = _frame_of(path, structure.name, -1)
    _check_atoms(structure, last, path)
    return last


def _trajectories(folder: Path, name: str, pattern: str = "*.h5") -> list[Path]:
    """The reference's trajectories of a material, r10 after r9."""
    paths = (folder / "reference" / name).glob(pattern)
    return sorted(paths, key=lambda path: (len(path.name), path.name))


def _frame_of(path: Path, name: str, index: int) -> Material:
    """A frame of a trajectory; −1 is the last one."""
    with TrajectoryFile(path) as file:
        if not file.pbc.all():
            raise InputError("not periodic", where=path, expected="a crystal")
        start = index % file.n_frames
        frame = file.read(start, start + 1)
    return Material(
        name=name,
        formula=frame.formula,
        atomic_numbers=np.asarray(frame.atomic_numbers, dtype=np.int64),
        positions=np.asarray(frame.positions[0], dtype=np.float64),
        cell=np.asarray(frame.cells[0], dtype=np.float64),
        source=f"{'last' if index else 'first'} frame of {path.name}",
    )


def _check_atoms(structure: Material, frame: Material, path: Path) -> None:
    """Refuses a reference of other atoms; their order is its own."""
    ours, theirs = np.sort(structure.atomic_numbers), np.sort(frame.atomic_numbers)
    if not np.array_equal(ours, theirs):
        raise InputError(
            "other atoms",
            where=path,
            expected=f"{len(ours)} atoms of {structure.formula}, as {structure.name} has",
            found=f"{len(theirs)} of {frame.formula}",
            remedy="give that reference a name of its own",
        )
