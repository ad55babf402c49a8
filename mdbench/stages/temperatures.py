"""What `--temps` means: 800-1200, 800-1200:50 or 800,1000."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mdbench.errors import InputError
from mdbench.stages.runs import Group, same_temperature

#: Step of a range where temperatures are made, K.
_STEP_K = 100.0
#: Anything larger is no temperature of a crystal, K; and so many are no list that somebody wants.
_LARGEST_K, _MOST = 1e6, 100_000
_NUMBER = r"\s*(\d+(?:\.\d+)?)\s*"
_RANGE = re.compile(rf"{_NUMBER}-{_NUMBER}(?::{_NUMBER})?")


@dataclass(frozen=True)
class Temperatures:
    """Temperatures as they were asked for.

    Attributes:
        text: As typed.
        low: Lowest of a range, K; None for a list.
        high: Highest of a range, K.
        step: Of a range, K; None where none was typed.
        listed: Those of a list, K.
    """

    text: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    listed: tuple[float, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Temperatures:
        """Temperatures from what was typed."""
        expected = "800-1200, 800-1200:50 or 800,1000 (K)"
        if match := _RANGE.fullmatch(text):
            low, high, step = (None if part is None else float(part) for part in match.groups())
            assert low is not None
            assert high is not None
            if not 0.0 < low <= high < _LARGEST_K or step == 0.0:
                raise InputError("--temps", expected=expected, found=repr(text))
            if step is not None and (high - low) / step > _MOST:
                raise InputError(
                    "--temps", expected=f"at most {_MOST} temperatures", found=repr(text)
                )
            return cls(text, low, high, step)
        try:
            listed = tuple(float(part) for part in text.split(","))
        except ValueError:
            raise InputError("--temps", expected=expected, found=repr(text)) from None
        if not listed or not all(0.0 < t < _LARGEST_K for t in listed):
            raise InputError(
                "--temps", expected="temperatures above 0 and below 1e6 K", found=repr(text)
            )
        return cls(text, listed=listed)

    def values(self) -> tuple[float, ...]:
        """The temperatures to make, K: of a range every 100 K, or every step that was typed."""
        if self.low is None or self.high is None:
            return self.listed
        step = self.step or _STEP_K
        n = int((self.high - self.low) / step + 1e-9) + 1
        return tuple(self.low + i * step for i in range(n))

    def holds(self, temperature_k: float) -> bool:
        """Whether an available temperature is asked for: of a range without step any within."""
        if self.low is not None and self.high is not None and self.step is None:
            return self.low - 1e-6 <= temperature_k <= self.high + 1e-6
        return any(same_temperature(t, temperature_k) for t in self.values())


def selected(groups: Sequence[Group], temps: str | None) -> list[Group]:
    """The groups of the temperatures that were asked for; all where none were.

    Args:
        groups: What is there.
        temps: As typed; None for all.

    Raises:
        InputError: None is there, or one of a list is not.
    """
    if temps is None:
        return list(groups)
    wanted = Temperatures.parse(temps)
    known = [group.temperature_k for group in groups if group.temperature_k is not None]
    available = ", ".join(f"{t:g}" for t in sorted(set(known))) or "none that is known"
    chosen = [g for g in groups if g.temperature_k is not None and wanted.holds(g.temperature_k)]
    missing = [t for t in wanted.listed if not any(same_temperature(t, k) for k in known)]
    if missing or not chosen:
        asked = ", ".join(f"{t:g}" for t in missing) or wanted.text
        raise InputError(f"--temps: no trajectory at {asked} K", found=f"{available} K")
    return chosen
