"""Files of the cache, put into a user's folder."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mdbench.config import FetchConfig
from mdbench.errors import InputError
from mdbench.stages.archives import Limits, archive_stem, unpack
from mdbench.stages.cache import Entry, Known
from mdbench.store import write_error
from mdbench.units import GB_IN_BYTES

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Delivered:
    """What was put into a folder.

    Attributes:
        paths: All files.
        n_new: How many of them were not there before.
        notes: What the user should know.
    """

    paths: list[Path]
    n_new: int
    notes: list[str]


def deliver(
    entry: Entry,
    known: list[Known],
    folder: Path,
    config: FetchConfig,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Delivered:
    """Links files into a folder, and unpacks archives, each into a folder of its own there.

    Args:
        entry: Of the cache.
        known: The files.
        folder: Made where it is missing.
        config: Settings.
        force: Replace files of other content.
        progress: Called with the share that is done and what is being done.

    Raises:
        InputError: Files are in the way, an archive is refused, or nothing can be written.
    """
    made = not folder.exists()
    try:
        return _deliver(entry, known, folder, config, force=force, progress=progress)
    except BaseException:
        if made and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        raise


def _deliver(
    entry: Entry,
    known: list[Known],
    folder: Path,
    config: FetchConfig,
    *,
    force: bool,
    progress: Progress | None,
) -> Delivered:
    names = [one.file.name for one in known]
    stems = {name: archive_stem(entry.path(name), name) for name in names if config.unpack}
    shared = Counter(stems.values())
    plain = [name for name in names if stems.get(name) is None]
    missing = [n for n in plain if not _stands(entry.path(n), folder / n, force=force)]
    for name in missing:
        _link(entry.path(name), folder / name)
    paths, n_new, notes = [folder / name for name in plain], len(missing), []
    for number, (name, stem) in enumerate(stems.items()):
        if stem is None:
            continue
        if progress is not None:
            progress(number / len(names), f"unpacking {name}")
        # two archives of one name, as a.zip and a.tar.gz, do not share a folder
        target = folder / (stem if shared[stem] == 1 else f"{name}.unpacked")
        limits = Limits(int(config.max_gb * GB_IN_BYTES))
        unpacked = unpack(entry.path(name), name, target, limits, force=force)
        paths += [target / path for path in unpacked.files]
        n_new += unpacked.new
        if links := unpacked.left_out:
            notes.append(f"{name}: {len(links)} link(s) left out, as {links[0]}")
    return Delivered(paths, n_new, notes)


def _stands(kept: Path, target: Path, *, force: bool) -> bool:
    """Whether a file has been put there before; refuses another one in its place."""
    if target.is_file() and (target.samefile(kept) or filecmp.cmp(kept, target, shallow=False)):
        return True
    if target.is_dir() or ((target.exists() or target.is_symlink()) and not force):
        raise InputError(
            "in the way",
            where=target,
            remedy="another folder with -o, or --force to replace a file",
        )
    return False


def _link(kept: Path, target: Path) -> None:
    """Links a file of the cache, or copies it where that cannot be."""
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        try:
            os.link(kept, part)
        except OSError:  # another disk, or one without links
            shutil.copyfile(kept, part)
        part.replace(target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise write_error(target, error) from error
        raise
