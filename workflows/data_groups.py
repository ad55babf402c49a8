"""What belongs together of a user's trajectories: materials, temperatures, replicas, pieces.

Whatever cannot be told is refused, with what to write into runs.yaml.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from ase.geometry import cell_to_cellpar

from mdbench.config import IngestConfig
from mdbench.errors import InputError
from mdbench.stages.runs import same_temperature

from .data_files import OWN, Look, bare_name
from .data_yaml import NAMES

#: `800K`, `800_K`, `T800`, `temp_800K` in the name of a file or folder.
_TEMPERATURE = re.compile(
    r"(?<![0-9A-Za-z.])(\d{2,4}(?:\.\d+)?)[ _-]?K(?![0-9A-Za-z])"
    r"|(?<![0-9A-Za-z])(?:T|[Tt]emp(?:erature)?)[ _=-]?(\d{2,4}(?:\.\d+)?)K?(?![0-9A-Za-z])"
)
#: Pieces of one run by name, replicas by name, and names that say that a run goes on.
_PIECE = re.compile(r"(?i)(?<![a-z])(?:part|piece|seg|segment|chunk)[ ._-]?(\d+)(?![0-9a-z])")
_REPLICA = re.compile(r"(?i)(?<![a-z])(?:r|rep|replica|replicate|seed|copy)[ ._-]?\d+(?![0-9a-z])")
_GOES_ON = re.compile(
    r"(?i)(?<![a-z])(?:part|piece|seg|segment|chunk|cont|continued?|continuation|restart|rst|"
    r"extend|extended)(?![a-z])"
)
#: Cells of one material agree so well, relative and in degrees: thermal expansion is less.
_SAME_LENGTH, _SAME_ANGLE = 0.05, 5.0


@dataclass(frozen=True)
class Run:
    """A run as it was found or listed.

    Attributes:
        looks: What each of its files says.
        config: Settings of `mdbench ingest`.
        shown: Its first file, below the place that was searched.
        stated: Its files were listed, not found.
        material: Name of its material.
        temperature_k: Its temperature.
    """

    looks: tuple[Look, ...]
    config: IngestConfig
    shown: str
    stated: bool
    material: str
    temperature_k: float

    @property
    def first(self) -> Look:
        """What its first file says."""
        return self.looks[0]


def temperature_of(
    looks: Sequence[Look], stated_k: float | None, names: Iterable[str], *, own: bool
) -> float:
    """The temperature of a run: of its files, as stated, or of the names in its path, K.

    Args:
        looks: What its files say.
        stated_k: As the YAML file says.
        names: Of its files and the folders above them.
        own: What is stated is said of this run alone, and wins over names.

    Raises:
        InputError: None is known, or two that differ.
    """
    first = looks[0]
    said = [(one.path.name, one.temperature_k) for one in looks]
    said.append((NAMES[0], stated_k))
    if stated_k is None or not own:
        found = [(name, match) for name in names for match in _TEMPERATURE.finditer(name)]
        said += [(f"the name {name!r}", float(match[1] or match[2])) for name, match in found]
    known = [(who, t) for who, t in said if t is not None]
    if not known:
        raise InputError(
            "temperature unknown",
            where=first.path,
            remedy="name its folder after it, as 800K, or write `temperature: 800` in runs.yaml",
        )
    who, temperature_k = known[0]
    for other, t in known[1:]:
        if not same_temperature(t, temperature_k):
            raise InputError(
                "two temperatures",
                where=first.path,
                found=f"{temperature_k:g} K ({who}) and {t:g} K ({other})",
                remedy="rename it, or list the run with its `temperature:` in runs.yaml",
            )
    if first.format == OWN and first.temperature_k is None:
        raise InputError(
            "temperature not in the trajectory",
            where=first.path,
            remedy="ingest it again with --temperature",
        )
    return temperature_k


def check_pieces(looks: Sequence[Look]) -> None:
    """Refuses to join what is no sequence: other atoms, the same beginning, files of ours."""
    for one, other in combinations(looks, 2):
        if OWN in (one.format, other.format):
            raise InputError(
                "a trajectory of mdbench is a run of its own",
                where=one.path if one.format == OWN else other.path,
                remedy="list it alone",
            )
        if not np.array_equal(one.atomic_numbers, other.atomic_numbers):
            raise InputError(f"other atoms than in {one.path}", where=other.path)
        if one.same_frames(other):
            raise InputError(
                f"begins as {one.path}",
                where=other.path,
                expected="a file that goes on where the one before ends",
                remedy="runs that begin alike are replicas: list each as a run of its own",
            )


def check_material(runs: Sequence[Run]) -> None:
    """Refuses other atoms or other cells under one name, and a run that stands there twice."""
    known = runs[0].first
    for run in runs[1:]:
        other = run.first
        if not np.array_equal(known.atomic_numbers, other.atomic_numbers):
            expected = f"the {len(known.atomic_numbers)} atoms of {known.path}"
            found = f"{len(other.atomic_numbers)} atoms"
            if sorted(known.atomic_numbers) == sorted(other.atomic_numbers):
                found = "its atoms in another order"
        elif run.config.material is None and not _same_cell(known, other):
            expected, found = f"about {_cell(known)}, as in {known.path}", f"cell {_cell(other)}"
        else:
            continue
        raise InputError(
            f"{run.material}: another structure of the same name",
            where=other.path,
            expected=expected,
            found=found,
            remedy="list the runs in runs.yaml, each with a `material:` that tells them apart",
        )
    for known, other in combinations([one for run in runs for one in run.looks], 2):
        if known.is_copy_of(other):
            raise InputError(
                f"the same run as {known.path}",
                where=other.path,
                remedy="move one of them away, or list those that are meant in runs.yaml",
            )


def _same_cell(a: Look, b: Look) -> bool:
    """Whether two cells differ no more than by thermal expansion."""
    one, other = (cell_to_cellpar(x.frames.cells[0]) for x in (a, b))
    apart = np.abs(one - other)
    return bool((apart[:3] <= _SAME_LENGTH * one[:3]).all() and (apart[3:] <= _SAME_ANGLE).all())


def _cell(one: Look) -> str:
    return " ".join(f"{x:.4g}" for x in cell_to_cellpar(one.frames.cells[0]))


def told_apart(runs: Sequence[Run], place: Path) -> list[Run]:
    """Replicas of one material and temperature; pieces of a run are put together by their names.

    Args:
        runs: All of that material and temperature, in order.
        place: The folder that was searched.

    Raises:
        InputError: Runs that may be pieces of one, replicas, or one run twice.
    """
    if len(runs) == 1 or runs[0].stated:
        return list(runs)
    told = _pieces_joined(runs, place)
    if len(told) == 1:
        return told
    for run in told:
        if len(run.looks) == 1 and _GOES_ON.search(run.shown):
            raise _doubt([run, next(other for other in told if other is not run)], place)
    for a, b in combinations(told, 2):
        alike = a.first.same_frames(b.first) > 0
        named = all(_REPLICA.search(run.first.path.name) for run in (a, b))
        neighbors = a.first.path.parent == b.first.path.parent
        if (alike and a.first.format != b.first.format) or (neighbors and not alike and not named):
            raise _doubt([a, b], place)
    return told


def _pieces_joined(runs: Sequence[Run], place: Path) -> list[Run]:
    """The runs, those in one whose paths differ by the number of a piece alone."""
    sequences: dict[str, list[tuple[int, Run]]] = {}
    for run in runs:
        path = Path(run.shown)
        name = str(path.with_name(bare_name(path)))
        numbers = _PIECE.findall(name)
        if len(numbers) == 1:
            sequences.setdefault(_PIECE.sub("#", name), []).append((int(numbers[0]), run))
        else:
            sequences[run.shown] = [(0, run)]
    told = []
    for numbered in sequences.values():
        numbered.sort(key=lambda item: item[0])
        pieces = [run for _, run in numbered]
        if len(pieces) > 1:
            first = min(numbered[0][0], 1)
            if [n for n, _ in numbered] != [*range(first, first + len(pieces))]:
                raise _doubt(pieces, place)
            looks = tuple(run.first for run in pieces)
            check_pieces(looks)
            pieces = [dataclasses.replace(pieces[0], looks=looks)]
        told += pieces
    return told


def _doubt(runs: Sequence[Run], place: Path) -> InputError:
    a, b = (run.shown for run in runs[:2])
    return InputError(
        f"one run in pieces, one run twice, or replicas: {a} and {b}",
        where=place,
        remedy=f"say so in {place / NAMES[0]}: `runs: [{{files: [{a}, {b}]}}]` is one run, "
        f"`runs: [{{files: {a}}}, {{files: {b}}}]` are two",
    )
