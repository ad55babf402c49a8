"""The force fields of a benchmark: what stands in `--models` and in profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mdbench.errors import InputError, located, suggest
from mdbench.models import (
    MODELS,
    ModelName,
    create,
    is_model,
    model_class,
    outside_models,
    package_of,
    parse_name,
)
from mdbench.potentials.calculators import NAMES, outside_calculators
from mdbench.stages.force_fields import calculator_source


@dataclass(frozen=True)
class Entry:
    """A force field that takes part.

    Attributes:
        kind: `trained`: it is trained first; `checkpoint`: it was elsewhere; `calculator`.
        name: As `train --model`, the checkpoint's whole path, or as `--calculator`.
        source: Its name in paths and tables.
        control: Whether it is the reference's own, a model without a fault.
        package: Package and version that a trained model is from; empty of one of ours.
    """

    kind: Literal["trained", "checkpoint", "calculator"]
    name: str
    source: str
    control: bool = False
    package: str = ""

    @property
    def option(self) -> tuple[str, str]:
        """What names it to a command that is run in the run folder."""
        if self.kind == "calculator":
            return "--calculator", self.name
        return "--model", f"models/{self.source}" if self.kind == "trained" else self.name

    @property
    def architecture(self) -> str:
        """What its cost depends on, as `schnet-small`."""
        if self.kind == "calculator":
            return self.name
        name, variant, _ = self.source.partition("@")
        return name if variant else name.rpartition("-s")[0]


def read_entries(texts: Sequence[str], *, size: str, seed: int) -> list[Entry]:
    """The force fields of a list of names.

    Args:
        texts: Each a model as `cgcnn:published`, a checkpoint's path, a calculator as `chgnet` or
            `module:factory`; `all`: every model; `pairs`: each that has a published variant, with
            that variant.
        size: Of the models that `all` and `pairs` mean.
        seed: Of weights.

    Raises:
        InputError: A name that is none of these, one twice, or none at all.
    """
    found: list[Entry] = []
    for text in texts:
        word = text.strip().lower()
        if word == "all":
            found += [_trained(ModelName(name, size), seed) for name in MODELS]
        elif word == "pairs":
            names = [name for name in MODELS if model_class(name).PUBLISHED]
            variants = [ModelName(name, size, v) for name in names for v in (None, "published")]
            found += [_trained(variant, seed) for variant in variants]
        else:
            found.append(_entry(text.strip(), seed))
    if not found:
        raise InputError("no force fields", expected="names of models or calculators")
    for entry in found:
        if sum(other.source == entry.source for other in found) > 1:
            raise InputError("a force field twice", found=entry.source)
    return found


def control(calculator: str) -> Entry:
    """The reference's own force field."""
    return Entry("calculator", calculator, calculator_source(calculator), control=True)


def _trained(name: ModelName, seed: int) -> Entry:
    plugin = package_of(name.architecture)
    origin = "" if plugin is None else plugin.origin
    return Entry("trained", name.text, f"{name.folder}-s{seed}", package=origin)


def _entry(text: str, seed: int) -> Entry:
    path = Path(text)
    if path.exists() or path.suffix in (".json", ".safetensors"):
        return _checkpoint(path)
    if text in NAMES:
        return Entry("calculator", text, calculator_source(text))
    if is_model(text):
        name = parse_name(text)
        if name.architecture not in MODELS:
            create(name)  # what its package lacks is said before any work
        return _trained(name, seed)
    if ":" in text:
        return Entry("calculator", text, calculator_source(text))
    if (plugin := outside_calculators().find(text)) is not None:
        return Entry("calculator", plugin.name, calculator_source(plugin.name))
    models = [*MODELS, *outside_models().names]
    calculators = [*NAMES, *outside_calculators().names]
    raise InputError(
        f"force field {text!r}",
        expected="a model, a checkpoint, a calculator, or MODULE:FACTORY",
        remedy=suggest(
            text.lower(), [*models, *(f"{name}-small" for name in models), *calculators]
        ),
    )


def _checkpoint(path: Path) -> Entry:
    from mdbench.training.checkpoint import JSON_NAME, checkpoint_folder, read_about
    from mdbench.training.packages import installed_model

    folder = checkpoint_folder(path)
    about = read_about(folder)
    try:
        with located(folder / JSON_NAME):
            name = installed_model(about)
        source = f"{name.folder}-s{int(about['seed'])}"
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("no checkpoint of ours", where=folder) from error
    return Entry("checkpoint", str(folder.resolve()), source)
