"""Diffusion of the mobile ions: MSD, D with its interval, tensor, Haven ratio; group by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mdbench.config import MsdConfig, stamp
from mdbench.reporting.tables import Cell, quantity, text_table, write_table
from mdbench.stages.motion import Progress
from mdbench.stages.outputs import (
    NOTHING,
    already_done,
    analyzed,
    one_group,
    remove_outdated,
    select,
)
from mdbench.stages.runs import EndedEarlyError, Group
from mdbench.stages.temperatures import selected
from mdbench.stages.transport import Transport, transport, transport_json
from mdbench.store import Dataset, write_result
from mdbench.table import Table, Tabular


@dataclass
class MsdReport(Tabular):
    """The results of all groups, ready to be printed."""

    config: MsdConfig
    results: list[Transport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """One JSON document: `groups`; a single group's keys also at top level."""
        groups = [transport_json(result) for result in self.results]
        return {**(groups[0] if len(groups) == 1 else {}), "groups": groups}

    def as_text(self) -> str:
        """A table of what is known about each group."""
        return "\n\n".join(_text(result) for result in self.results) or NOTHING

    def table(self) -> Table:
        """MSD: one row per group and lag."""
        names = ("source", "material", "temperature_k", "lag_ps", "msd", "msd_x", "msd_y", "msd_z")
        rows: list[list[Cell]] = []
        for result in self.results:
            group = result.group
            total = result.msd.sum(axis=0)
            for lag, whole, axes in zip(result.lag_ps, total, result.msd.T, strict=True):
                numbers = [float(x) for x in (lag, whole, *axes)]
                rows.append([group.source, group.material, group.temperature_k, *numbers])
        return Table(names, rows)


def run(
    files: Sequence[Path],
    config: MsdConfig,
    *,
    sources: Sequence[str] = (),
    run_folder: Path | None = None,
    output: Path | None = None,
    csv: Path | None = None,
    plot: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> MsdReport:
    """Diffusion in the files, or in a run folder's trajectories, group by group.

    Args:
        files: Trajectories or patterns; none means those of the run folder.
        config: Mobile species, equilibration, estimator.
        sources: Without files: only these sources of the run folder.
        run_folder: Where to look without files; by default $MDBENCH_RUN, else `run`.
        output: HDF5 file for the result of the one group. Without files each group is written
            to its place in the run folder.
        csv: Table of MSD, one row per lag.
        plot: Figure, .png, .svg or .pdf.
        force: Overwrite.
        progress: Called with the share done and what is being read.
    """
    chosen = select(
        files,
        sources=sources,
        run_folder=run_folder,
        output=output,
        csv=csv,
        plot=plot,
        force=force,
    )
    groups = selected(chosen.groups, config.temps)
    report = MsdReport(config, notes=chosen.notes)
    one_group(output, [group.name for group in groups])

    def analyze(group: Group) -> Transport:
        try:
            return transport(group, config, progress)
        except EndedEarlyError:
            if chosen.in_places:
                remove_outdated(chosen.target(group, "msd"), force=force)
            raise

    named = [(group.name, group) for group in groups]
    for result in analyzed(named, analyze, report.notes, go_on=chosen.in_places):
        report.results.append(result)
        report.notes += [f"{result.group.name}: {line}" for line in result.notes]
        target = chosen.target(result.group, "msd")
        if target is not None:
            inputs = result.inputs
            own = _of_one_group(config)
            if already_done(target, inputs, own, force=force or output is not None):
                report.notes.append(f"{target}: already done")
            else:
                _write(target, result)
    if csv is not None:
        write_table(csv, report.table())
    if plot is not None and report.results:
        _plot(plot, report.results)
    return report


def _of_one_group(config: MsdConfig) -> MsdConfig:
    """The settings that the result of one group depends on: not which others were asked for."""
    return replace(config, temps=None)


def _text(result: Transport) -> str:
    found, window = result.diffusion, result.diffusion.window
    n_runs = len(result.runs)
    skipped = " and ".join(f"{s:g}" for s in sorted({run.skip_ps for run in result.runs}))
    head = (
        f"{result.group.name}, {found.n_ions} {result.species}, {n_runs} run(s), "
        f"{found.length_ps:g} ps after {skipped} ps of equilibration"
    )
    lags = f"lags {window.lags_ps[0]:.3g} to {window.lags_ps[-1]:.3g} ps"
    rows: list[list[Cell]] = [["D", *quantity(result.diffusivity)]]
    if result.diffusivity.resolved:
        rows += [
            [f"D along {name}", *quantity(d)]
            for name, d in zip("abc", found.along_cell, strict=True)
        ]
    rows.append(["D collective", *quantity(result.collective.diffusivity)])
    rows.append(["Haven ratio", *quantity(result.collective.haven_ratio)])
    table = text_table(("quantity", "value", "low", "high", "unit"), rows)
    by = "" if result.config.estimator == "gls" else f" (pymatgen, {result.config.smoothing})"
    facts = (
        f"{lags}{by}, N_eff {found.n_eff:.3g} (He-Zhu-Mo {found.he_zhu_mo:.0%}), "
        f"{found.n_hops} hops of {found.site_distance:.2f} A, "
        f"framework moved {result.drift:.2f} A and was taken off"
    )
    return f"{head}\n{table}\n{facts}"


def _write(path: Path, result: Transport) -> None:
    document = transport_json(result)
    lags = ("lag",)
    datasets = {
        "lag_ps": Dataset(result.lag_ps, "ps", lags),
        "msd": Dataset(result.msd.sum(axis=0), "Angstrom2", lags),
        "msd_xyz": Dataset(result.msd, "Angstrom2", ("xyz", "lag")),
        "tensor": Dataset(
            np.array(document["diffusivity_tensor"]["value"]), "cm2 s-1", ("xyz", "xyz")
        ),
        **{
            f"others/{symbol}": Dataset(curve, "Angstrom2", lags)
            for symbol, curve in result.others.items()
        },
    }
    for name in ("lag_ps", "msd", "msd_xyz", "others"):
        del document[name]
    group = result.group
    write_result(
        path,
        "observables",
        datasets,
        attributes={
            "observable": "msd",
            "source": group.source,
            "material": group.material,
            "temperature_k": group.temperature_k,
            "potential": group.provenance.potential,
            "label": group.provenance.label,
            "n_runs": len(result.runs),
            "document": document,
        },
        config=stamp(_of_one_group(result.config)),
        inputs=result.inputs,
    )


def _plot(path: Path, results: Sequence[Transport]) -> None:
    from mdbench.reporting.figures import save
    from mdbench.reporting.transport_figures import MsdCurves, msd_figure

    curves = [
        MsdCurves(
            title=result.group.name,
            lag_ps=result.lag_ps,
            msd=result.msd,
            others=result.others,
            window_ps=result.diffusion.window.lags_ps,
            window_msd=result.diffusion.msd_at_lags,
            slope=result.diffusion.slope,
            intercept=result.diffusion.intercept,
            diffusivity=result.diffusivity,
            tensor=result.diffusion.tensor,
            along_cell=result.diffusion.along_cell,
        )
        for result in results
    ]
    save(msd_figure(curves), path)
