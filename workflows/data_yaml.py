"""The YAML file in which users say what their trajectories are."""

from __future__ import annotations

import dataclasses
import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdbench.config import IngestConfig
from mdbench.errors import InputError, located, suggest
from mdbench.formats.hints import is_file, parse_cell, parse_species

from .data_files import natural
from .yaml_text import plain_yaml

#: Names that are looked for in a folder.
NAMES = ("runs.yaml", "runs.yml")
_MOST_BYTES, _MOST_FILES, _DEEPEST = 256_000, 10_000, 8
#: Settings of `mdbench ingest` by the name of their option; the label is the workflow's.
_FIELDS = {
    (f.metadata["flag"] or f.name).lstrip("-").replace("-", "_"): f
    for f in dataclasses.fields(IngestConfig)
    if f.name != "label"
}
#: Nothing that is set is larger.
_LARGEST = 1e15
_WORDS = {"str": "text, in quotes", "bool": "true or false", "int": "a whole number"}


@dataclass(frozen=True)
class Stated:
    """A run as the file states it.

    Attributes:
        files: Its files, in order.
        config: What the files do not say.
        temperature_is_its_own: The temperature stands with this run, not beside all of them.
    """

    files: tuple[Path, ...]
    config: IngestConfig
    temperature_is_its_own: bool


def read_stated(path: Path) -> tuple[list[Stated] | None, IngestConfig]:
    """The runs that a YAML file lists, None where it lists none, and the settings of all of them.

    Raises:
        InputError: No YAML, an unknown key, a value of another type, files that are not there.
    """
    document = _document(path)
    listed = document.pop("runs", None)
    with located(path):
        defaults = _settings(document, {"runs": None, **_FIELDS})
        if listed is None:
            return None, IngestConfig(**_resolved(defaults, path.parent))
        if not isinstance(listed, list) or not listed:
            raise InputError("runs", expected="a list", found=_shown(listed))
        return [
            _stated(entry, f"run {number}: ", defaults, path.parent)
            for number, entry in enumerate(listed, start=1)
        ], IngestConfig(**_resolved(defaults, path.parent))


def _document(path: Path) -> dict[Any, Any]:
    """Keys and values of the file."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        text = raw.decode("utf-8")
        if len(raw) > _MOST_BYTES:
            raise InputError("too long", where=path, expected=f"at most {_MOST_BYTES} bytes")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error
    except UnicodeDecodeError as error:
        raise InputError("no YAML", where=path, found=str(error)[:200]) from error
    with located(path):
        stored = plain_yaml(
            text,
            deepest=_DEEPEST,
            expected="runs: […]",
            remedy="what holds for all runs stands beside `runs:`",
        )
    if not isinstance(stored, dict):
        raise InputError("no keys and values", where=path, expected="runs: […]")
    return stored


def _stated(entry: Any, place: str, defaults: Mapping[str, Any], folder: Path) -> Stated:
    if not isinstance(entry, dict):
        raise InputError(f"{place}expected keys and values, as files: …", found=_shown(entry))
    own = dict(entry)
    listed = own.pop("files", None)
    values = _settings(own, {"files": None, **_FIELDS}, place)
    names = [listed] if isinstance(listed, str) else listed
    if not isinstance(names, list) or not names or not all(map(_is_name, names)):
        raise InputError(f"{place}files", expected="names of files", found=_shown(listed))
    try:
        config = IngestConfig(**_resolved({**defaults, **values}, folder))
    except InputError as error:
        raise InputError(f"{place}{error}") from error
    return Stated(_files(names, folder, place), config, "temperature_k" in values)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _settings(
    stored: Mapping[Any, Any], known: Mapping[str, Any], place: str = ""
) -> dict[str, Any]:
    """Fields of `IngestConfig` and their values."""
    found = {}
    for key, value in stored.items():
        field = known.get(key) if isinstance(key, str) else None
        if field is None:
            raise InputError(f"{place}unknown key {_shown(key)}", remedy=suggest(str(key), known))
        kind = str(field.type).removesuffix(" | None")
        found[field.name] = _value(kind, value, f"{place}{key}")
    return found


def _value(kind: str, value: Any, name: str) -> Any:
    """A value of the type that a setting has; lists and mappings as their options spell them."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "str" and name.endswith(("species", "cell")):
        value, number = _spelled(value), False
    if kind == "float" and number and abs(value) < _LARGEST:
        return float(value)
    if (kind == "int" and number and isinstance(value, int)) or (
        kind in ("str", "bool") and type(value).__name__ == kind and value != ""
    ):
        return value
    raise InputError(name, expected=_WORDS.get(kind, "a number"), found=_shown(value))


def _spelled(value: Any) -> Any:
    """`[Li, P]` as `Li,P` and `{1: Li}` as `1=Li`."""
    if isinstance(value, dict):
        return ",".join(f"{key}={_symbol(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ",".join(
            f"{one!r}" if isinstance(one, int | float) and one is not False else _symbol(one)
            for one in value
        )
    return value


def _symbol(value: Any) -> str:
    """Nobelium is the word for false."""
    return "No" if value is False else str(value)


def _resolved(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The settings with paths that hold everywhere, checked."""
    known = dict(values)
    if known.get("frame_interval_fs") == 0:
        raise InputError("frame_interval_fs", expected="above 0: a run has a time axis", found=0)
    if "species" in known:
        parse_species(known["species"])
    if "cell" in known:
        beside = folder.absolute() / known["cell"]
        known["cell"] = str(beside) if is_file(beside) else known["cell"]
        parse_cell(known["cell"])
    return known


def _files(names: Sequence[str], folder: Path, place: str) -> tuple[Path, ...]:
    """Files by name or pattern, those of a pattern in natural order."""
    found: list[Path] = []
    for name in names:
        matches = [name]
        if not is_file(folder / name) and glob.has_magic(name):
            matches = sorted(glob.glob(name, root_dir=folder, recursive=True), key=natural)  # noqa: PTH207
        paths = [(folder / match).absolute() for match in matches]
        paths = [path for path in paths if is_file(path)]
        if not paths:
            raise InputError(f"{place}files", expected="existing files", found=repr(name))
        found.extend(path for path in paths if path not in found)
    if len(found) > _MOST_FILES:
        raise InputError(f"{place}files", expected=f"at most {_MOST_FILES}", found=len(found))
    return tuple(found)


def _shown(value: Any) -> str:
    """A value in few letters, whatever it is."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:60] + "…"
