"""Frames for training and testing: sampled, split, and written as numbers of frames with hashes.

`load` gives the frames of such a file, `content_hash` what a model that was trained on it stamps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mdbench.config import DatasetConfig, stamp
from mdbench.errors import InputError, suggest
from mdbench.potentials.materials import known_as
from mdbench.reporting.tables import Cell, text_table, write_table
from mdbench.stages.dataset_file import (
    Content,
    Source,
    content_hash,
    load,
    read_dataset,
    relative_to,
    splits_hash,
    write_dataset,
)
from mdbench.stages.dataset_runs import (
    LabeledRun,
    Progress,
    check_together,
    gathered,
    read_run,
    statistics,
    usable_frames,
)
from mdbench.stages.outputs import (
    already_done,
    check_not_read,
    check_outputs,
    current_run,
    one_group,
    select,
)
from mdbench.stages.runs import Group, grouped
from mdbench.stages.temperatures import selected
from mdbench.store import Input, input_of
from mdbench.table import Table, Tabular
from mdbench.training.sampling import (
    FEWEST_FRAMES,
    SPLITS,
    RunSplit,
    blocks_and_gap,
    quotas,
    split_at_random,
    split_by_blocks,
)
from mdbench.trajectory import reduced_formula
from mdbench.units import FS_IN_PS, PS_IN_FS

__all__ = ["DatasetReport", "content_hash", "load", "run"]


@dataclass
class DatasetReport(Tabular):
    """What is in the datasets, ready to be printed."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """One JSON document: `datasets`; a single one's keys also at top level."""
        one = self.documents[0] if len(self.documents) == 1 else {}
        return {**one, "datasets": self.documents}

    def as_text(self) -> str:
        """A table of the splits of each dataset."""
        return "\n\n".join(_text(document) for document in self.documents)

    def table(self) -> Table:
        """One row per dataset and split; how many frames of each temperature, K, in columns."""
        return _splits_table(self.documents)


@dataclass(frozen=True)
class _Wish:
    """A dataset that is asked for."""

    material: str
    groups: list[Group]
    target: Path


