"""What other installed packages bring along by name, read without importing them.

A package offers something by an entry point, as `my-model = my_package:MyModel`. Files that
packages left beside their code say so; the code is imported when the name is asked for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from itertools import chain
from typing import Any

from mdbench.errors import InputError

#: Names become words of the command line and parts of paths, as `models/my-model-small-s0`.
_NAME = re.compile(r"[a-z][a-z0-9+]*([-_][a-z0-9+]+)*")
_SEED = re.compile(r"[-_]s[0-9]")
_TARGET = re.compile(r"\w+(\.\w+)*\s*:\s*\w+(\.\w+)*")
_MOST_LETTERS = 40
#: An error of others may be as long as this.
_MOST_TEXT = 200


@dataclass(frozen=True)
class Plugin:
    """A name that an installed package offers.

    Attributes:
        name: As it is asked for.
        target: Where it stands, as `my_package:MyModel`.
        group: Of entry points.
        package: The package, as pip knows it.
        version: Of the package.
    """

    name: str
    target: str
    group: str
    package: str
    version: str

    @property
    def origin(self) -> str:
        """Package and version."""
        return f"{self.package} {self.version}"

    def load(self, what: str) -> Any:
        """What the name stands for; this imports the package.

        Args:
            what: In words, as `model my-model`.

        Raises:
            InputError: The package cannot be imported, or has nothing there.
        """
        try:
            with redirect_stdout(sys.stderr):  # what is printed on import is no result of ours
                return metadata.EntryPoint(self.name, self.target, self.group).load()
        except (Exception, SystemExit) as error:
            raise self.failure(f"{what}: importing {self.target} failed", error) from error

    def failure(self, what: str, error: BaseException) -> InputError:
        """An error that the package raised, in one line."""
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"
        shown = text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"
        return InputError(
            what, where=self.origin, found=shown, remedy=f"that is for {self.package} to mend"
        )


@dataclass(frozen=True)
class Offers:
    """The names of a group.

    Attributes:
        usable: By their plain names.
        faults: Why others are not usable, by their plain names, one line each.
        shadowed: Of names that mdbench has itself, and which mean what they mean in mdbench.
    """

    usable: Mapping[str, Plugin] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    shadowed: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Those that are usable."""
        return [plugin.name for plugin in self.usable.values()]

    @property
    def notes(self) -> list[str]:
        """A line for each name that cannot be used."""
        return [*self.shadowed, *self.faults.values()]

    def find(self, name: str) -> Plugin | None:
        """What a name means, however it is written; None where nobody offers it.

        Raises:
            InputError: It is offered, but not usable.
        """
        if plain(name) in self.faults:
            raise InputError(self.faults[plain(name)])
        return self.usable.get(plain(name))


def plain(name: str) -> str:
    """A name by which names are compared: case, dashes and underscores do not matter."""
    return name.strip().lower().replace("-", "").replace("_", "").replace("plusplus", "++")


def package_key(package: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", package).lower()


def offers(group: str, taken: Collection[str]) -> Offers:
    """What installed packages offer in a group.

    Args:
        group: Of entry points, as `mdbench.models`.
        taken: Names that mdbench has itself.
    """
    known = {plain(name) for name in taken}
    by_name: dict[str, list[Plugin]] = {}
    for plugin in _installed(group, tuple(sys.path)):
        by_name.setdefault(plain(plugin.name), []).append(plugin)
    usable, faults, shadowed = {}, {}, []
    for name, found in by_name.items():
        if name in known:
            shadowed += [f"{p.origin}: {p.name!r} is a name of mdbench's own" for p in found]
        elif fault := _fault(found):
            faults[name] = fault
        else:
            usable[name] = found[0]
    return Offers(usable, faults, tuple(shadowed))


def _fault(found: list[Plugin]) -> str | None:
    """Why a name cannot be used, from what is known without an import."""
    name = found[0].name
    if len(found) > 1:
        owners = " and ".join(plugin.origin for plugin in found)
        return f"{name!r} is offered twice, by {owners}: uninstall one of them"
    origin = found[0].origin
    is_plain = _NAME.fullmatch(name) and not _SEED.search(name) and len(name) <= _MOST_LETTERS
    if not is_plain or name.endswith("small"):
        return (
            f"{origin}: the name {name!r}: expected lowercase letters, digits, + and single "
            f"dashes, at most {_MOST_LETTERS}, no seed as -s0, and not small at the end"
        )
    if not _TARGET.fullmatch(found[0].target):
        return f"{origin}: {name}: expected PACKAGE:NAME, found {found[0].target!r}"
    return None


@cache
def _installed(group: str, _: tuple[str, ...]) -> tuple[Plugin, ...]:
    """What is offered, of the packages on a path; of a package that is there twice, the first."""
    by_package: dict[str, list[Plugin]] = {}
    for distribution in metadata.distributions():
        if found := _offered(distribution, group):
            by_package.setdefault(package_key(found[0].package), found)
    return tuple(chain.from_iterable(by_package.values()))


def _offered(distribution: metadata.Distribution, group: str) -> list[Plugin]:
    """The names that a package offers; none where what it says of itself is damaged."""
    try:
        if f"[{group}]" not in (distribution.read_text("entry_points.txt") or ""):
            return []
        package, version = str(distribution.metadata["Name"]), str(distribution.version)
        points = distribution.entry_points.select(group=group)
        return [Plugin(p.name, p.value, group, package, version) for p in points]
    except Exception:  # of a package that nobody asked for
        return []
