"""The force fields that can be trained."""

from __future__ import annotations

from typing import Any

import torch

from mdbench.models import MODELS, ModelName, arguments_of, model_class


def run() -> list[dict[str, Any]]:
    """What each model claims and how large it is, beside the paper's Table 1."""
    return [_entry(architecture) for architecture in MODELS]


def _entry(architecture: str) -> dict[str, Any]:
    cls = model_class(architecture)
    return {
        "name": architecture,
        "symmetry": cls.symmetry,
        "paper_symmetry": cls.paper_symmetry,
        "forces": "conservative" if cls.conservative else "direct",
        "parameters": _n_parameters(ModelName(architecture)),
        "paper_parameters": cls.paper_parameters,
        "small_parameters": _n_parameters(ModelName(architecture, size="small")),
        "published_variant": bool(cls.PUBLISHED),
        "source": cls.source,
        "remark": cls.remark,
    }


def _n_parameters(name: ModelName) -> int:
    """Trainable parameters, counted without making them."""
    with torch.device("meta"):
        return model_class(name.architecture)(**arguments_of(name)).n_parameters
