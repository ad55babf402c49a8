"""Which installed package the model of a checkpoint is from.

A checkpoint states package and version of a model that is not mdbench's own. That is compared with
what is installed, and never a reason to import, or fetch, anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mdbench.errors import InputError
from mdbench.models import MODELS, ModelName, model_class, package_of, parse_name
from mdbench.models.outside import SYMMETRIES
from mdbench.plugins import package_key

#: As packages and their versions are written.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,99}")
_MODEL = re.compile(r"([a-z][a-z0-9+_-]{0,39}?)(-small)?(?::(published))?")


@dataclass(frozen=True)
class StatedPackage:
    """What a checkpoint says of a model that is not mdbench's own.

    Attributes:
        name: Of the package.
        version: That trained it.
        symmetry: That the model claims.
        conservative: Whether its forces are derivatives of its energy.
    """

    name: str
    version: str
    symmetry: str
    conservative: bool


def package_entry(name: ModelName) -> dict[str, Any] | None:
    """What a checkpoint states of a model's package, plain JSON values; None of one of ours."""
    plugin = package_of(name.architecture)
    if plugin is None:
        return None
    cls = model_class(name.architecture)
    return {
        "name": plugin.package,
        "version": plugin.version,
        "symmetry": cls.symmetry,
        "conservative": cls.conservative,
    }


def stated_package(about: Mapping[str, Any]) -> StatedPackage | None:
    """The package that a checkpoint states; None where it states none.

    Raises:
        InputError: It states something else.
    """
    if (given := about.get("package")) is None:
        return None
    known = given if isinstance(given, dict) else {}
    name, version = known.get("name"), known.get("version")
    symmetry, conservative = known.get("symmetry"), known.get("conservative")
    if (
        not isinstance(name, str)
        or not isinstance(version, str)
        or not _NAME.fullmatch(name)
        or not _VERSION.fullmatch(version)
        or symmetry not in SYMMETRIES
        or not isinstance(conservative, bool)
    ):
        raise InputError(
            "package", expected="its name, version, and what the model claims", found=_shown(given)
        )
    return StatedPackage(name, version, symmetry, conservative)


def installed_model(about: Mapping[str, Any]) -> ModelName:
    """The model of a checkpoint, which is one of ours or of the stated package.

    Args:
        about: What its `model.json` says.

    Raises:
        InputError: The package is not installed, or the name here is that of another model.
    """
    text, stated = _text(about), stated_package(about)
    if stated is None:
        name = parse_name(text)
        if name.architecture not in MODELS:
            raise InputError(f"model {text}", expected="the package that it is from", found="none")
        return name
    name = stated_model(about)
    plugin = package_of(name.architecture)
    if plugin is None or package_key(plugin.package) != package_key(stated.name):
        here = "one of mdbench itself" if name.architecture in MODELS else "no such model here"
        raise InputError(
            f"model {text}",
            expected=f"the package {stated.name} ({stated.version} trained it)",
            found=here if plugin is None else plugin.origin,
            remedy=f"install {stated.name} if you trust it",
        )
    return parse_name(text)


def installed_package(about: Mapping[str, Any]) -> str:
    """Package and version that stand behind a checkpoint here; empty of a model of ours."""
    stated = stated_package(about)
    plugin = None if stated is None else package_of(stated_model(about).architecture)
    if stated is None or plugin is None:
        return ""
    trained = "" if plugin.version == stated.version else f", trained with {stated.version}"
    return plugin.origin + trained


def stated_model(about: Mapping[str, Any]) -> ModelName:
    """The model that a checkpoint states, whether or not it is known here.

    Raises:
        InputError: It is none of ours and of no package, or no name at all.
    """
    text = _text(about)
    if stated_package(about) is None:
        return parse_name(text)
    match = _MODEL.fullmatch(text)
    if match is None:
        raise InputError("name", expected="that of a model", found=_shown(text))
    return ModelName(match[1], "small" if match[2] else "paper", match[3])


def stated_claims(about: Mapping[str, Any]) -> tuple[str, bool]:
    """Symmetry that the model of a checkpoint claims, and whether it is conservative.

    Nothing of another package is imported, so it need not be installed.
    """
    stated = stated_package(about)
    if stated is not None:
        return stated.symmetry, stated.conservative
    cls = model_class(parse_name(_text(about)).architecture)
    return cls.symmetry, cls.conservative


def _text(about: Mapping[str, Any]) -> str:
    value = about.get("name")
    if not isinstance(value, str) or len(value) > 100:
        raise InputError("name", expected="a short text", found=_shown(value))
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
