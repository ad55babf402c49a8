"""Settings of the stages: one frozen dataclass each, and the only place a default is written.

A field carries its help and, where the command line spells it differently, its flag. The command
line is generated from these fields; the values are stamped into the files that a stage writes.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mdbench.errors import InputError
from mdbench.units import HOUR_IN_S, MINUTE_IN_S


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


def require_one_of(name: str, value: str, known: Sequence[str]) -> None:
    """Refuses a setting that is none of the known words."""
    if value not in known:
        raise InputError(name, expected=" or ".join(known), found=repr(value))


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
class FetchConfig:
    """Settings of `mdbench fetch`."""

    only: str | None = setting(
        None, "Only files whose name matches, as '*800K*'.", metavar="PATTERN"
    )
    offline: bool = setting(False, "Ask no server: only what is in the cache.")
    unpack: bool = setting(True, "Unpack archives (zip, tar, tar.gz, tar.bz2, tar.xz).")
    max_gb: float = setting(100.0, "Most that an archive may unpack to.", metavar="GB")
    retries: int = setting(5, "Tries in a row without progress before giving up.", metavar="N")

    def __post_init__(self) -> None:
        require_positive("--max-gb", self.max_gb)
        require_positive("--retries", self.retries, zero=True)


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


#: Ways to get a diffusivity, and what pymatgen's can smooth.
ESTIMATORS = ("gls", "pymatgen")
SMOOTHINGS = ("false", "max", "constant")


@dataclass(frozen=True)
class MsdConfig:
    """Settings of `mdbench msd` (definitions: docs/definitions.md, "Diffusivity")."""

    temps: str | None = setting(
        None, "Temperatures: 800-1200, 800-1200:50 or 800,1000. Default: all.", metavar="K"
    )
    mobile: str | None = setting(
        None,
        "Element of the mobile ion. Default: of the file, else the first present of "
        "Li, Na, Ag, Cu, K, H, Mg, F.",
        metavar="SYMBOL",
    )
    skip_ps: float | None = setting(
        None,
        "Equilibration to leave out. Default: 15 ps of runs of 50 ps or more, else 30 %.",
        metavar="PS",
    )
    stride: int = setting(1, "Use every N-th frame.", metavar="N")
    estimator: str = setting(
        "gls", "gls (with interval), or pymatgen as DiffusionAnalyzer.", metavar="NAME"
    )
    smoothing: str = setting(
        "false", "With --estimator pymatgen: false, max or constant.", metavar="NAME"
    )

    def __post_init__(self) -> None:
        require_positive("--skip-ps", self.skip_ps, zero=True)
        require_positive("--stride", self.stride)
        require_one_of("--estimator", self.estimator, ESTIMATORS)
        require_one_of("--smoothing", self.smoothing, SMOOTHINGS)


@dataclass(frozen=True)
class ConductivityConfig(MsdConfig):
    """Settings of `mdbench conductivity` (docs/definitions.md, "Conductivity")."""

    at: float | None = setting(None, "Temperature to extrapolate to. Default: 300.", metavar="K")
    charge: str | None = setting(
        None, "Charge of the mobile ion: 1 or Li=1. Default: its usual one.", metavar="Z"
    )
    paper: bool = setting(
        False, "Also the usual recipe: MSD from the first frame, unweighted line, no interval."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("--at", self.at)

    @property
    def at_k(self) -> float:
        """Temperature to extrapolate to, K."""
        return 300.0 if self.at is None else self.at


@dataclass(frozen=True)
class PlanConfig:
    """Settings of `mdbench plan` (docs/definitions.md, "Planning")."""

    at: float = setting(300.0, "Temperature of the conductivity that is wanted.", metavar="K")
    wanted: float = setting(
        0.3, "Wanted half width of the 95 % interval of log10 sigma.", metavar="DECADES"
    )
    ps: float | None = setting(None, "Length of one run. Default: as in the pilot.", metavar="PS")

    def __post_init__(self) -> None:
        require_positive("--at", self.at)
        require_positive("--wanted", self.wanted)
        require_positive("--ps", self.ps)


@dataclass(frozen=True)
class DynamicsConfig:
    """Settings of molecular dynamics, those of the paper by default."""

    temps: str = setting(
        "800-1200", "Temperatures: 800-1200 (every 100), 800-1200:50 or 800,1000.", metavar="K"
    )
    replicas: int = setting(3, "Independent runs at each temperature.", metavar="N")
    ps: float = setting(50.0, "Length of the production.", metavar="PS")
    ramp_ps: float | None = setting(5.0, "Heating from 100 K before it.", metavar="PS")
    timestep_fs: float = setting(2.0, "MD timestep.", metavar="FS")
    stride: int = setting(1, "Keep every N-th step.", metavar="N")
    ensemble: str = setting("nose-hoover", "nose-hoover, csvr, langevin or nve.", metavar="NAME")
    damping_fs: float | None = setting(
        None, "Time constant of the thermostat. Default: 40, 100, 1000.", metavar="FS"
    )
    seed: int = setting(0, "Of all random numbers.", metavar="N")
    float64: bool = setting(False, "Store positions in double precision.")

    def __post_init__(self) -> None:
        require_positive("--replicas", self.replicas)
        require_positive("--ps", self.ps)
        require_positive("--ramp-ps", self.ramp_ps, zero=True)
        require_positive("--timestep-fs", self.timestep_fs)
        require_positive("--stride", self.stride)
        require_positive("--damping-fs", self.damping_fs)
        if self.seed < 0:
            raise InputError("--seed", expected="zero or more", found=self.seed)

    @property
    def heating_ps(self) -> float:
        """Length of the ramp, ps."""
        return 5.0 if self.ramp_ps is None else self.ramp_ps


@dataclass(frozen=True)
class ReferenceConfig(DynamicsConfig):
    """Settings of `mdbench reference`."""

    calculator: str = setting(
        "refpot",
        "Force field: refpot (embedded, synthetic), chgnet, sevennet, mace, or module:factory.",
        metavar="NAME",
    )
    calculator_args: str | None = setting(
        None, "Arguments of the calculator: key=value,…", metavar="LIST"
    )
    forces: bool = setting(True, "Keep the forces of every frame, for training.")


#: How frames are dealt to training, validation and test.
SAMPLINGS = ("blocks", "paper")


@dataclass(frozen=True)
class DatasetConfig:
    """Settings of `mdbench dataset`."""

    temps: str | None = setting(
        None, "Temperatures: 800-1200, 800-1200:50 or 800,1000. Default: all.", metavar="K"
    )
    fraction: float = setting(
        1.0,
        "Share of the paper's numbers: 2000 training and 500 validation frames of each run, "
        "2000 test frames of each material.",
        metavar="F",
    )
    sampling: str = setting(
        "blocks",
        "blocks of time, held out whole, or paper: random frames of all times, which flatter.",
        metavar="NAME",
    )
    blocks: int | None = setting(
        None, "Blocks of time of each run. Default: 10, down to 5 in short runs.", metavar="N"
    )
    gap_ps: float = setting(
        0.25,
        "Time left out between blocks of different splits, at most a quarter of a block.",
        metavar="PS",
    )
    seed: int = setting(0, "Of all random numbers.", metavar="N")

    def __post_init__(self) -> None:
        if not 0.0 < self.fraction <= 1.0:
            raise InputError("--fraction", expected="above 0, at most 1", found=self.fraction)
        require_one_of("--sampling", self.sampling, SAMPLINGS)
        if self.blocks is not None and not 3 <= self.blocks <= 10_000:
            raise InputError("--blocks", expected="3 to 10000", found=self.blocks)
        require_positive("--gap-ps", self.gap_ps, zero=True)
        if self.seed < 0:
            raise InputError("--seed", expected="zero or more", found=self.seed)


@dataclass(frozen=True)
class ForceFieldConfig:
    """Which force field is asked."""

    model: str | None = setting(
        None, "Checkpoint, or the name of a model of the run folder.", metavar="NAME|PATH"
    )
    calculator: str | None = setting(
        None,
        "Instead of a model: refpot, chgnet, sevennet, mace, or module:factory.",
        metavar="NAME",
    )
    calculator_args: str | None = setting(
        None, "Arguments of the calculator: key=value,…", metavar="LIST"
    )
    device: str = setting("auto", "auto, cpu or cuda.", metavar="NAME")


@dataclass(frozen=True)
class SimulateConfig(DynamicsConfig, ForceFieldConfig):
    """Settings of `mdbench simulate`."""

    replicas: int = setting(6, "Independent runs at each temperature.", metavar="N")
    engine: str = setting("torch", "torch (ours), ase or lammps.", metavar="NAME")
    start: str = setting(
        "structure",
        "structure, or reference: where its runs ended.",
        metavar="FROM",
    )
    ramp_ps: float | None = setting(
        None, "Heating from 100 K. Default: 5, none with --start reference.", metavar="PS"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("--engine", self.engine, ("torch", "ase", "lammps"))
        require_one_of("--start", self.start, ("structure", "reference"))

    @property
    def heating_ps(self) -> float:
        """Length of the ramp, ps."""
        if self.ramp_ps is None and self.start == "reference":
            return 0.0
        return super().heating_ps


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `mdbench train`."""

    model: str | None = setting(
        None,
        "One of `mdbench models`, as schnet; NAME-small is narrower, NAME:published uncorrected.",
        metavar="NAME",
    )
    budget: str | None = setting(
        None, "Time for everything, reading and validation included: 10h, 5m, 90s.", metavar="TIME"
    )
    paper: bool = setting(False, "The published recipe instead of ours.")
    batch_size: int | None = setting(None, "Frames of a step. Default: 2.", metavar="N")
    learning_rate: float | None = setting(
        None,
        "The largest one. Default: 0.0025, of small models 0.01; with --paper 0.001.",
        metavar="RATE",
    )
    seed: int = setting(0, "Of weights and of the order of frames.", metavar="N")
    device: str = setting("auto", "auto, cpu or cuda.", metavar="NAME")
    threads: int = setting(1, "CPU threads.", metavar="N")

    def __post_init__(self) -> None:
        require_positive("--batch-size", self.batch_size)
        require_positive("--learning-rate", self.learning_rate)
        require_positive("--threads", self.threads)
        require_one_of("--device", self.device, ("auto", "cpu", "cuda"))
        if self.seed < 0:
            raise InputError("--seed", expected="zero or more", found=self.seed)
        if self.budget is not None and not self.budget_s > 0.0:
            raise InputError("--budget", expected="a time above zero", found=self.budget)

    @property
    def budget_s(self) -> float:
        """Time for everything, s.

        Raises:
            InputError: None was given, or it cannot be read.
        """
        found = re.fullmatch(
            r"(\d{1,9}(?:\.\d*)?)\s*(h|m|min|s)", (self.budget or "").strip().lower()
        )
        if found is None:
            raise InputError(
                "--budget",
                expected="how long to train: 10h, 5m or 90s",
                found="none" if self.budget is None else repr(self.budget),
            )
        return (
            float(found[1])
            * {"h": HOUR_IN_S, "m": MINUTE_IN_S, "min": MINUTE_IN_S, "s": 1.0}[found[2]]
        )


