"""A force field as a calculator of ASE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mdbench.errors import InputError, suggest
from mdbench.md.ase_calculator import MdbenchCalculator
from mdbench.models import MODELS, is_model
from mdbench.potentials.calculators import NAMES, outside_calculators
from mdbench.potentials.calculators import force_field as calculator_by_name
from mdbench.stages.force_fields import resolve


def force_field(
    name: str | Path,
    *,
    run: Path | str | None = None,
    device: str = "auto",
    precision: str = "float32",
    **arguments: Any,
) -> MdbenchCalculator:
    """A force field as a calculator of ASE: energies in eV, forces in eV/Å, stress in eV/Å³.

    Args:
        name: A checkpoint; a model of a run folder, as `schnet-small` or `schnet-small-s0`; or a
            calculator: `refpot`, `chgnet`, `sevennet`, `mace`, or `module:factory`.
        run: The run folder; by default $MDBENCH_RUN, else `run`.
        device: Of a model: auto, cpu or cuda.
        precision: Of a model: float32 or float64.
        arguments: Of a calculator, as `model="0.3.0"`.

    Raises:
        InputError: An unknown name, a model that is not trained there, a missing package.
    """
    text = str(name)
    if text in NAMES or not (Path(text).exists() or _is_model(text)):
        given = {key: str(value) for key, value in arguments.items()}
        if device != "auto":
            given["device"] = device
        known = (*NAMES, *outside_calculators().names)
        if text not in known and ":" not in text:
            remedy = suggest(text.lower(), (*known, *MODELS))
            raise InputError(f"force field {text!r}", remedy=remedy)
        return MdbenchCalculator(calculator_by_name(text, given))
    if arguments:
        raise InputError(f"force field {text!r}: a model takes no arguments", found=arguments)
    found = resolve(
        model=text,
        calculator=None,
        run_folder=None if run is None else Path(run),
        device=device,
        precision=precision,
    )
    return MdbenchCalculator(found.force_field)


def _is_model(text: str) -> bool:
    """Whether a name is that of an architecture, with or without a seed, or a path."""
    stem, _, seed = text.rpartition("-s")
    return "/" in text or is_model(text) or (seed.isdigit() and is_model(stem))
