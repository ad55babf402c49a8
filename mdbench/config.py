"""Settings of the stages: one frozen dataclass each, and the only place a default is written.

A field carries its help and, where the command line spells it differently, its flag. The command
line is generated from these fields; the values are stamped into the files that a stage writes.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from mdbench.errors import InputError


def setting(default: Any, help: str, *, flag: str | None = None, metavar: str | None = None) -> Any:
    """A dataclass field with the help text and the flag that the command line shows."""
    return dataclasses.field(
        default=default, metadata={"help": help, "flag": flag, "metavar": metavar}
    )


def stamp(config: Any) -> dict[str, Any]:
    """The settings of a stage as plain JSON values, as they are stored in a file's ``config``."""
    return dataclasses.asdict(config)


def require_positive(name: str, value: float | None, *, zero: bool = False) -> None:
    """Refuses a setting that is not a finite positive number (or zero, where that is allowed)."""
    if value is None:
        return
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        least = "zero or more" if zero else "above zero"
        raise InputError(name, expected=f"a finite number {least}", found=f"{value:g}")


@dataclass(frozen=True)
class IngestConfig:
    """Settings of `mdbench ingest`: what the source files do not say themselves."""

    frame_interval_fs: float | None = setting(
        None,
        "Time between the stored frames (POTIM x NBLOCK, dump interval x timestep). "
        "0 states that the frames have no time axis.",
        metavar="FS",
    )
    timestep_fs: float | None = setting(None, "MD timestep.", metavar="FS")
    temperature_k: float | None = setting(
        None, "Temperature of the run.", flag="--temperature", metavar="K"
    )
    material: str | None = setting(None, "Name of the material.", metavar="NAME")
    mobile: str | None = setting(None, "Element of the mobile ion.", metavar="SYMBOL")
    label: str | None = setting(None, "Name of the source, as tables show it.", metavar="NAME")
    species: str | None = setting(
        None,
        "Elements: 1=O,2=H (LAMMPS types) or Li,P,S (VASP order, or one per atom).",
        metavar="LIST",
    )
    cell: str | None = setting(
        None,
        "Cell where the source has none: a CP2K .cell file, or 3, 6 or 9 numbers "
        "(lengths; and angles; or row vectors, in A and degrees) with commas.",
        metavar="FILE|NUMBERS",
    )
    constant_order: bool = setting(
        False, "A LAMMPS dump without ids: take the order of its atoms as constant."
    )
    lammps_units: str = setting("metal", "Units of a LAMMPS dump: metal or real.", metavar="STYLE")
    stride: int = setting(1, "Keep every N-th frame.", metavar="N")
    float64: bool = setting(False, "Store positions in double precision.")

    def __post_init__(self) -> None:
        require_positive("--frame-interval-fs", self.frame_interval_fs, zero=True)
        require_positive("--timestep-fs", self.timestep_fs)
        require_positive("--temperature", self.temperature_k)
        require_positive("--stride", self.stride)
        if self.lammps_units not in ("metal", "real"):
            raise InputError(
                "--lammps-units", expected="metal or real", found=repr(self.lammps_units)
            )


@dataclass(frozen=True)
class RdfConfig:
    """Settings of `mdbench rdf` (definitions: docs/definitions.md, "Radial distribution")."""

    r_max: float = setting(6.0, "Largest distance; may exceed half the cell.", metavar="A")
    dr: float = setting(0.05, "Width of a bin; bins are [edge, edge + dr).", metavar="A")
    skip_ps: float | None = setting(
        None,
        "Equilibration to leave out. Default: 15 ps of runs of 50 ps or more, else 30 %.",
        metavar="PS",
    )
    stride: int = setting(1, "Use every N-th frame.", metavar="N")
    threads: int = setting(1, "CPU threads.", metavar="N")
    mobile: str | None = setting(
        None,
        "Element of the mobile ion. Default: of the file, else the first present of "
        "Li, Na, Ag, Cu, K, H, Mg, F.",
        metavar="SYMBOL",
    )
    threshold: float = setting(
        0.02, "With --against: a model above this rdf_mae is unstable.", metavar="MAE"
    )
    all_metrics: bool = setting(False, "With --against: also the scales of other benchmarks.")

    def __post_init__(self) -> None:
        require_positive("--threshold", self.threshold)
        require_positive("--r-max", self.r_max)
        require_positive("--dr", self.dr)
        require_positive("--skip-ps", self.skip_ps, zero=True)
        require_positive("--stride", self.stride)
        require_positive("--threads", self.threads)
        if self.dr > self.r_max:
            raise InputError("--dr", expected=f"at most r_max = {self.r_max:g} A", found=self.dr)
        if self.r_max / self.dr > 1e6:
            raise InputError("--dr", expected="at most 1,000,000 bins", found=f"{self.dr:g} A")

    @property
    def n_bins(self) -> int:
        """Number of whole bins of width `dr` below `r_max`."""
        return int(self.r_max / self.dr + 1e-9)


@dataclass(frozen=True)
class ConvertConfig:
    """Settings of `mdbench convert`."""

    stride: int = setting(1, "Write every N-th frame.", metavar="N")

    def __post_init__(self) -> None:
        require_positive("--stride", self.stride)
