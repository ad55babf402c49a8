"""How a simulation goes: ensemble, times, thermostat, seed."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from mdbench.errors import InputError, suggest
from mdbench.units import PS_IN_FS

#: Time constants of the thermostats, fs: the paper's for its Nosé–Hoover chains; for the others one
#: that leaves diffusion nearly undisturbed.
DAMPING_FS = {"nve": math.inf, "nose-hoover": 40.0, "csvr": 100.0, "langevin": 1000.0}


@dataclass(frozen=True)
class MDSettings:
    """Settings of the engine; those of the paper by default.

    Attributes:
        ensemble: One of `nve`, `nose-hoover`, `csvr`, `langevin`.
        timestep_fs: fs.
        ramp_ps: Heating by velocity scaling before the production, ps; 0 starts at the target.
        production_ps: ps; frames are those of times from 0 to before its end.
        stride: Steps from frame to frame.
        start_temperature_k: Of the ramp's first velocities, K.
        damping_fs: Time constant of the thermostat, fs; by default that of `DAMPING_FS`. Langevin's
            friction is its inverse.
        seed: Of all random numbers.

    Raises:
        InputError: A value that makes no sense.
    """

    ensemble: str = "nose-hoover"
    timestep_fs: float = 2.0
    ramp_ps: float = 5.0
    production_ps: float = 50.0
    stride: int = 1
    start_temperature_k: float = 100.0
    damping_fs: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.ensemble not in DAMPING_FS:
            raise InputError(
                "ensemble", found=repr(self.ensemble), remedy=suggest(self.ensemble, DAMPING_FS)
            )
        _require("timestep", self.timestep_fs, "fs")
        _require("ramp", self.ramp_ps, "ps", zero=True)
        _require("production", self.production_ps, "ps")
        _require("start temperature", self.start_temperature_k, "K")
        if self.damping_fs is not None:
            _require("thermostat damping", self.damping_fs, "fs")
        if self.stride < 1:
            raise InputError("stride", expected="1 step or more", found=self.stride)
        if self.n_steps < 1:
            raise InputError(
                "production",
                expected=f"one step of {self.timestep_fs:g} fs or more",
                found=f"{self.production_ps:g} ps",
            )

    @property
    def n_ramp_steps(self) -> int:
        """Steps before the production."""
        return round(self.ramp_ps * PS_IN_FS / self.timestep_fs)

    @property
    def n_steps(self) -> int:
        """Steps of the production."""
        return round(self.production_ps * PS_IN_FS / self.timestep_fs)

    @property
    def n_frames(self) -> int:
        """Frames of a run that does not end early."""
        return -(-self.n_steps // self.stride)

    @property
    def damping(self) -> float:
        """Time constant of the thermostat, fs; infinite without one."""
        return DAMPING_FS[self.ensemble] if self.damping_fs is None else self.damping_fs

    @property
    def conserves_momentum(self) -> bool:
        """Whether the total momentum is zero and stays so: 3N − 3 degrees of freedom."""
        return self.ensemble != "langevin"

    def stamp(self) -> str:
        """JSON of everything that a run depends on; it may become longer."""
        values: dict[str, Any] = asdict(self) | {"damping_fs": self.damping}
        del values["production_ps"]
        plain = {
            k: float(v) if isinstance(v, int) and k != "seed" else v for k, v in values.items()
        }
        return json.dumps(plain, sort_keys=True)


def _require(name: str, value: float, unit: str, *, zero: bool = False) -> None:
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        least = "zero or more" if zero else "above zero"
        raise InputError(name, expected=f"{unit}, {least}", found=f"{value:g}")
