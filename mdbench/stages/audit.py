"""Audit of a force field: symmetry, slopes, smoothness, repeatability; dynamics where asked."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mdbench.analysis.audit import Check, Claims, Progress, audit
from mdbench.analysis.audit_dynamics import (
    Drift,
    drift_check,
    echo_check,
    energy_drift,
)
from mdbench.config import AuditConfig, stamp
from mdbench.errors import InputError
from mdbench.md.nve_checks import EnergyRun, echo, energy_run
from mdbench.md.state import Run
from mdbench.potentials.base import ForceField
from mdbench.potentials.materials import Material, material
from mdbench.potentials.refpot import RefPot
from mdbench.reporting.model_sections import stored_checks
from mdbench.reporting.tables import text_table, write_table
from mdbench.stages.damage import undamaged
from mdbench.stages.force_fields import Resolved, resolve
from mdbench.stages.outputs import check_outputs, current_run
from mdbench.stages.structures import structure_of
from mdbench.store import Dataset, check_output, read_result, write_result
from mdbench.table import Table, Tabular
from mdbench.units import FS_IN_PS, PS_IN_NS, SECONDS_PER_DAY

#: Timesteps of the runs at constant energy, fs; heating before them, and the time of an echo, ps.
_TIMESTEPS_FS = (1.0, 2.0)
_RAMP_PS, _ECHO_PS = 0.5, 0.2


@dataclass
class AuditReport(Tabular):
    """The checks of a force field, ready to be printed.

    Attributes:
        source: Its name.
        label: As provenance states it.
        config: Settings.
        checks: Static ones, then those of the dynamics.
        facts: What else was measured: precision, noise, counts, drifts, speed.
        notes: What the user should know.
    """

    source: str
    label: str
    config: AuditConfig
    checks: list[Check]
    facts: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Check]:
        """Claimed checks that do not pass."""
        return [check for check in self.checks if check.claimed and not check.passed]

    def as_json(self) -> dict[str, Any]:
        """One JSON document."""
        return {
            "source": self.source,
            "force_field": self.label,
            "material": self.config.material,
            "settings": stamp(self.config),
            "checks": [_finite(vars(check)) for check in self.checks],
            "passed": not self.failed,
            **_finite(self.facts),
        }

    def as_text(self) -> str:
        """A table of the checks, and a line for each that fails."""
        rows = [
            (
                check.name,
                check.done,
                f"{check.deviation:.1e}",
                f"{check.tolerance:.1e}",
                "yes" if check.claimed else "no",
                "passed" if check.passed else "FAILED" if check.claimed else "not passed",
            )
            for check in self.checks
        ]
        lines = [
            f"{self.source}: {self.label}, {self.facts['precision']} precision",
            text_table(("check", "what was done", "deviation", "tolerance", "claimed", ""), rows),
        ]
        lines += [f"{c.name}: {c.detail}" for c in self.checks if not c.passed]
        lines += [f"note, {c.name}: {c.detail}" for c in self.checks if c.passed and c.detail]
        if any(c.name == "determinism" and not c.passed for c in self.checks):
            lines.append(
                "the same input gives other forces: all other deviations contain this noise"
            )
        if "steps_per_s" in self.facts:
            lines.append(
                f"speed: {self.facts['steps_per_s']:.3g} steps/s, "
                f"{self.facts['ns_per_day']:.3g} ns/day at {_TIMESTEPS_FS[-1]:g} fs"
            )
        n_claimed = sum(check.claimed for check in self.checks)
        lines.append(f"{n_claimed - len(self.failed)} of {n_claimed} claims hold")
        return "\n".join(lines)

    def table(self) -> Table:
        """One row per check."""
        names = ("name", "done", "deviation", "tolerance", "claimed", "passed", "detail")
        checks = [_finite(vars(check)) for check in self.checks]
        about = (self.source, self.config.material)
        rows = [(*about, *(check[name] for name in names)) for check in checks]
        return Table(("source", "material", *names), rows)


def run(
    config: AuditConfig,
    *,
    model: str | None = None,
    calculator: str | None = None,
    calculator_args: str | None = None,
    run_folder: Path | None = None,
    output: Path | None = None,
    csv: Path | None = None,
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> AuditReport:
    """Audits a force field; the result goes to audit/<source>.h5 of a run folder.

    Args:
        config: Material, seed, precision, dynamics.
        model: A checkpoint or the name of a model; a name that is not trained here means random
            weights.
        calculator: Name of a calculator, or MODULE:FACTORY.
        calculator_args: KEY=VALUE,…
        run_folder: By default $MDBENCH_RUN, else `run`, where there is one.
        output: File to write to instead.
        csv: Table, one row per check.
        threads: CPU threads of a network; by default one.
        force: Audit again; overwrite.
        progress: Called with the share done and what is being done.
    """
    check_outputs(None, csv, None, force=force)
    folder = _run_folder(run_folder)
    found = resolve(
        model=model,
        calculator=calculator,
        calculator_args=calculator_args,
        run_folder=folder,
        untrained=True,
        seed=config.seed,
        device=config.device,
        precision=config.precision,
    )
    _use_threads(threads)
    target = output
    if target is None and folder is not None:
        target = folder / "audit" / f"{found.source}.h5"
    if target is not None:
        check_output(target, force=force or output is None)
    if target is not None and output is None and target.exists() and not force:
        report = _known(target, found, config)
    else:
        structure = (
            material(config.material) if folder is None else structure_of(config.material, folder)
        )
        report = _audited(found, structure, config, progress)
        if target is not None:
            _write(target, report, found)
        if "synthetic" in report.label:
            report.notes.append(f"synthetic data: {report.label}")
    if csv is not None:
        write_table(csv, report.table())
    return report


def _run_folder(asked: Path | None) -> Path | None:
    """The run folder that was named, or the current one where there is one."""
    folder = current_run(asked)
    is_named = asked is not None or "MDBENCH_RUN" in os.environ
    return folder if is_named or folder.is_dir() else None


def _use_threads(threads: int | None) -> None:
    import torch

    torch.set_num_threads(threads or 1)


def _claims(found: Resolved) -> Claims:
    model = getattr(found.force_field, "model", None)
    return Claims(found.symmetry, found.conservative, dict(getattr(model, "tolerances", {})))


def _audited(
    found: Resolved, structure: Material, config: AuditConfig, progress: Progress | None
) -> AuditReport:
    claims = _claims(found)
    share = 0.05 if config.dynamics else 1.0

    def static(done: float, text: str) -> None:
        if progress is not None:
            progress(share * done, text)

    result = audit(
        found.force_field,
        structure.atomic_numbers,
        structure.positions,
        structure.cell,
        claims,
        seed=config.seed,
        progress=static,
    )
    facts: dict[str, Any] = {
        "precision": "single" if result.single else "double",
        "energy_noise": result.noise.energy,
        "force_noise": result.noise.force,
        "calls": result.n_calls,
        "structures": result.n_structures,
        "atoms": result.n_atoms,
    }
    checks = list(result.checks)
    if config.dynamics:
        found_checks, speed = _dynamics(
            found.force_field, structure, config, claims, result.single, share, progress
        )
        checks += found_checks
        facts |= speed
    return AuditReport(found.source, found.force_field.label, config, checks, facts)


def _dynamics(
    force_field: ForceField,
    structure: Material,
    config: AuditConfig,
    claims: Claims,
    single: bool,
    begun: float,
    progress: Progress | None,
) -> tuple[list[Check], dict[str, Any]]:
    """Checks of runs at constant energy, and what they measured."""
    start = Run(
        structure.name,
        structure.atomic_numbers,
        structure.positions,
        structure.cell,
        config.temperature_k,
    )
    runs: list[EnergyRun] = []
    shares = [1.0 / dt for dt in _TIMESTEPS_FS]
    for timestep, share in zip(_TIMESTEPS_FS, shares, strict=True):
        before = begun + (1.0 - begun) * sum(shares[: len(runs)]) / sum(shares)
        width = (1.0 - begun) * share / sum(shares)

        def update(done: float, before: float = before, width: float = width) -> None:
            if progress is not None:
                progress(before + width * done, "nve_drift")

        runs.append(
            energy_run(
                force_field,
                start,
                timestep_fs=timestep,
                production_ps=config.ps,
                ramp_ps=_RAMP_PS,
                seed=config.seed,
                progress=update,
            )
        )
    drifts = [_drift(each) for each in runs]
    settings: dict[str, Any] = {"timestep_fs": _TIMESTEPS_FS[-1], "ps": _ECHO_PS}
    own = echo(force_field, start, seed=config.seed, **settings)
    reference = None
    if "refpot" not in force_field.label:
        reference = _reference_echo(start, config.seed, settings)
    speed = runs[-1].steps_per_s
    ns_per_step = _TIMESTEPS_FS[-1] * FS_IN_PS * PS_IN_NS
    checks = [
        drift_check(drifts, claims),
        echo_check(
            own.distance,
            own.turned_at,
            own.ps,
            claims,
            single=single,
            reference=reference,
            end_reason=own.end_reason,
        ),
    ]
    facts = {
        "drifts": [vars(drift) for drift in drifts],
        "temperature_k": runs[-1].temperature_k,
        "steps_per_s": speed,
        "ns_per_day": speed * ns_per_step * SECONDS_PER_DAY,
    }
    return checks, facts


def _drift(made: EnergyRun) -> Drift:
    return energy_drift(
        made.times_ps,
        made.energies,
        made.n_atoms,
        timestep_fs=made.timestep_fs,
        end_reason=made.end_reason,
    )


def _reference_echo(start: Run, seed: int, settings: dict[str, Any]) -> float | None:
    """Distance of the embedded potential's own echo, Å; None where it does not know the atoms."""
    try:
        return echo(RefPot(), start, seed=seed, **settings).distance
    except InputError:
        return None


