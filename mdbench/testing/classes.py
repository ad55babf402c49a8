"""Whether a class can stand in mdbench by a name: made, trained, kept and loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mdbench.analysis.audit import Claims
from mdbench.errors import InputError
from mdbench.models.base import EnergyModel
from mdbench.models.outside import check_state, checked


def check_class(cls: type[EnergyModel]) -> None:
    """Requires what is asked of a class that another package offers as a model.

    It is a model, not an abstract one, and says where it is described; its hyper-parameters have
    names and plain defaults; each of its sizes can be made, and its weights kept in a file and
    checked against one. `check_model` is for what it computes.

    Args:
        cls: The class of the entry point.

    Raises:
        AssertionError: What it lacks, in a sentence.
    """
    what = getattr(cls, "__name__", repr(cls))
    try:
        checked(cls, what)
        Claims(cls.symmetry, tolerances=cls.tolerances)
        for name, arguments in _sizes(cls):
            model = cls(**arguments)
            check_state(model, cls, arguments, f"{what}, {name}")
    except InputError as error:
        raise AssertionError(str(error)) from error


def _sizes(cls: type[EnergyModel]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Hyper-parameters of all that can be asked for by name."""
    small: Mapping[str, Any] | None = getattr(cls, "SMALL", None)
    sizes: dict[str, dict[str, Any]] = {"full size": {}}
    if small is not None:
        sizes["SMALL"] = dict(small)
    for name, arguments in sizes.items():
        yield name, arguments
        if cls.PUBLISHED:
            yield f"{name}, PUBLISHED", arguments | dict(cls.PUBLISHED)
