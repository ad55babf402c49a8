"""Users' own trajectories: which runs stand in a folder, and how `mdbench ingest` reads them.

Only headers and first frames are read. Where it cannot be told what belongs together, the answer
is an error that says what to write into runs.yaml; docs/howto/own-data.md has the rules.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from mdbench.config import IngestConfig
from mdbench.errors import InputError
from mdbench.stages.runs import same_temperature
from mdbench.trajectory import reduced_formula

from .data_files import OWN, Look, NoRunError, is_run_folder, look, natural, trajectories_below
from .data_groups import Run, check_material, check_pieces, temperature_of, told_apart
from .data_yaml import NAMES, Stated, read_stated

#: A name of these is a folder in every file system and no pattern.
_SAFE = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._+()-]{0,79}")


@dataclass(frozen=True)
class SourceRun:
    """A run of the user's own, ready for `mdbench ingest`.

    Attributes:
        files: Its files, in order, by their whole paths.
        material: As stated, else the reduced formula; safe as the name of a folder.
        temperature_k: The same number for all replicas.
        replica: Number among the runs of its material and temperature, in the order of paths.
        formula: Reduced formula.
        n_atoms: Number of atoms.
        has_forces: Whether its first frames have energies and forces, as training needs.
        extra: All options for `mdbench ingest`.
        kind: `mdbench`: a trajectory of ours, to be taken as it is.
    """

    files: tuple[Path, ...]
    material: str
    temperature_k: float
    replica: int
    formula: str
    n_atoms: int
    has_forces: bool
    extra: tuple[str, ...]
    kind: Literal["foreign", "mdbench"]


def find_runs(place: Path, notes: list[str] | None = None) -> list[SourceRun]:
    """The runs of a folder, of one trajectory file, or of a YAML file that lists them.

    Args:
        place: In a folder runs.yaml is read where there is one, else all files are looked at.
        notes: Receives what was left out and might be missed, a sentence each.

    Returns:
        By material in the order of paths, by temperature, by replica.

    Raises:
        InputError: No trajectories; something is missing; it cannot be told what belongs together.
    """
    notes = [] if notes is None else notes
    stated = _yaml_file(place)
    if stated is not None:
        listed, config = read_stated(stated)
        place = stated.parent
        if listed is not None:
            return _source_runs([_listed(one, place) for one in listed], place)
        return _source_runs(_searched(place, config, notes), place)
    if place.is_dir():
        return _source_runs(_searched(place, IngestConfig(), notes), place)
    if not place.is_file():
        raise InputError("no such file or folder", where=place)
    one = Stated((place.absolute(),), IngestConfig(), temperature_is_its_own=False)
    try:
        return _source_runs([_listed(one, place.parent)], place.parent)
    except NoRunError:
        raise
    except InputError as error:
        raise _with_remedy(error, place.parent) from error


def structure_name(material: str) -> str:
    """The name of a material, where it is safe as the name of a folder.

    Raises:
        InputError: It is not.
    """
    if _SAFE.fullmatch(material) is None:
        raise InputError(
            f"material {material[:80]!r}",
            expected="letters, digits and . _ + - ( ), the first a letter or digit",
            remedy="give it such a name with `material:` in runs.yaml",
        )
    return material


def _yaml_file(place: Path) -> Path | None:
    """The file that states the runs, if there is one."""
    if place.is_dir():
        return next((place / name for name in NAMES if (place / name).is_file()), None)
    return place if place.suffix.lower() in (".yaml", ".yml") and place.is_file() else None


def _listed(one: Stated, folder: Path) -> Run:
    """A run whose files are known."""
    looks = tuple(look(path, one.config) for path in one.files)
    check_pieces(looks)
    return _run(looks, one.config, folder, stated=True, own=one.temperature_is_its_own)


def _searched(folder: Path, config: IngestConfig, notes: list[str]) -> list[Run]:
    """The runs of the trajectory files below a folder."""
    if is_run_folder(folder):
        raise InputError(
            "a run folder of mdbench, not data",
            where=folder,
            remedy=f"give {folder / 'reference'}, or keep the run folder elsewhere (--run)",
        )
    runs, left_out = [], []
    for paths in trajectories_below(folder, notes):
        try:
            best = _best(paths, config, notes)
        except NoRunError as error:
            left_out.append(str(error))
        except InputError as error:
            raise _with_remedy(error, folder) from error
        else:
            runs.append(_run((best,), config, folder, stated=False, own=False))
    if not runs:
        raise InputError(
            "no trajectories",
            where=folder,
            expected="vasprun.xml, OUTCAR, XDATCAR, LAMMPS dump, ASE .traj, extxyz, CP2K, H5MD",
            found="; ".join(left_out[:2]) or "other files",
        )
    notes.extend(f"left out: {reason}" for reason in left_out)
    return runs


def _best(paths: Sequence[Path], config: IngestConfig, notes: list[str]) -> Look:
    """Of the files of one run the first with energies and forces, else the first."""
    seen: list[Look] = []
    errors: list[InputError] = []
    for path in paths:
        try:
            seen.append(look(path, config))
        except NoRunError:
            raise
        except InputError as error:
            if not seen:
                errors.append(error)
            continue
        if seen[-1].has_labels:
            break
    if not seen:
        raise errors[0]
    notes.extend(f"{error}: {seen[0].path.name} is taken" for error in errors)
    return seen[-1] if seen[-1].has_labels else seen[0]


def _with_remedy(error: InputError, folder: Path) -> InputError:
    return InputError(
        str(error),
        remedy=f"options of `mdbench ingest` stand in {folder / NAMES[0]}, as "
        "`frame_interval_fs: 2`, and `runs:` there lists the files that are meant",
    )


def _run(
    looks: tuple[Look, ...], config: IngestConfig, folder: Path, *, stated: bool, own: bool
) -> Run:
    """A run with its material and temperature."""
    first, top = looks[0], folder.absolute()
    if first.material is not None and config.material not in (None, first.material):
        raise InputError(
            "material",
            where=first.path,
            expected=f"{first.material!r}, as the trajectory says",
            found=repr(config.material),
        )
    material = config.material or first.material or reduced_formula(first.atomic_numbers)
    names: dict[str, None] = {}
    for path in (one.path.absolute() for one in looks):
        inside = path.is_relative_to(top)
        parts = (top.name, *path.relative_to(top).parts) if inside else path.parts[-2:]
        names |= dict.fromkeys(parts)
    path = first.path.absolute()
    return Run(
        looks=looks,
        config=config,
        shown=str(path.relative_to(top) if path.is_relative_to(top) else path),
        stated=stated,
        material=structure_name(material),
        temperature_k=temperature_of(looks, config.temperature_k, names, own=own),
    )


def _source_runs(runs: Sequence[Run], place: Path) -> list[SourceRun]:
    """The runs in order, with their numbers; refuses what does not fit together."""
    runs = sorted(runs, key=lambda run: natural(run.shown))
    names = list(dict.fromkeys(run.material for run in runs))
    for one, other in combinations(names, 2):
        if one.lower() == other.lower():
            raise InputError("two materials of one name", where=place, found=f"{one}, {other}")
    found: list[SourceRun] = []
    for name in names:
        members = [run for run in runs if run.material == name]
        check_material(members)
        replicas: dict[float, list[Run]] = {}
        for run in members:
            close = (t for t in replicas if same_temperature(run.temperature_k, t))
            replicas.setdefault(next(close, run.temperature_k), []).append(run)
        for t, group in sorted(replicas.items()):
            told = told_apart(group, place)
            found += [_source_run(run, t, number) for number, run in enumerate(told)]
    return found


def _source_run(run: Run, temperature_k: float, replica: int) -> SourceRun:
    first = run.first
    own = first.format == OWN
    stated = run.temperature_k if first.temperature_k is None else None
    config = dataclasses.replace(run.config, material=run.material, temperature_k=stated)
    return SourceRun(
        files=tuple(one.path.absolute() for one in run.looks),
        material=run.material,
        temperature_k=temperature_k,
        replica=replica,
        formula=reduced_formula(first.atomic_numbers),
        n_atoms=len(first.atomic_numbers),
        has_forces=all(one.has_labels for one in run.looks),
        extra=() if own else _options(config),
        kind="mdbench" if own else "foreign",
    )


def _options(config: IngestConfig) -> tuple[str, ...]:
    """Settings as options of `mdbench ingest`; those at their default are left out."""
    words: list[str] = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value == field.default:
            continue
        words.append(field.metadata["flag"] or "--" + field.name.replace("_", "-"))
        if not isinstance(value, bool):
            words.append(f"{value:.12g}" if isinstance(value, float) else str(value))
    return tuple(words)
