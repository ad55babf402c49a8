"""Trajectory files of other codes in; one audited, unwrapped `trajectory` file out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from mdbench.analysis.integrity import Finding, IntegrityAudit
from mdbench.config import IngestConfig, stamp
from mdbench.errors import InputError, located
from mdbench.formats import open_source
from mdbench.formats.hints import hints_from
from mdbench.formats.joining import JoinedRun
from mdbench.store import TrajectoryWriter, check_output, input_of
from mdbench.trajectory import Provenance, element_number, reduced_formula

_NAMED_TEMPERATURE = re.compile(r"(?<![0-9A-Za-z.])(\d{2,4}(?:\.\d+)?)\s?K(?![A-Za-z0-9])")

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class IngestReport:
    """What came of an ingestion.

    Attributes:
        output: The file.
        formula: Reduced formula.
        n_frames: Frames stored.
        n_atoms: Atoms.
        length_ps: Time from the first stored frame to the last.
        frame_interval_fs: Time between stored frames; None without a time axis.
        measured_temperature_k: Kinetic, where velocities or dense frames tell it.
        provenance: As stored.
        findings: What the audit found.
    """

    output: Path
    formula: str
    n_frames: int
    n_atoms: int
    length_ps: float
    frame_interval_fs: float | None
    measured_temperature_k: float | None
    provenance: Provenance
    findings: list[Finding]


def run(
    sources: Sequence[Path],
    output: Path,
    config: IngestConfig,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Reads the sources of one run in order and writes one trajectory file.

    Args:
        sources: Files of one run, in order.
        output: The file to write; refused where it exists unless `force`.
        config: What the sources do not say.
        force: Overwrite, and let the settings win where a file contradicts them.
        progress: Called with the share done and what is being read.
    """
    check_output(output, force=force)
    if output.exists() and any(s.exists() and s.samefile(output) for s in sources):
        raise InputError("output is one of the sources", where=output)
    if config.mobile is not None:
        element_number(config.mobile)
    hints = hints_from(config)
    joined = JoinedRun(
        frame_interval_fs=config.frame_interval_fs,
        timestep_fs=config.timestep_fs,
        temperature_k=config.temperature_k,
        force=force,
    )
    audit: IntegrityAudit | None = None
    inputs = [input_of(path, "foreign") for path in sources if path.is_file()]
    writer = TrajectoryWriter(output, config=stamp(config), inputs=inputs, float64=config.float64)
    end_ps = 0.0
    with writer:
        for index, path in enumerate(sources):
            with located(path), ExitStack() as stack:
                source = open_source(path, hints)
                blocks = stack.enter_context(closing(joined.blocks(source)))
                for block, steps in blocks:
                    if audit is None:
                        numbers = source.header.atomic_numbers
                        audit = IntegrityAudit(numbers, time_axis=joined.time_axis)
                    audit.add(block)
                    thin = slice(-joined.n_frames % config.stride, None, config.stride)
                    # counters of joined runs start again
                    counters = None if steps is None or len(sources) > 1 else steps[thin]
                    writer.append(block[thin], counters)
                    end_ps = max(end_ps, *block[thin].times_ps.tolist(), 0.0)
                    if progress is not None:
                        share = (index + source.fraction()) / len(sources)
                        progress(share, f"{path.name}: {joined.n_frames} frames")
        assert audit is not None
        provenance, findings = _judge(sources, config, joined, audit)
        writer.finish(provenance)
    measured = audit.kinetic_temperature
    interval = joined.interval_fs if writer.n_frames > 1 else None
    return IngestReport(
        output=output,
        formula=reduced_formula(joined.header.atomic_numbers),
        n_frames=writer.n_frames,
        n_atoms=len(joined.header.atomic_numbers),
        length_ps=end_ps,
        frame_interval_fs=None if interval is None else interval * config.stride,
        measured_temperature_k=None if measured is None else measured[0],
        provenance=provenance,
        findings=findings,
    )


def _judge(
    sources: Sequence[Path], config: IngestConfig, joined: JoinedRun, audit: IntegrityAudit
) -> tuple[Provenance, list[Finding]]:
    """What is stored about the run, and what the audit found."""
    header, notes = joined.header, list(joined.notes)
    temperature, by = config.temperature_k, "--temperature"
    if temperature is None:
        temperature, by = header.temperature_k, "the file"
    named = _named_temperature(sources) if temperature is None else None
    findings = audit.findings(
        stated_temperature_k=temperature if named is None else named,
        stated_by=by if named is None else "its name",
        largest_step=joined.largest_step,
    )
    if named is not None and any(f.name == "temperature" for f in findings):
        notes.append(f"temperature {named:g} K in the name not stored, the frames contradict it")
    elif named is not None:
        temperature = named
        notes.append(f"temperature {named:g} K taken from the name of the file")
    provenance = Provenance(
        material=config.material,
        temperature_k=temperature,
        timestep_fs=config.timestep_fs or header.timestep_fs,
        mobile=None if config.mobile is None else config.mobile.strip().capitalize(),
        label=config.label,
        thermostat=header.thermostat,
        code=header.code,
        unwrapped_by=joined.unwrapped_by,
        notes=(*notes, *(f"{f.name}: {f.message}" for f in findings)),
    )
    return provenance, findings


def _named_temperature(sources: Sequence[Path]) -> float | None:
    """The temperature in a file's name, as `run_800K.traj`; None where names differ."""
    names = [source.name.replace("_", " ") for source in sources]
    found = {float(match) for name in names for match in _NAMED_TEMPERATURE.findall(name)}
    return found.pop() if len(found) == 1 else None
