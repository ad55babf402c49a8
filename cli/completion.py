"""What a shell offers for the word under the cursor; nothing heavy is imported for it."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class ResultFile(click.Path):
    """A file of mdbench: shells offer those that end in .h5."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The .h5 files where there are some and no folder to look into; else what shells do."""
        found = [Path(name) for name in sorted(glob.glob(f"{glob.escape(incomplete)}*"))]  # noqa: PTH207
        chosen = [path for path in found if path.suffix == ".h5" and path.is_file()]
        if not chosen or any(path.is_dir() for path in found):
            return super().shell_complete(ctx, param, incomplete)
        return [CompletionItem(str(path)) for path in chosen]


def words(known: Iterable[str]) -> Completer:
    """Offers some words."""
    listed = tuple(known)
    return lambda ctx, param, incomplete: _starting(listed, incomplete)


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of models; files and those of the run folder where a trained one is asked for."""
    if incomplete.startswith((".", "/", "~")):
        return [CompletionItem(incomplete, type="file")]
    trained = [] if ctx.info_name == "train" else _names_in(ctx, "models/*")
    found = _starting([*trained, *_architectures()], incomplete)
    return found or [CompletionItem(incomplete, type="file")]


def calculators(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of calculators."""
    from mdbench.potentials.calculators import NAMES, outside_calculators

    return _starting([*NAMES, *outside_calculators().names], incomplete)


def force_fields(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The last name of a list of models and calculators with commas between."""
    from mdbench.potentials.calculators import NAMES, outside_calculators

    before, comma, word = incomplete.rpartition(",")
    known = [*_architectures(), *NAMES, *outside_calculators().names]
    return [CompletionItem(f"{before}{comma}{item.value}") for item in _starting(known, word)]


def materials(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of materials, also those of the run folder, and structure files."""
    from mdbench.potentials.materials import MATERIALS

    known = [*MATERIALS, *_names_in(ctx, "reference/*")]
    return _starting(known, incomplete) or [CompletionItem(incomplete, type="file")]


def sources(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The sources of trajectories or results in the run folder."""
    known = [*_names_in(ctx, "rollouts/*"), *_names_in(ctx, "observables/*")]
    if (_run_folder(ctx) / "reference").is_dir():
        known.insert(0, "reference")
    return _starting(known, incomplete)


def profiles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of profiles, and files."""
    from mdbench_workflows.profile import profile_names

    return _starting(profile_names(), incomplete) or [CompletionItem(incomplete, type="file")]


def data_sets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of published data sets."""
    from mdbench.stages.catalog import DATA_SETS

    return _starting([each.name for each in DATA_SETS], incomplete)


#: What is offered for settings, by the name of their field.
SETTINGS: dict[str, Completer] = {
    "model": models,
    "calculator": calculators,
    "material": materials,
    "device": words(("auto", "cpu", "cuda")),
    "precision": words(("float32", "float64")),
    "engine": words(("torch", "ase", "lammps")),
    "start": words(("structure", "reference")),
    "estimator": words(("gls", "pymatgen")),
    "smoothing": words(("false", "max", "constant")),
    "sampling": words(("blocks", "paper")),
    "split": words(("train", "validation", "test", "near")),
}


def _architectures() -> list[str]:
    from mdbench.models import MODELS, outside_models

    ours = [name for known in MODELS for name in (known, f"{known}-small")]
    return [*ours, *outside_models().names]


def _run_folder(ctx: click.Context) -> Path:
    """The run folder that was typed, else the current one."""
    return Path(ctx.params.get("run") or os.environ.get("MDBENCH_RUN", "run"))


def _names_in(ctx: click.Context, pattern: str) -> list[str]:
    """Names of the folders of a run folder that match."""
    found = sorted(_run_folder(ctx).glob(pattern))
    return [path.name for path in found if path.is_dir()]


def _starting(known: Sequence[str], incomplete: str) -> list[CompletionItem]:
    """Those that begin as the word does, each once."""
    typed = incomplete.lower()
    return [CompletionItem(name) for name in dict.fromkeys(known) if name.startswith(typed)]