def _write(target: Path, report: AuditReport, found: Resolved) -> None:
    def column(name: str, unit: str = "") -> Dataset:
        return Dataset([getattr(check, name) for check in report.checks], unit, ("check",))

    write_result(
        target,
        "audit",
        {name: column(name) for name in ("deviation", "tolerance", "claimed", "passed")},
        attributes={
            "source": report.source,
            "force_field": report.label,
            "material": report.config.material,
            "checks": [{"name": c.name, "done": c.done, "detail": c.detail} for c in report.checks],
            "facts": report.facts,
        },
        config=stamp(report.config),
        inputs=list(found.inputs),
    )


def _known(target: Path, found: Resolved, config: AuditConfig) -> AuditReport:
    """The audit that is there already; refuses one of other settings or another force field."""
    stored = read_result(target, "audit")
    label = found.force_field.label
    if (
        stored.config != stamp(config)
        or stored.inputs != list(found.inputs)
        or stored.attributes.get("force_field") != label
    ):
        raise InputError(
            "made with other settings or of another force field",
            where=target,
            remedy="--force makes it anew",
        )
    with undamaged(target, "audit"):
        facts, checks = dict(stored.attributes["facts"]), stored_checks(stored)
    report = AuditReport(found.source, label, config, checks, facts)
    report.notes.append(f"already done: {target}")
    return report


def _finite(values: Any) -> Any:
    """The same with None for numbers that JSON does not know."""
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
