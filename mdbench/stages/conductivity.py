"""Conductivity over temperatures, its Arrhenius line, and a model's against the reference's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mdbench.analysis.arrhenius import ArrheniusFit
from mdbench.analysis.conductivity import (
    charge_of,
    charge_warnings,
)
from mdbench.config import ConductivityConfig
from mdbench.errors import InputError, located
from mdbench.reporting.tables import write_table
from mdbench.stages.conductivity_against import (
    ConductivityResult,
    Ended,
    held_against,
    reference_of,
)
from mdbench.stages.conductivity_line import (
    Extrapolation,
    Point,
    extrapolated,
    extrapolated_without_errors,
    fitted_line,
    line_warnings,
    no_line,
    point_of,
    transition_warnings,
    two_temperatures,
    usual_recipe,
)
from mdbench.stages.conductivity_output import (
    draw,
    result_json,
    result_text,
    results_table,
    store,
)
from mdbench.stages.loaded import Opener
from mdbench.stages.motion import Progress, ions_of
from mdbench.stages.outputs import NOTHING, analyzed, one_group, select
from mdbench.stages.runs import EndedEarlyError, Group, grouped, same_temperature
from mdbench.stages.temperatures import selected
from mdbench.stages.transport import Transport, synthetic, transport
from mdbench.store import TrajectoryFile
from mdbench.table import Table, Tabular


@dataclass
class ConductivityReport(Tabular):
    """The results of all sources and materials, ready to be printed."""

    config: ConductivityConfig
    results: list[ConductivityResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """One JSON document: `groups`; a single group's keys also at top level."""
        groups = [result_json(result, self.config) for result in self.results]
        return {**(groups[0] if len(groups) == 1 else {}), "groups": groups}

    def as_text(self) -> str:
        """A table by temperature and what the line says, for each source and material."""
        return "\n\n".join(result_text(result) for result in self.results) or NOTHING

    def table(self) -> Table:
        """Diffusivity and conductivity: one row per source, material and temperature."""
        return results_table(self.results)