def run(
    files: Sequence[Path],
    config: DatasetConfig,
    *,
    materials: Sequence[str] = (),
    run_folder: Path | None = None,
    output: Path | None = None,
    csv: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> DatasetReport:
    """Splits the frames of the files, or of a run folder's reference, material by material.

    Args:
        files: Trajectories or patterns of one material; none means those of the run folder.
        config: Temperatures, numbers of frames, sampling.
        materials: Which materials; all by default.
        run_folder: Where to look without files; by default $MDBENCH_RUN, else `run`.
        output: The dataset. Without files each goes to dataset/<material>.h5 of the run folder.
        csv: Table, one row per dataset and split.
        force: Overwrite; also mix frames of several potentials.
        progress: Called with the share done and what is being read.
    """
    report = DatasetReport()
    check_outputs(None, csv, None, force=force)
    if files:
        wishes = [_of_files(files, materials, output, force=force)]
    else:
        folder = current_run(run_folder)
        wishes = _of_run(folder, materials, output, force=force)
        report.notes.append(f"run folder {folder}: {', '.join(w.material for w in wishes)}")
    read = [path for wish in wishes for group in wish.groups for path in group.paths]
    check_not_read([csv], read, "trajectories")
    own = replace(config, temps=None)
    for wish in wishes:
        paths = [path for group in selected(wish.groups, config.temps) for path in group.paths]
        inputs = [input_of(path, "trajectory") for path in paths]
        forced = force or output is not None
        if already_done(wish.target, inputs, own, force=forced, kind="dataset"):
            document = read_dataset(wish.target).document
            report.notes.append(f"{wish.target}: already done")
        else:
            runs = [read_run(*one, progress) for one in zip(paths, inputs, strict=True)]
            document = _make(wish, sorted(runs, key=lambda one: one.key), inputs, own, force=force)
        report.documents.append({"file": str(wish.target), **document})
        report.notes += [f"{wish.material}: {note}" for note in document["notes"]]
    if csv is not None:
        write_table(csv, report.table())
    return report


def _of_files(
    files: Sequence[Path], materials: Sequence[str], output: Path | None, *, force: bool
) -> _Wish:
    """The dataset of files that were named."""
    if output is None:
        raise InputError("where the dataset goes", expected="-o FILE", found="none")
    chosen = select(files, run_folder=None, output=output, csv=None, plot=None, force=force)
    names = _named(list(dict.fromkeys(group.material for group in chosen.groups)), materials)
    one_group(output, names, "material")
    return _Wish(names[0], [g for g in chosen.groups if g.material == names[0]], output)


def _of_run(
    folder: Path, materials: Sequence[str], output: Path | None, *, force: bool
) -> list[_Wish]:
    """The datasets of a run folder: of its reference, which models are trained on."""
    places = {place.parent.name: place.parent for place in sorted(folder.glob("reference/*/*.h5"))}
    if not places:
        raise InputError(
            "no reference trajectories in this run folder",
            where=folder,
            remedy="`mdbench reference` makes them; or name files, and -o",
        )
    names = _named(list(places), materials)
    one_group(output, names, "material")
    wishes = []
    for name in names:
        paths = sorted(places[name].glob("*.h5"))
        select(paths, run_folder=None, output=output, csv=None, plot=None, force=force)
        target = output or folder / "dataset" / f"{name}.h5"
        wishes.append(_Wish(name, grouped(paths), target))
    return wishes


def _named(known: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Those of the known materials that are asked for, whatever their case and dashes."""
    chosen = []
    for name in asked:
        if (found := known_as(name, known)) is None:
            raise InputError(f"--material {name}: no trajectory", remedy=suggest(name, known))
        chosen.append(found)
    return list(dict.fromkeys(chosen or known))


def _make(
    wish: _Wish,
    runs: Sequence[LabeledRun],
    inputs: Sequence[Input],
    config: DatasetConfig,
    *,
    force: bool,
) -> dict[str, Any]:
    """Splits the runs, which are in their order, and writes; what the report says."""
    notes = check_together(runs, force=force)
    if config.sampling == "blocks":
        for one in runs:
            if len(one) < FEWEST_FRAMES:
                notes.append(f"{one.path}: {len(one)} frames are too few for blocks, left out")
        runs = [one for one in runs if len(one) >= FEWEST_FRAMES]
    found, repeated = _sampled(runs, config)
    if repeated:
        notes.append(f"{repeated} frames occur more than once; each is used at most once")
    splits = {name: gathered(runs, found, name) for name in SPLITS}
    for name in SPLITS[:3]:
        if not len(splits[name]):
            raise InputError(
                f"no frame for {name}",
                where=wish.material,
                expected=f"runs of at least {FEWEST_FRAMES} different frames",
                remedy="longer or more runs",
            )
    document = {
        "material": wish.material,
        "formula": reduced_formula(runs[0].atomic_numbers),
        "n_atoms": len(runs[0].atomic_numbers),
        "potential": runs[0].provenance.potential,
        "n_runs": len(runs),
        "n_frames": sum(map(len, runs)),
        "splits": {name: statistics(runs, split) for name, split in splits.items()},
        "content_hash": splits_hash(splits),
        "settings": stamp(config),
        "notes": [*notes, *_notes(runs, found, config)],
    }
    sources = [_source(one, split, wish.target) for one, split in zip(runs, found, strict=True)]
    content = Content(wish.material, runs[0].atomic_numbers, tuple(sources), splits, document)
    write_dataset(wish.target, content, config=stamp(config), inputs=inputs)
    return document


def _sampled(runs: Sequence[LabeledRun], config: DatasetConfig) -> tuple[list[RunSplit], int]:
    """The frames of each run by split, and how many frames of all runs occurred before."""
    if not runs:
        return [], 0
    cuts = [_cut(one, config) for one in runs]
    usable, repeated = usable_frames(runs, [gap for _, gap in cuts])
    found = []
    for rank, quota in enumerate(quotas(len(runs), config.fraction)):
        if config.sampling == "blocks":
            n_blocks, gap = cuts[rank]
            found.append(
                split_by_blocks(
                    usable[rank], quota, n_blocks=n_blocks, gap=gap, rank=rank, seed=config.seed
                )
            )
        else:
            found.append(split_at_random(usable[rank], quota, rank=rank, seed=config.seed))
    return found, repeated


def _cut(one: LabeledRun, config: DatasetConfig) -> tuple[int, int]:
    """Number of blocks and gap of a run in frames; none where frames are drawn at random."""
    if config.sampling != "blocks":
        return 0, 0
    gap = int(config.gap_ps > 0.0)
    if one.interval_fs is not None and gap:
        gap = max(1, math.ceil(config.gap_ps * PS_IN_FS / one.interval_fs - 1e-9))
    return blocks_and_gap(len(one), config.blocks, gap)


def _source(one: LabeledRun, split: RunSplit, target: Path) -> Source:
    interval = one.interval_fs
    return Source(
        path=relative_to(one.path, target),
        sha256=one.source.sha256,
        temperature_k=one.provenance.temperature_k,
        replica=one.provenance.replica,
        n_frames=len(one),
        n_blocks=split.n_blocks,
        gap_frames=split.gap,
        gap_ps=None if interval is None else split.gap * interval * FS_IN_PS,
    )


def _notes(
    runs: Sequence[LabeledRun], found: Sequence[RunSplit], config: DatasetConfig
) -> list[str]:
    """What the settings became in these runs."""
    notes = []
    shares = [split.share for split in found if split.share < 1.0]
    if shares:
        low, high = (f"{100.0 * share:.2g} %" for share in (min(shares), max(shares)))
        given = low if low == high else f"{low} to {high}"
        asked = "" if config.fraction == 1.0 else f" times {config.fraction:g}"
        notes.append(
            f"{len(shares)} of {len(runs)} runs are too short for the paper's numbers{asked}: "
            f"they give {given} of them"
        )
    if config.sampling != "blocks":
        return [*notes, "frames of all times: test frames stand next to training frames"]
    pairs = [(one, split) for one, split in zip(runs, found, strict=True) if one.interval_fs]
    gaps = [split.gap * (one.interval_fs or 0.0) * FS_IN_PS for one, split in pairs]
    if gaps and min(gaps) < config.gap_ps - 1e-9:
        notes.append(
            f"short blocks: down to {min(gaps):.3g} ps between blocks of different splits "
            f"instead of {config.gap_ps:g}"
        )
    if len(pairs) < len(runs):
        notes.append(f"{len(runs) - len(pairs)} runs without a time axis: a gap of one frame")
    return notes


def _splits_table(documents: Sequence[dict[str, Any]]) -> Table:
    about = ("file", "material", "formula", "n_atoms", "n_runs")
    spreads = ("energy_mean_ev", "energy_sd_ev", "forces_rms_ev_per_a", "forces_largest_ev_per_a")
    known: list[dict[str, Cell]] = []
    for document in documents:
        for name, split in document["splits"].items():
            energy, forces = split["energy"] or {}, split["forces"] or {}
            spread = [
                energy.get("mean"),
                energy.get("sd"),
                forces.get("rms"),
                forces.get("largest"),
            ]
            known.append(
                {
                    **{key: document[key] for key in about},
                    "split": name,
                    "n_frames": split["n_frames"],
                    **dict(zip(spreads, spread, strict=True)),
                    **{_column_of(each): each["n_frames"] for each in split["per_temperature"]},
                }
            )
    columns = list(dict.fromkeys(name for row in known for name in row))
    return Table(columns, [[row.get(name) for name in columns] for row in known])


def _column_of(entry: dict[str, Any]) -> str:
    t = entry["temperature_k"]
    return "n_frames_unknown_temperature" if t is None else f"n_frames_{t:g}K"


def _text(document: dict[str, Any]) -> str:
    settings, splits = document["settings"], document["splits"]
    head = (
        f"{document['file']}: {document['material']}, {document['n_atoms']} atoms, "
        f"{document['n_runs']} run(s) of {document['n_frames']} frames in all, "
        f"sampling {settings['sampling']}"
    )
    temperatures = [entry["temperature_k"] for entry in splits["train"]["per_temperature"]]
    columns = ["? K" if t is None else f"{t:g} K" for t in temperatures]
    rows: list[list[Cell]] = []
    for name, split in splits.items():
        energy, forces = split["energy"] or {}, split["forces"] or {}
        counts = [entry["n_frames"] for entry in split["per_temperature"]]
        spread = [energy.get("mean"), energy.get("sd"), forces.get("rms"), forces.get("largest")]
        rows.append([name, split["n_frames"], *counts, *spread])
    header = ("split", "frames", *columns, "E mean (eV)", "E sd", "F rms (eV/A)", "F largest")
    return f"{head}\n{text_table(header, rows)}"
