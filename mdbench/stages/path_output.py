"""What `mdbench path` prints and writes: JSON, text, table, HDF5, figure, density for VESTA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import gammaincinv

from mdbench.analysis.jump_network import Rate
from mdbench.analysis.path_floors import Score
from mdbench.config import PathConfig, stamp
from mdbench.formats.volumetric import Volumetric, write_volumetric
from mdbench.reporting.markup import count
from mdbench.reporting.tables import Cell, quantity, text_table
from mdbench.stages.ion_paths import Ions
from mdbench.stages.path_against import Against
from mdbench.stages.path_sides import Side
from mdbench.stages.runs import Group
from mdbench.stats import LEVEL, Estimate
from mdbench.store import Dataset, Input, input_of, write_result
from mdbench.table import Table
from mdbench.units import PS_IN_NS

#: Å, of the Gaussian that an exported density is smoothed with.
_SMOOTHING = 0.3
_PER_ION = "1/ns"


@dataclass(frozen=True)
class PathResult:
    """Where the ions of one group go.

    Attributes:
        side: What is known of them.
        against: None without a reference.
        config: Settings.
    """

    side: Side
    against: Against | None
    config: PathConfig

    @property
    def group(self) -> Group:
        """The replicas."""
        return self.side.group

    @property
    def failure_mode(self) -> str | None:
        """`drift`, `frozen` or none."""
        if self.against is not None:
            return self.against.failure_mode
        return "drift" if self.side.drifts(None) else None

    @property
    def jump_rate(self) -> Estimate:
        """Jumps of one ion per ns; limits as of independent jumps (Garwood), or a bound."""
        n_jumps = self.side.n_jumps
        exposure_ns = sum(jumps.exposure_ps for jumps in self.side.jumps) * PS_IN_NS
        tail = 0.5 * (1.0 - LEVEL)
        high = float(gammaincinv(n_jumps + 1, 1.0 - tail)) / exposure_ns
        if not n_jumps:
            return Estimate(None, None, high, _PER_ION)
        low = float(gammaincinv(n_jumps, tail)) / exposure_ns
        return Estimate(n_jumps / exposure_ns, low, high, _PER_ION)

    @property
    def cell_drift(self) -> Estimate:
        """Å, the farthest that the center of all atoms came."""
        return Estimate(self.side.drift, None, None, "A")

    @property
    def notes(self) -> list[str]:
        """What the reader should know."""
        lines = self.side.notes(self.config)
        if self.against is not None:
            known = self.against.reference
            ours = set(lines)
            theirs = [line for line in known.notes(self.config) if line not in ours]
            lines += [f"reference {known.group.name}: {line}" for line in theirs]
            n_own = self.side.sites.n_sites - self.against.n_sites
            if n_own:
                lines.append(f"{n_own} site(s) that the reference lacks")
        return lines

    @property
    def inputs(self) -> list[Input]:
        """The files, also those of runs that ended early and of the reference."""
        groups = [self.group] + ([] if self.against is None else [self.against.reference.group])
        return [input_of(path, "trajectory") for group in groups for path in group.paths]


def path_json(result: PathResult) -> dict[str, Any]:
    """One group as plain JSON values (docs/cli.md, keys of `path`)."""
    side, group, leads = result.side, result.group, result.side.percolation
    n_known = side.sites.n_sites if result.against is None else result.against.n_sites
    times = sum(jumps.time_at for jumps in side.jumps)
    return {
        "source": group.source,
        "material": group.material,
        "temperature_k": group.temperature_k,
        "species": side.species,
        "n_ions": side.n_ions,
        "sites": [
            {
                "scaled": place,
                "occupancy": occupancy,
                "time_ps": time,
                "in_reference": None if result.against is None else index < n_known,
            }
            for index, (place, occupancy, time) in enumerate(
                zip(
                    side.sites.scaled.tolist(),
                    side.sites.occupancy.tolist(),
                    np.asarray(times).tolist(),
                    strict=True,
                )
            )
        ],
        "at_sites": side.at_sites,
        "n_jumps": side.n_jumps,
        "jumps_per_ion": result.jump_rate.as_json(),
        "jump_rates": [
            {
                "origin": rate.origin,
                "target": rate.target,
                "shift": list(rate.shift),
                "n_jumps": rate.n_jumps,
                "rate": rate.rate.as_json(),
            }
            for rate in side.rates
        ],
        "percolation_axes": side.axes,
        "percolation": {
            "bottleneck": dict(zip("abc", leads.bottleneck, strict=True)),
            "dimension": leads.dimension,
        },
        "cell_drift": result.cell_drift.as_json(),
        "failure_mode": result.failure_mode,
        "runs": [
            {
                "file": str(run.path),
                "n_frames": run.n_frames,
                "skip_ps": run.skip_ps,
                "n_jumps": jumps.n,
                "cell_drift": run.drift,
            }
            for run, jumps in zip(side.runs, side.jumps, strict=True)
        ],
        "warnings": result.notes,
        "settings": {
            **stamp(result.config),
            "skip_ps": [run.skip_ps for run in side.runs],
            "mobile": side.species,
            "grid": list(side.density.counts.shape),
        },
        **({} if result.against is None else {"comparison": result.against.as_json()}),
    }


def path_text(result: PathResult) -> str:
    """A short table, which way jumps lead, and the scores with what they mean."""
    side = result.side
    skipped = " and ".join(f"{s:g}" for s in sorted({run.skip_ps for run in side.runs}))
    head = (
        f"{result.group.name}, {side.n_ions} {side.species}, {len(side.runs)} run(s), "
        f"{side.length_ps:.4g} ps after {skipped} ps of equilibration"
    )
    rows: list[list[Cell]] = [
        ["sites", side.sites.n_sites, None, None, None],
        ["ions at sites", f"{side.at_sites:.0%}", None, None, "of the time"],
        ["jumps", side.n_jumps, None, None, None],
        ["jumps of an ion", *quantity(result.jump_rate)],
        ["center of all atoms", f"{side.drift:.2f}", None, None, "A"],
    ]
    table = text_table(("quantity", "value", "low", "high", "unit"), rows)
    parts = [head, table, _lead_text(side)]
    if result.failure_mode == "drift":
        parts.append("the cell moves as a whole (drift)")
    if result.against is not None:
        parts.append(_against_text(result.against))
    return "\n".join(parts)


def _lead_text(side: Side) -> str:
    """Which way jumps lead, in one line."""
    leads = side.percolation
    along = [
        f"{name} (weakest link {count(least, 'jump')})"
        for name, yes, least in zip("abc", leads.axes, leads.bottleneck, strict=True)
        if yes
    ]
    if along:
        return f"jumps lead through the crystal along {', '.join(along)}"
    if leads.dimension:
        return f"jumps lead through the crystal in {leads.dimension} dimension(s), along no axis"
    return "jumps lead nowhere through the crystal"


def _against_text(found: Against) -> str:
    rows = list(_score_rows(found.scores))
    header = ("score", "value", "low", "high", "perfect model", "5 %", "95 %")
    own = found.fidelity.n_jumps
    return "\n".join(
        [
            f"against {found.reference.group.name}, {len(found.reference.runs)} run(s), "
            f"{own[1]} jumps; paths are what an ion does in {found.fidelity.window_ps:.3g} ps",
            text_table(header, rows),
            f"meaning: {found.meaning}",
        ]
    )


def _score_rows(scores: dict[str, Any], before: str = "") -> list[list[Cell]]:
    """A row for each score, at every depth."""
    rows: list[list[Cell]] = []
    for name, score in scores.items():
        words = name.replace("_", " ")
        if isinstance(score, dict):
            rows += _score_rows(score, f"{before}{words}: ")
        else:
            rows.append([before + words, *_score_cells(score)])
    return rows


def _score_cells(score: Score) -> list[Cell]:
    floor = score.floor
    perfect = [None] * 3 if floor is None else [floor.expected, floor.low, floor.high]
    return [
        *quantity(score.estimate)[:3],
        *(None if value is None else f"{value:.3g}" for value in perfect),
    ]


def path_table(results: Sequence[PathResult]) -> Table:
    """Rates of jumps: one row per group and directed pair of sites."""
    names = (
        "source", "material", "temperature_k", "origin", "target", "shift_a", "shift_b", "shift_c",
        "n_jumps", "rate_per_ps", "low", "high",
    )  # fmt: skip
    rows: list[list[Cell]] = []
    for result in results:
        group = result.group
        for rate in result.side.rates:
            known = rate.rate
            rows.append(
                [
                    group.source, group.material, group.temperature_k, rate.origin, rate.target,
                    *rate.shift, rate.n_jumps, known.value, known.low, known.high,
                ]
            )  # fmt: skip
    return Table(names, rows)


def path_datasets(result: PathResult) -> dict[str, Dataset]:
    """The arrays of a result file."""
    side = result.side
    found = {
        "sites/scaled": Dataset(side.sites.scaled, "", ("site", "abc")),
        "sites/occupancy": Dataset(side.sites.occupancy, "", ("site",)),
        **_side_datasets(side),
        **_jump_datasets(side),
    }
    if result.against is not None:
        known = _side_datasets(result.against.reference)
        found |= {f"reference/{name}": dataset for name, dataset in known.items()}
    return found


def _side_datasets(side: Side) -> dict[str, Dataset]:
    own = side.framework
    counts = side.density.counts
    small = np.int32 if counts.max(initial=0) < np.iinfo(np.int32).max else np.int64
    return {
        "density/counts": Dataset(counts.astype(small), "", ("a", "b", "c")),
        "density/cell": Dataset(side.density.cell, "Angstrom", ("vector", "xyz")),
        "framework/atomic_numbers": Dataset(own.atomic_numbers, "", ("atom",)),
        "framework/scaled": Dataset(own.positions @ np.linalg.inv(own.cell), "", ("atom", "abc")),
        **_rate_datasets(side.rates),
        "paths/positions": Dataset(
            side.shown.astype(np.float32), "Angstrom", ("ion", "xyz", "time")
        ),
        "paths/time_ps": Dataset(side.shown_ps, "ps", ("time",)),
    }


def _rate_datasets(rates: Sequence[Rate]) -> dict[str, Dataset]:
    pairs = ("pair",)
    numbers = [[r.rate.value, r.rate.low, r.rate.high] for r in rates]
    return {
        "rates/origin": Dataset(np.array([r.origin for r in rates], dtype=np.int64), "", pairs),
        "rates/target": Dataset(np.array([r.target for r in rates], dtype=np.int64), "", pairs),
        "rates/shift": Dataset(
            np.array([r.shift for r in rates], dtype=np.int64).reshape(-1, 3), "", ("pair", "abc")
        ),
        "rates/n_jumps": Dataset(np.array([r.n_jumps for r in rates], dtype=np.int64), "", pairs),
        "rates/rate": Dataset(
            np.array(numbers, dtype=np.float64).reshape(-1, 3), "ps-1", ("pair", "value low high")
        ),
    }


def _jump_datasets(side: Side) -> dict[str, Dataset]:
    """All jumps, run after run, with the time of arrival on the clock of the run."""
    times = [
        run.start_ps + jumps.frame * run.frame_interval_ps
        for run, jumps in zip(side.runs, side.jumps, strict=True)
    ]
    of_run = np.repeat(np.arange(len(side.jumps)), [jumps.n for jumps in side.jumps])
    columns = {
        name: np.concatenate([getattr(jumps, name) for jumps in side.jumps])
        for name in ("ion", "origin", "target", "shift")
    }
    return {
        "jumps/run": Dataset(of_run, "", ("jump",)),
        "jumps/time_ps": Dataset(np.concatenate(times), "ps", ("jump",)),
        **{
            f"jumps/{name}": Dataset(values, "", ("jump", "abc")[: values.ndim])
            for name, values in columns.items()
        },
    }


def path_attributes(result: PathResult) -> dict[str, Any]:
    """What a result file says about its arrays; lists that are arrays in it are left out."""
    document = path_json(result)
    for name in ("sites", "jump_rates"):
        del document[name]
    group, side = result.group, result.side
    known = None if result.against is None else result.against.reference
    return {
        "observable": "path",
        "source": group.source,
        "material": group.material,
        "temperature_k": group.temperature_k,
        "potential": group.provenance.potential,
        "label": group.provenance.label,
        "n_runs": len(side.runs),
        "n_frames": side.density.n_frames,
        "length_ps": side.length_ps,
        "n_reference_sites": None if result.against is None else result.against.n_sites,
        "reference": None
        if known is None
        else {
            "name": known.group.name,
            "n_frames": known.density.n_frames,
            "length_ps": known.length_ps,
        },
        "document": document,
    }


def write_path(path: Path, result: PathResult, config: PathConfig, inputs: list[Input]) -> None:
    """Writes a result file."""
    write_result(
        path,
        "observables",
        path_datasets(result),
        attributes=path_attributes(result),
        config=stamp(config),
        inputs=inputs,
    )


def write_density(path: Path, ions: Ions, side: Side) -> None:
    """The density of the ions among the atoms of the framework, in a file for VESTA.

    The files have values at the corners of voxels where ours stand for their middles: ions are
    counted anew, half a voxel further.
    """
    shape = side.density.counts.shape
    counted = ions.density(side.density.cell, shape, 0.5 / np.array(shape))
    own = side.framework
    write_volumetric(
        path,
        Volumetric(
            density=counted.smoothed_per_volume(_SMOOTHING),
            cell=counted.cell,
            atomic_numbers=own.atomic_numbers,
            scaled=own.positions @ np.linalg.inv(own.cell),
            title=f"density of {side.species}, {side.group.name}, smoothed by {_SMOOTHING:g} A",
        ),
    )


def plot_paths(path: Path, results: Sequence[PathResult]) -> None:
    """Draws the results."""
    from mdbench.reporting.figures import save
    from mdbench.reporting.path_figures import path_figure, picture_of

    pictures = []
    for result in results:
        arrays = {name: dataset.values for name, dataset in path_datasets(result).items()}
        pictures.append(picture_of(path_attributes(result), arrays))
    save(path_figure(pictures), path)
