"""The force fields that can be trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mdbench.errors import InputError
from mdbench.models import (
    MODELS,
    ModelName,
    arguments_of,
    create,
    model_class,
    outside_models,
    package_of,
)
from mdbench.reporting.tables import write_table
from mdbench.stages.outputs import check_outputs
from mdbench.table import Table, Tabular


@dataclass(frozen=True)
class ModelsReport(Tabular):
    """The models, ready to be printed.

    Attributes:
        entries: What each claims and how large it is, plain JSON values; all have the same keys.
        notes: Why models of other packages are missing.
    """

    entries: Sequence[dict[str, Any]]
    notes: Sequence[str] = ()

    def as_json(self) -> list[dict[str, Any]]:
        """One JSON document."""
        return list(self.entries)

    def table(self) -> Table:
        """One row per model."""
        return Table(tuple(self.entries[0]), [tuple(entry.values()) for entry in self.entries])


def run(*, csv: Path | None = None) -> ModelsReport:
    """What each model claims and how large it is, beside the paper's Table 1.

    Models of other packages come last; they are not in Table 1.

    Args:
        csv: Table, one row per model.
    """
    check_outputs(None, csv, None, force=False)
    entries, others = [_entry(architecture) for architecture in MODELS], outside_models()
    notes = others.notes
    for plugin in others.usable.values():
        try:
            entries.append(_entry(plugin.name))
        except InputError as error:
            notes.append(str(error))
    report = ModelsReport(entries, notes)
    if csv is not None:
        write_table(csv, report.table())
    return report


def _entry(architecture: str) -> dict[str, Any]:
    cls, plugin = model_class(architecture), package_of(architecture)
    is_ours, has_small = plugin is None, hasattr(cls, "SMALL")
    return {
        "name": architecture,
        "symmetry": cls.symmetry,
        "paper_symmetry": cls.paper_symmetry if is_ours else None,
        "forces": "conservative" if cls.conservative else "direct",
        "parameters": _n_parameters(ModelName(architecture)),
        "paper_parameters": cls.paper_parameters if is_ours else None,
        "small_parameters": (
            _n_parameters(ModelName(architecture, size="small")) if has_small else None
        ),
        "published_variant": bool(cls.PUBLISHED),
        "source": cls.source,
        "remark": cls.remark,
        "package": None if plugin is None else plugin.origin,
    }


def _n_parameters(name: ModelName) -> int:
    """Trainable parameters; ours are counted without making them."""
    if package_of(name.architecture) is not None:
        return create(name).n_parameters
    with torch.device("meta"):
        return model_class(name.architecture)(**arguments_of(name)).n_parameters
