"""What a page says about force fields, as CSV."""

from __future__ import annotations

from pathlib import Path

from mdbench.reporting.model_facts import QUANTITIES, Models
from mdbench.reporting.tables import Cell, write_csv
from mdbench.units import EV_IN_MEV

MODELS_NAME, ACCURACY_NAME = NAMES = ("models.csv", "accuracy.csv")
_MODELS_HEADER = (
    *("model", "name", "seed", "n_parameters", "symmetry", "forces", "n_claimed", "failed"),
    *("trained_on", "n_frames", "budget_s", "n_steps", "n_epochs"),
    *("force_mae", "force_unit", "energy_mae", "energy_unit"),
)
_ACCURACY_HEADER = (
    *("model", "material", "split", "transfer", "n_frames"),
    *("of", "quantity", "value", "low", "high", "unit"),
)


def write_tables(folder: Path, models: Models) -> None:
    """Writes models.csv and accuracy.csv; without rows only where there is one to be replaced."""
    for name, header, rows in (
        (MODELS_NAME, _MODELS_HEADER, _models(models)),
        (ACCURACY_NAME, _ACCURACY_HEADER, _accuracy(models)),
    ):
        if rows or (folder / name).exists():
            write_csv(folder / name, header, rows)


def _models(models: Models) -> list[list[Cell]]:
    """One row for each model; its errors are those of the validation whose weights were kept."""
    rows: list[list[Cell]] = []
    for each in models.trained:
        audit = models.audit_of(each.source)
        rows.append(
            [
                each.source,
                each.name,
                each.seed,
                each.n_parameters,
                each.symmetry,
                "conservative" if each.conservative else "direct",
                None if audit is None else audit.n_claimed,
                None if audit is None else " ".join(check.name for check in audit.failed),
                " ".join(each.materials),
                each.n_frames,
                each.budget_s,
                each.n_steps,
                each.n_epochs,
                EV_IN_MEV * each.force_mae,
                "meV/A",
                EV_IN_MEV * each.energy_mae,
                "meV/atom",
            ]
        )
    return rows


def _accuracy(models: Models) -> list[list[Cell]]:
    """One row for each quantity of each model, material and split."""
    rows: list[list[Cell]] = []
    order = sorted(models.errors, key=lambda e: (e.source, e.material, e.split or ""))
    for each in order:
        transfer = None if each.transfer is None else int(each.transfer)
        known: list[Cell] = [each.source, each.material, each.split, transfer, each.n_frames]
        if each.failure is not None:
            rows.append([*known, "failure", each.failure, None, None, None, None])
            continue
        for path in QUANTITIES:
            of, _, quantity = path.rpartition("/")
            found = each.quantities[path]
            rows.append([*known, of, quantity, found.value, found.low, found.high, found.unit])
    return rows