@dataclass(frozen=True)
class EvaluateConfig(ForceFieldConfig):
    """Settings of `mdbench evaluate` (docs/definitions.md, "Energy and force errors")."""

    split: str = setting("test", "Of a dataset: test, near, validation or train.", metavar="NAME")
    stride: int = setting(1, "Use every N-th frame.", metavar="N")

    def __post_init__(self) -> None:
        require_one_of("--split", self.split, ("test", "near", "validation", "train"))
        require_positive("--stride", self.stride)


@dataclass(frozen=True)
class AuditConfig:
    """Settings of `mdbench audit` (definitions: docs/definitions.md, "Audit")."""

    material: str = setting(
        "lgps",
        "Structure: lgps, li3ps4, gamma-li3ps4, li4ges4, a structure file, or a material of "
        "reference/ in the run folder.",
        metavar="NAME|FILE",
    )
    seed: int = setting(
        0, "Of displacements and directions, and of an untrained model.", metavar="N"
    )
    precision: str = setting("float64", "Of a model: float64 or float32.", metavar="TYPE")
    device: str = setting("auto", "Of a model: auto, cpu or cuda.", metavar="NAME")
    dynamics: bool = setting(
        False, "Also runs at constant energy: drift, echo, speed. Thousands of evaluations."
    )
    ps: float = setting(2.0, "With --dynamics: length of a run.", metavar="PS")
    temperature_k: float = setting(
        600.0, "With --dynamics: temperature.", flag="--temperature", metavar="K"
    )

    def __post_init__(self) -> None:
        require_positive("--ps", self.ps)
        require_positive("--temperature", self.temperature_k)
        require_one_of("--precision", self.precision, ("float64", "float32"))
        if self.seed < 0:
            raise InputError("--seed", expected="zero or more", found=self.seed)


