"""The force fields that can be trained, by name."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import Any

from mdbench.errors import InputError, suggest
from mdbench.models.base import EnergyModel

#: Where each architecture stands.
MODELS = {
    "cgcnn": "mdbench.models.cgcnn:Cgcnn",
    "schnet": "mdbench.models.schnet:SchNet",
    "dimenet": "mdbench.models.dimenet:DimeNet",
    "dimenet++": "mdbench.models.dimenet_plus_plus:DimeNetPlusPlus",
    "gns-tat": "mdbench.models.gns_tat:GnsTat",
    "deepergatgnn": "mdbench.models.deeper_gatgnn:DeeperGatgnn",
    "scn": "mdbench.models.scn:Scn",
    "escn": "mdbench.models.escn:Escn",
    "forcenet": "mdbench.models.forcenet:ForceNet",
    "equiformer": "mdbench.models.equiformer:Equiformer",
    "leftnet": "mdbench.models.leftnet:LeftNet",
}
SIZES = ("paper", "small")
VARIANTS = ("published",)


@dataclass(frozen=True)
class ModelName:
    """What is asked for by a name as `cgcnn-small:published`.

    Attributes:
        architecture: One of `MODELS`.
        size: paper or small.
        variant: published, or None for the corrected model.
    """

    architecture: str
    size: str = "paper"
    variant: str | None = None

    @property
    def text(self) -> str:
        """As on the command line."""
        return self._joined(":")

    @property
    def folder(self) -> str:
        """As in paths."""
        return self._joined("@")

    def _joined(self, mark: str) -> str:
        small = "-small" if self.size == "small" else ""
        return self.architecture + small + (f"{mark}{self.variant}" if self.variant else "")


def model_class(architecture: str) -> type[EnergyModel]:
    """The class of an architecture."""
    module, _, name = MODELS[architecture].partition(":")
    found: type[EnergyModel] = getattr(importlib.import_module(module), name)
    return found


def parse_name(text: str) -> ModelName:
    """What a name asks for; case, dashes and underscores in it do not matter.

    Raises:
        InputError: An unknown architecture, size or variant, or a variant that it does not have.
    """
    name, _, variant = text.strip().lower().replace("@", ":").partition(":")
    plain = name.replace("-", "").replace("_", "").replace("plusplus", "++")
    architectures = {known.replace("-", ""): known for known in MODELS}
    size = "paper"
    if plain not in architectures and plain.endswith("small"):
        plain, size = plain.removesuffix("small"), "small"
    if plain not in architectures:
        raise InputError(
            f"model {text!r}",
            expected=f"one of {', '.join(MODELS)}, each also as NAME-small",
            remedy=suggest(plain, architectures),
        )
    found = ModelName(architectures[plain], size, variant or None)
    if variant and variant not in VARIANTS:
        raise InputError(f"model {text!r}", expected=f"{name}:published or {name}")
    if variant and not model_class(found.architecture).PUBLISHED:
        raise InputError(
            f"model {text!r}: no published variant",
            expected=f"{found.architecture}: no fault of the published code is one switch away",
        )
    return found


def arguments_of(name: ModelName) -> dict[str, Any]:
    """Keyword arguments that make a model of that size and variant from the defaults."""
    cls = model_class(name.architecture)
    arguments = dict(cls.SMALL) if name.size == "small" else {}
    return arguments | (dict(cls.PUBLISHED) if name.variant else {})


def create(name: ModelName, *, seed: int = 0, **overrides: Any) -> EnergyModel:
    """A model with random weights from the seed, in evaluation mode and float32.

    Args:
        name: Architecture, size, variant.
        seed: Of the weights.
        overrides: Other hyper-parameters.

    Raises:
        InputError: A hyper-parameter that the architecture does not have.
    """
    import torch

    cls = model_class(name.architecture)
    known = list(inspect.signature(cls).parameters)
    for key in overrides:
        if key not in known:
            raise InputError(f"{name.text}: no hyper-parameter {key!r}", remedy=suggest(key, known))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cls(**(arguments_of(name) | overrides)).eval()