def run(
    files: Sequence[Path],
    config: ConductivityConfig,
    *,
    references: Sequence[Path] = (),
    sources: Sequence[str] = (),
    run_folder: Path | None = None,
    output: Path | None = None,
    csv: Path | None = None,
    plot: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> ConductivityReport:
    """Conductivities of the files, or of a run folder's trajectories, and their Arrhenius lines.

    Args:
        files: Trajectories or patterns; none means those of the run folder.
        config: Temperatures, charge, extrapolation, estimator.
        references: Trajectories or patterns of the reference that the others are held against.
        sources: Without files: only these sources of the run folder.
        run_folder: Where to look without files; by default $MDBENCH_RUN, else `run`.
        output: HDF5 file for the result of the one source and material. Without files each is
            written to its place in the run folder.
        csv: Table by temperature.
        plot: Figure, .png, .svg or .pdf.
        force: Overwrite.
        progress: Called with the share done and what is being read.
    """
    if references and config.estimator != "gls":
        raise InputError(
            "--against",
            expected="--estimator gls",
            found=config.estimator,
            remedy="other estimators have no errors to compare with",
        )
    chosen = select(
        files,
        references,
        sources=sources,
        run_folder=run_folder,
        output=output,
        csv=csv,
        plot=plot,
        force=force,
    )
    _check_temperatures(chosen.groups)
    materials = _by_material(selected(chosen.groups, config.temps))
    report = ConductivityReport(config, notes=chosen.notes)
    named = [(f"{m[0].source}: {m[0].material}", m) for m in materials]
    one_group(output, [name for name, _ in named], "source and material")
    analyze = _Analysis(_references(chosen.references, config), config, progress)
    for result in analyzed(named, analyze, report.notes, go_on=chosen.in_places):
        report.results.append(result)
        report.notes += [f"{result.name}: {line}" for line in result.warnings]
        target = chosen.target(replace(result.group, temperature_k=None), "conductivity")
        if target is not None:
            made = store(target, result, analyze.known, config, force=force or output is not None)
            if not made:
                report.notes.append(f"{target}: already done")
    if csv is not None:
        write_table(csv, report.table())
    if plot is not None and report.results:
        draw(plot, report.results, analyze.known)
    return report


class _Analysis:
    """Makes the result of a source and material; of the references it reads those that are needed.

    Args:
        references: What the others are held against, each by temperature; may be none.
        config: Settings.
        progress: Called with the share done and what is being read.
    """

    def __init__(
        self,
        references: Sequence[Sequence[Group]],
        config: ConductivityConfig,
        progress: Progress | None,
    ) -> None:
        self._references, self._config, self._progress = references, config, progress
        self._known: dict[tuple[Path, ...], ConductivityResult] = {}

    @property
    def known(self) -> list[ConductivityResult]:
        """Of the references that were read."""
        return list(self._known.values())

    def __call__(self, members: Sequence[Group]) -> ConductivityResult:
        """The result of a source and material at all temperatures."""
        if not self._references:
            return conductivity_of(members, self._config, self._progress)
        others = reference_of(members, self._references)
        reference = self._known.get(others[0].paths) or self._read(others)
        result = conductivity_of(members, self._config, self._progress)
        return replace(result, against=held_against(result, reference, self._config))

    def _read(self, members: Sequence[Group]) -> ConductivityResult:
        reference = conductivity_of(members, self._config, self._progress)
        if not reference.points:
            raise InputError(
                "nothing to hold against",
                where=reference.name,
                expected="a run of the reference that reaches its end",
                found=reference.ended[0].reasons[0],
            )
        self._known[members[0].paths] = reference
        return reference


def _check_temperatures(groups: Sequence[Group]) -> None:
    for group in groups:
        if group.temperature_k is None:
            raise InputError(
                "temperature unknown",
                where=group.paths[0],
                expected="the temperature of every run",
                remedy="`mdbench ingest --temperature` states it",
            )
        for path in group.paths:
            # run folders name files by temperature: 800K-r0.h5
            stated = path.name.partition("K-r")[0]
            named = "K-r" in path.name and stated.replace(".", "", 1).isdigit()
            if named and not same_temperature(float(stated), group.temperature_k):
                raise InputError(
                    "temperatures contradict each other",
                    where=path,
                    expected=f"{stated} K by its name",
                    found=f"{group.temperature_k:g} K in the file",
                )


def _by_material(groups: Sequence[Group]) -> list[list[Group]]:
    """The groups of each source and material, by temperature, in the order of their first file."""
    found: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        found.setdefault((group.source, group.material), []).append(group)
    return [sorted(g, key=lambda group: group.temperature_k or 0.0) for g in found.values()]


def _references(references: Sequence[Path], config: ConductivityConfig) -> list[list[Group]]:
    """The references by material; of their files only the headers are read."""
    if not references:
        return []
    groups = grouped(references)
    _check_temperatures(groups)
    return _by_material(selected(groups, config.temps))


def conductivity_of(
    members: Sequence[Group],
    config: ConductivityConfig,
    progress: Progress | None = None,
    *,
    opened: Opener = TrajectoryFile,
) -> ConductivityResult:
    """All temperatures of one source and material.

    Args:
        members: Its replicas by temperature.
        config: Charge, extrapolation, estimator.
        progress: Called with the share done and what is being read.
        opened: How a run is opened.
    """
    found: list[Transport] = []
    ended: list[Ended] = []
    for group in members:
        try:
            found.append(transport(group, config, progress, opened=opened))
        except EndedEarlyError as error:
            assert group.temperature_k is not None
            ended.append(Ended(group.temperature_k, error.reasons))
    species, n_atoms = _ions(members, found, config, opened)
    charge = charge_of(species, _stated_charge(config.charge, species))
    points = tuple(point_of(one, charge) for one in found)
    fit, extrapolation, lines = _line(points, charge, config)
    if extrapolation is None and config.at is not None and not ended:
        raise InputError(
            f"--at {config.at:g}",
            where=f"{members[0].source}: {members[0].material}",
            expected="D resolved at two temperatures or more",
            found=f"{sum(p.diffusivity.resolved for p in points)}",
            remedy="more temperatures, or longer runs",
        )
    warnings = _warnings(points, ended)
    warnings += charge_warnings(n_atoms, species, charge)
    warnings += synthetic(members[0])
    warnings += [n for one in found for n in one.notes if ": temperature" in n]
    return ConductivityResult(
        groups=tuple(members),
        species=species,
        n_atoms=n_atoms,
        points=points,
        ended=tuple(ended),
        charge=charge,
        extrapolation=extrapolation,
        fit=fit,
        paper=usual_recipe(points, charge, config.at_k) if config.paper else None,
        against=None,
        warnings=tuple(dict.fromkeys([*warnings, *lines])),
    )


def _ions(
    members: Sequence[Group],
    found: Sequence[Transport],
    config: ConductivityConfig,
    opened: Opener,
) -> tuple[str, Mapping[str, int]]:
    """The mobile ions, of one element at all temperatures, and the number of atoms by element."""
    if not found:
        path = members[0].paths[0]
        with opened(path) as file, located(path):
            return ions_of(file, config.mobile)
    first = found[0].runs[0]
    for one in found:
        if one.species != found[0].species:
            raise InputError(
                "another mobile species",
                where=one.runs[0].path,
                expected=f"{found[0].species}, as in {first.path}",
                found=one.species,
                remedy="--mobile settles it",
            )
    return found[0].species, first.n_atoms


def _line(
    points: Sequence[Point], charge: float, config: ConductivityConfig
) -> tuple[ArrheniusFit | None, Extrapolation | None, list[str]]:
    """The line with its errors, what it says at `--at`, and what there is to say about it."""
    if not points:
        return None, None, []
    if config.estimator == "gls":
        fit, lines = fitted_line(points, config)
        if fit is None:
            return None, None, lines
        lines += line_warnings(fit, points, config.at_k)
        return fit, extrapolated(fit, points, charge, config.at_k), lines
    extrapolation = extrapolated_without_errors(points, charge, config.at_k)
    if extrapolation is None:
        return None, None, [no_line(points, config.at_k)]
    known = [p.temperature_k for p in points]
    lines = two_temperatures(known) + transition_warnings(points, known, config.at_k)
    return None, extrapolation, lines


def _warnings(points: Sequence[Point], ended: Sequence[Ended]) -> list[str]:
    """What is odd at single temperatures."""
    lines = [f"{p.temperature_k:g} K: {n}" for p in points for n in p.transport.diffusion.warnings]
    lines += [one.warning for one in ended]
    lines += [
        f"{p.temperature_k:g} K: left out: {line}" for p in points for line in p.transport.left_out
    ]
    return lines


def _stated_charge(text: str | None, species: str) -> float | None:
    """The charge in `1`, `Li=1` or `Li=1,Na=1`; None where nothing is stated for the species."""
    if text is None:
        return None
    for part in text.split(","):
        symbol, _, number = part.rpartition("=")
        try:
            charge = float(number)
        except ValueError:
            charge = math.nan
        if not math.isfinite(charge) or charge == 0.0:
            raise InputError("--charge", expected="a charge such as 1 or Li=1", found=repr(text))
        if symbol.strip() in ("", species):
            return charge
    raise InputError("--charge", expected=f"one for {species}, the mobile ion", found=repr(text))