@dataclass(frozen=True)
class PathConfig:
    """Settings of `mdbench path` (definitions: docs/definitions.md, "Diffusion paths")."""

    temps: str | None = setting(
        None, "Temperatures: 800-1200, 800-1200:50 or 800,1000. Default: all.", metavar="K"
    )
    mobile: str | None = setting(
        None,
        "Element of the mobile ion. Default: of the file, else the first present of "
        "Li, Na, Ag, Cu, K, H, Mg, F.",
        metavar="SYMBOL",
    )
    skip_ps: float | None = setting(
        None,
        "Equilibration to leave out. Default: 15 ps of runs of 50 ps or more, else 30 %.",
        metavar="PS",
    )
    stride: int = setting(1, "Use every N-th frame.", metavar="N")
    spacing: float = setting(0.25, "Edge of a voxel of the density, at most.", metavar="A")
    site_radius: float = setting(
        1.0, "An ion is at a site within this distance of it.", metavar="A"
    )
    residence_fs: float = setting(
        100.0, "An ion has jumped when it was at another site for so long on end.", metavar="FS"
    )

    def __post_init__(self) -> None:
        require_positive("--skip-ps", self.skip_ps, zero=True)
        require_positive("--stride", self.stride)
        require_positive("--spacing", self.spacing)
        require_positive("--site-radius", self.site_radius)
        require_positive("--residence-fs", self.residence_fs, zero=True)
