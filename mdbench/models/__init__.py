"""The force fields that can be trained, by name."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mdbench.errors import InputError, suggest
from mdbench.plugins import Offers, Plugin, offers, plain

if TYPE_CHECKING:
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
#: Entry points by which other packages add theirs, as `my-model = my_package:MyModel`.
GROUP = "mdbench.models"
SIZES = ("paper", "small")
VARIANTS = ("published",)
#: Words that stand for several models where a benchmark is asked for.
WORDS = ("all", "pairs")


@dataclass(frozen=True)
class ModelName:
    """What is asked for by a name as `cgcnn-small:published`.

    Attributes:
        architecture: One of `MODELS`, or of another package.
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


def outside_models() -> Offers:
    """The models of other installed packages, which are not imported."""
    return offers(GROUP, (*MODELS, *WORDS))


def package_of(architecture: str) -> Plugin | None:
    """The package that a model is from; None of one of ours."""
    return None if architecture in MODELS else outside_models().find(architecture)


def model_class(architecture: str) -> type[EnergyModel]:
    """The class of an architecture.

    Raises:
        InputError: One of another package that cannot be imported, or is no model.
    """
    if (plugin := package_of(architecture)) is not None:
        from mdbench.models.outside import outside_class

        return outside_class(plugin)
    module, _, name = MODELS[architecture].partition(":")
    found: type[EnergyModel] = getattr(importlib.import_module(module), name)
    return found


def parse_name(text: str) -> ModelName:
    """What a name asks for; case, dashes and underscores in it do not matter.

    Raises:
        InputError: An unknown architecture, size or variant, or a variant that it does not have.
    """
    name, _, variant = text.strip().lower().replace("@", ":").partition(":")
    architecture, size = _architecture(text, plain(name))
    found = ModelName(architecture, size, variant or None)
    if variant and variant not in VARIANTS:
        raise InputError(f"model {text!r}", expected=f"{name}:published or {name}")
    if variant and not model_class(found.architecture).PUBLISHED:
        raise InputError(
            f"model {text!r}: no published variant",
            expected=f"{found.architecture}: no fault of the published code is one switch away",
        )
    return found


def is_model(text: str) -> bool:
    """Whether a name is that of a model, in any size and variant, be it usable or not."""
    sizes = _sizes(plain(text.replace("@", ":").partition(":")[0]))
    if any(plain(known) in sizes for known in MODELS):
        return True
    others = outside_models()
    return any(name in sizes for name in (*others.usable, *others.faults))


def _sizes(name: str) -> dict[str, str]:
    """What a plain name may mean: architectures, each with the size."""
    small = {name.removesuffix("small"): "small"} if name.endswith("small") else {}
    return {name: "paper"} | small


def _architecture(text: str, name: str) -> tuple[str, str]:
    """Architecture and size of a plain name; what other packages offer is read where it must."""
    asked = _sizes(name)
    ours = {plain(known): known for known in MODELS}
    for each, size in asked.items():
        if each in ours:
            return ours[each], size
    others = outside_models()
    for each, size in asked.items():
        if (plugin := others.find(each)) is not None:
            return plugin.name, size
    known = [*MODELS, *others.names]
    raise InputError(
        f"model {text!r}",
        expected=f"one of {', '.join(known)}, each also as NAME-small",
        remedy=suggest(name.removesuffix("small"), known),
    )


def arguments_of(name: ModelName) -> dict[str, Any]:
    """Keyword arguments that make a model of that size and variant from the defaults.

    Raises:
        InputError: A model of another package without a small size.
    """
    cls = model_class(name.architecture)
    if name.size == "small" and not hasattr(cls, "SMALL"):
        raise InputError(
            f"model {name.text!r}: no small size",
            expected=ModelName(name.architecture, variant=name.variant).text,
        )
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
        arguments = arguments_of(name) | overrides
        if (plugin := package_of(name.architecture)) is not None:
            from mdbench.models.outside import made

            return made(cls, arguments, plugin).eval()
        return cls(**arguments).eval()
