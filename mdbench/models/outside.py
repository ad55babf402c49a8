"""Models of other packages: what is asked of a class beyond what every model is.

Its hyper-parameters stand in checkpoints, which come from strangers, and its weights in
safetensors files. Where a class does not fit that, a training would be lost at its end; here it is
said at the start.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mdbench.errors import InputError
from mdbench.graph import build_graph
from mdbench.models.base import EnergyModel
from mdbench.plugins import Plugin

SYMMETRIES = ("E(3)", "SE(3)", "T(3)")
_KEYWORDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BASE = f"{EnergyModel.__module__}.{EnergyModel.__name__}"


def outside_class(plugin: Plugin) -> type[EnergyModel]:
    """The class of a model of another package, imported and looked at.

    Raises:
        InputError: It cannot be imported, or is no model that can be trained here.
    """
    what = f"model {plugin.name}"
    return checked(plugin.load(what), f"{plugin.origin}: {what}")


def checked(found: object, what: str) -> type[EnergyModel]:
    """A class, after it was found to be a model that can be trained, kept and loaded.

    Args:
        found: Anything.
        what: In words, with the package.

    Raises:
        InputError: What it lacks.
    """
    if not isinstance(found, type) or not issubclass(found, EnergyModel):
        name = found.__name__ if isinstance(found, type) else f"a {type(found).__name__}"
        raise InputError(what, expected=f"a subclass of {_BASE}", found=name)
    if missing := sorted(found.__abstractmethods__):
        raise InputError(f"{what}: {found.__name__} lacks {', '.join(missing)}()")
    source = getattr(found, "source", None)
    if not isinstance(source, str) or not source.strip():
        raise InputError(
            f"{what}: {found.__name__}.source",
            expected="where the architecture is described, as doi:… or a URL",
            found="none" if source is None else repr(source),
        )
    if found.symmetry not in SYMMETRIES:
        raise InputError(
            f"{what}: {found.__name__}.symmetry",
            expected=f"one of {', '.join(SYMMETRIES)}",
            found=repr(found.symmetry),
        )
    _check_parameters(found, what)
    for name in ("SMALL", "PUBLISHED"):
        _check_arguments(found, name, what)
    return found


def made(cls: type[EnergyModel], arguments: Mapping[str, Any], plugin: Plugin) -> EnergyModel:
    """A model of another package that computes something, and whose weights can be kept.

    Args:
        cls: As `outside_class` gives it.
        arguments: Hyper-parameters.
        plugin: Where it is from.

    Raises:
        InputError: It cannot be made, fails on a little crystal, or its weights cannot be kept.
    """
    what, does = f"model {plugin.name}", "be made"
    try:
        model = cls(**arguments)
        check_state(model, cls, arguments, f"{plugin.origin}: {what}")
        does = "compute two atoms"
        _check_answers(model.eval(), f"{plugin.origin}: {what}")
    except InputError:
        raise
    except Exception as error:
        raise plugin.failure(f"{what} cannot {does}", error) from error
    return model


def check_state(
    model: EnergyModel, cls: type[EnergyModel], arguments: Mapping[str, Any], what: str
) -> None:
    """Refuses a model whose weights cannot be kept in a file, or not be checked against one.

    Args:
        model: Of the class and the arguments.
        cls: Its class.
        arguments: Hyper-parameters.
        what: In words, with the package.

    Raises:
        InputError: The first weight that is in the way.
    """
    with torch.device("meta"):
        blank = cls(**arguments).state_dict()
    places: dict[int, str] = {}
    state = model.state_dict()
    for name in [*state, *blank]:
        if name not in state or name not in blank:
            raise InputError(f"{what}: its weight {name}", expected="there each time it is made")
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise InputError(
                f"{what}: its state {name}", expected="tensors alone", found=type(tensor).__name__
            )
        other = places.setdefault(tensor.untyped_storage().data_ptr(), name)
        if other != name and tensor.numel():
            raise InputError(
                f"{what}: its weights {other} and {name} are one",
                expected="each in memory of its own, as files hold them",
            )
        if blank[name].shape != tensor.shape:
            raise InputError(
                f"{what}: its weight {name}", expected="one shape each time it is made"
            )


def _check_answers(model: EnergyModel, what: str) -> None:
    """Refuses a model whose answers for two atoms have other shapes, or are no numbers."""
    if not 0.0 < model.cutoff < math.inf or model.max_neighbors < 1 or model.n_elements < 2:
        raise InputError(f"{what}: a cutoff, neighbors and elements", expected="some")
    places, cell = np.array([[0.0, 0.0, 0.0], [1.4, 1.6, 1.5]]), 3.0 * np.eye(3)
    numbers = [min(3, model.n_elements - 1)] * 2
    graph = build_graph(
        numbers, places, cell, model.cutoff, max_neighbors=model.max_neighbors, dtype=model.dtype
    )
    with torch.no_grad():
        network = model(graph)
    forces = model.predict(graph).forces
    for name, part, shape in (("energies", network, (1,)), ("forces", forces, (2, 3))):
        if tuple(part.shape) != shape:
            raise InputError(
                f"{what}: {name} of two atoms", expected=f"shape {shape}", found=tuple(part.shape)
            )
        if not part.isfinite().all():
            raise InputError(f"{what}: {name} of two atoms", expected="finite numbers")


def _check_parameters(cls: type[EnergyModel], what: str) -> None:
    """Hyper-parameters have names and plain defaults, so that a checkpoint can state them."""
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind not in _KEYWORDS:
            raise InputError(
                f"{what}: {cls.__name__}({parameter})",
                expected="hyper-parameters by name, each with a default",
            )
        if parameter.default is parameter.empty:
            raise InputError(f"{what}: hyper-parameter {name}", expected="a default", found="none")
        _check_value(parameter.default, f"{what}: default of {name}")


def _check_arguments(cls: type[EnergyModel], which: str, what: str) -> None:
    """SMALL and PUBLISHED, where a class has them, are hyper-parameters of it."""
    given = getattr(cls, which, {})
    if not isinstance(given, Mapping):
        raise InputError(
            f"{what}: {cls.__name__}.{which}",
            expected="hyper-parameters by name",
            found=type(given).__name__,
        )
    known = inspect.signature(cls).parameters
    for name, value in given.items():
        if name not in known:
            raise InputError(f"{what}: {cls.__name__}.{which}: no hyper-parameter {name!r}")
        _check_value(value, f"{what}: {cls.__name__}.{which}: {name}")


def _check_value(value: object, what: str) -> None:
    """Refuses what the description of a checkpoint cannot hold."""
    is_number = type(value) in (int, float)
    if not isinstance(value, bool | int | float | str):
        raise InputError(
            what, expected="a number, a text, True or False", found=type(value).__name__
        )
    if is_number and not 0.0 <= float(value) < math.inf:
        raise InputError(what, expected="zero or more, and finite", found=value)
