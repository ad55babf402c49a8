"""Training: a dataset in, a checkpoint and its learning curve out, within a given time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols

from mdbench.claims import claimed
from mdbench.config import TrainConfig, stamp
from mdbench.errors import InputError, suggest
from mdbench.models import (
    ModelName,
    arguments_of,
    create,
    model_class,
    package_of,
    parse_name,
)
from mdbench.models.base import EnergyModel
from mdbench.potentials.materials import known_as
from mdbench.samples import Samples
from mdbench.stages.dataset import content_hash, load
from mdbench.stages.dataset_file import read_dataset
from mdbench.stages.force_fields import torch_device
from mdbench.stages.outputs import current_run
from mdbench.store import Dataset, Input, check_output, input_of, read_result, write_result
from mdbench.training.batches import FrameSet
from mdbench.training.budget import Budget
from mdbench.training.checkpoint import (
    JSON_NAME,
    Checkpoint,
    all_arguments,
    pair_names,
    read_about,
    save_checkpoint,
)
from mdbench.training.loop import Training
from mdbench.training.loss import normalization, normalize
from mdbench.training.settings import DEFAULT, DEFAULT_SMALL, PAPER, TrainingSettings
from mdbench.training.state import check_settings, read_state, write_state
from mdbench.units import EV_IN_MEV

Progress = Callable[[float, str], None]

STATE_NAME, CURVE_NAME = "training.state", "training.h5"


@dataclass
class TrainReport:
    """What became of a training, ready to be printed.

    Attributes:
        document: The result; nothing where it was stopped.
        notes: What the user should know.
        stopped: Whether the user stopped it before its end.
    """

    document: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    stopped: bool = False

    def as_json(self) -> dict[str, Any]:
        """One JSON document."""
        return self.document

    def as_text(self) -> str:
        """A few lines."""
        if self.stopped:
            return ""
        d = self.document
        best, ended = d["validation"], d["end_reason"]
        lines = [
            f"{d['name']}: {d['n_parameters']:,} parameters, {d['n_steps']:,} steps, "
            f"{d['n_epochs']:.3g} epochs in {d['seconds']:.0f} s",
            f"  validation: forces {EV_IN_MEV * best['force_mae']:.1f} meV/A, "
            f"energy {EV_IN_MEV * best['energy_mae']:.2f} meV/atom "
            f"({best['n_frames']} frames, step {best['step']:,})",
            f"  {d['checkpoint']}",
        ]
        return "\n".join(lines + ([f"  ended early: {ended}"] if ended else []))


def run(
    config: TrainConfig,
    *,
    materials: Sequence[str] = (),
    data: Sequence[Path] = (),
    run_folder: Path | None = None,
    plot: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
    stop: Callable[[], bool] = lambda: False,
) -> TrainReport:
    """A model in models/<name>-s<seed>/ of a run folder: made, gone on with, or already done.

    Args:
        config: Model, budget, recipe, seed.
        materials: Whose datasets of the run folder are trained on.
        data: Datasets, instead of those.
        run_folder: By default $MDBENCH_RUN, else `run`.
        plot: Figure of the learning curve.
        force: Train anew.
        progress: Called with the share done and the last validation.
        clock: Seconds that pass; the budget runs from the call of this.
        stop: Whether the user wants it to stop; asked after each step.

    Raises:
        InputError: Also where it diverged before its first validation.
    """
    budget = Budget(config.budget_s, clock)
    name = _model_name(config)
    folder = current_run(run_folder)
    paths = list(data) or [_dataset(folder, material) for material in materials]
    target = folder / "models" / f"{name.folder}-s{config.seed}"
    _check_outputs(target, plot)
    settings = recipe(config, name.size)
    stamped = {
        "model": name.text,
        "seed": config.seed,
        "budget_s": config.budget_s,
        "recipe": dataclasses.asdict(settings),
        "data": [content_hash(path) for path in paths],
    }
    if (plugin := package_of(name.architecture)) is not None:
        stamped["package"] = plugin.origin
    task = _Task(config, name, settings, stamped, paths, target)
    report = None if force else task.finished()
    if report is None:
        with claimed(task.state):
            report = task.train(budget, force=force, progress=progress, stop=stop)
    if plot is not None and not report.stopped:
        _draw(target, plot, name.text)
    return report


def recipe(config: TrainConfig, size: str) -> TrainingSettings:
    """The published recipe, or ours for models of a size, with what was asked for."""
    ours = DEFAULT_SMALL if size == "small" else DEFAULT
    known = PAPER if config.paper else ours
    return dataclasses.replace(
        known,
        batch_size=config.batch_size or known.batch_size,
        learning_rate=config.learning_rate or known.learning_rate,
    )


@dataclass(frozen=True)
class _Task:
    """A training that is asked for."""

    config: TrainConfig
    name: ModelName
    settings: TrainingSettings
    stamped: dict[str, Any]
    paths: list[Path]
    target: Path

    @property
    def state(self) -> Path:
        """What an unfinished training goes on from."""
        return self.target / STATE_NAME

    def finished(self) -> TrainReport | None:
        """The report of a training that is done; refuses one with other settings."""
        if self.state.exists() or not (self.target / JSON_NAME).exists():
            return None
        training = read_about(self.target).get("training")
        if not isinstance(training, dict) or not isinstance(training.get("settings"), dict):
            raise InputError("no training of ours", where=self.target, remedy="--force trains anew")
        check_settings(self.target, training["settings"], self.stamped)
        document = {**training, "checkpoint": str(self.target)}
        return TrainReport(document, [f"{self.target}: already done"])

    def train(
        self, budget: Budget, *, force: bool, progress: Progress | None, stop: Callable[[], bool]
    ) -> TrainReport:
        """Trains, from the start or from where it was."""
        torch.set_num_threads(self.config.threads)
        if force:
            self.state.unlink(missing_ok=True)
        saved = read_state(self.state, self.stamped) if self.state.exists() else None
        device = torch.device(torch_device(self.config.device))
        splits = [load(path, ("train", "validation")) for path in self.paths]
        samples = _frames(splits, "train", self.paths)
        judges = _frames(splits, "validation", self.paths)
        model = create(self.name, seed=self.config.seed)
        _check_elements(samples, model)
        normalize(model, normalization(samples, model.n_elements))
        frames, validation_frames = (
            FrameSet(part, model.cutoff, model.max_neighbors, device=device, dtype=model.dtype)
            for part in (samples, judges)
        )
        training = Training(
            model.to(device),
            frames,
            validation_frames,
            self.settings,
            budget,
            seed=self.config.seed,
            stamp=self.stamped,
            keep=lambda state: write_state(self.state, state),
            stop=stop,
            progress=progress,
        )
        if saved is not None:
            training.restore(saved)
        training.run()
        return self._finish(training, device, resumed=saved is not None)

    def _finish(self, training: Training, device: torch.device, *, resumed: bool) -> TrainReport:
        notes = ["went on where it was"] if resumed else []
        if training.stopped:
            spent = f"{training.budget.elapsed:.0f} s of {training.budget.seconds:.0f} s"
            notes.append(f"stopped after {spent}; the same command goes on")
            return TrainReport({}, notes, stopped=True)
        ended = self._end_reason(training)
        if training.best is None:
            self.state.unlink(missing_ok=True)
            raise InputError(
                f"{self.name.text}: {ended}, before any validation",
                remedy="a lower --learning-rate",
            )
        if ended:
            notes.append(f"{ended}; the best weights before it are kept")
        document = self._document(training, device, ended)
        self._write_curve(training, document)
        elements = [chemical_symbols[z] for z in training.data.elements.tolist()]
        model = create(self.name, seed=self.config.seed)
        model.load_state_dict(training.best_weights)
        cls = model_class(self.name.architecture)
        checkpoint = Checkpoint(
            model=model,
            name=self.name.text,
            seed=self.config.seed,
            arguments=all_arguments(cls, arguments_of(self.name)),
            elements=tuple(elements),
            closest=pair_names(elements, training.closest.tolist()),
            training=document,
        )
        save_checkpoint(self.target, checkpoint)
        self.state.unlink(missing_ok=True)
        return TrainReport({**document, "checkpoint": str(self.target)}, notes)

    def _end_reason(self, training: Training) -> str | None:
        """Why it ended early, in words; None where it did not."""
        found = training.divergence
        if found is None:
            return None
        if not found.frames:
            return f"the validation after step {found.step} was not finite"
        places = ", ".join(self._place(training.data, frame) for frame in found.frames)
        return f"loss or gradient of step {found.step} was not finite ({places})"

    def _place(self, data: FrameSet, frame: int) -> str:
        part, k = data.place(frame)
        sample = data.samples[part]
        source = read_dataset(self.paths[part]).sources[int(sample.runs[k])].path
        return f"{source} frame {int(sample.frames[k])}"

    def _document(
        self, training: Training, device: torch.device, ended: str | None
    ) -> dict[str, Any]:
        assert training.best is not None
        kind = "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
        return {
            "name": self.name.text,
            "seed": self.config.seed,
            "n_parameters": training.model.n_parameters,
            "n_steps": training.step,
            "n_epochs": training.epoch,
            "n_frames": len(training.data),
            "budget_s": training.budget.seconds,
            "seconds": training.budget.elapsed,
            "validation": dataclasses.asdict(training.best),
            "end_reason": ended,
            "device": kind,
            "threads": self.config.threads,
            "settings": self.stamped,
        }

    def _write_curve(self, training: Training, document: dict[str, Any]) -> None:
        made = training.validations
        best = [v.step for v in made].index(document["validation"]["step"])
        columns = {
            "step": ("", np.int64),
            "epoch": ("", np.float64),
            "elapsed_s": ("s", np.float64),
            "learning_rate": ("", np.float64),
            "energy_mae": ("eV", np.float64),
            "force_mae": ("eV Angstrom-1", np.float64),
            "loss": ("", np.float64),
            "n_frames": ("", np.int64),
        }
        datasets = {
            f"validation/{name}": Dataset(
                np.array([getattr(v, name) for v in made], dtype=kind), unit, ("validation",)
            )
            for name, (unit, kind) in columns.items()
        }
        datasets["loss/step"] = Dataset(training.losses.steps, "", ("mean",))
        datasets["loss/value"] = Dataset(np.array(training.losses.values), "", ("mean",))
        inputs: list[Input] = [input_of(path, "dataset") for path in self.paths]
        attributes = {**document, "best": best, "loss_every": training.losses.every}
        write_result(
            self.target / CURVE_NAME,
            "training",
            datasets,
            attributes=attributes,
            config=stamp(self.config),
            inputs=inputs,
        )


def _model_name(config: TrainConfig) -> ModelName:
    if config.model is None:
        raise InputError("what is to be trained", expected="--model NAME", found="none")
    name = parse_name(config.model)
    if package_of(name.architecture) is not None:
        create(name)  # what its package lacks is said before any work
    return name


def _dataset(folder: Path, material: str) -> Path:
    """The dataset of a material in a run folder."""
    known = {path.stem: path for path in sorted(folder.glob("dataset/*.h5"))}
    if (name := known_as(material, known)) is not None:
        return known[name]
    raise InputError(
        f"no dataset of {material}",
        where=folder / "dataset",
        remedy=suggest(material, known) if known else "`mdbench dataset` makes one",
    )


def _check_outputs(target: Path, plot: Path | None) -> None:
    """Refuses what cannot be written, before any work."""
    check_output(target / CURVE_NAME, force=True)
    if plot is not None:
        from mdbench.reporting.figures import check_name

        check_name(plot)
        check_output(plot, force=True)


def _frames(
    splits: Sequence[dict[str, Samples]], name: str, paths: Sequence[Path]
) -> list[Samples]:
    """The frames of a split of all datasets; each has some."""
    for split, path in zip(splits, paths, strict=True):
        if not len(split[name]):
            raise InputError(
                f"no frames for {name}", where=path, remedy="`mdbench dataset --force`"
            )
    return [split[name] for split in splits]


def _check_elements(samples: Sequence[Samples], model: EnergyModel) -> None:
    most = max(int(part.atomic_numbers.max()) for part in samples)
    if most >= model.n_elements:
        raise InputError(
            f"element {chemical_symbols[most]}",
            expected=f"elements up to {chemical_symbols[model.n_elements - 1]}, as the model has",
        )


def _draw(target: Path, plot: Path, name: str) -> None:
    from mdbench.reporting.figures import save
    from mdbench.reporting.training_figure import TrainingCurves, training_figure

    stored = read_result(target / CURVE_NAME, "training")
    columns = {key: values.astype(np.float64) for key, values in stored.datasets.items()}
    curves = TrainingCurves(
        name=name,
        loss_steps=columns["loss/step"],
        losses=columns["loss/value"],
        steps=columns["validation/step"],
        elapsed_s=columns["validation/elapsed_s"],
        energy_mae=columns["validation/energy_mae"],
        force_mae=columns["validation/force_mae"],
        validation_losses=columns["validation/loss"],
        best=int(stored.attributes["best"]),
    )
    save(training_figure(curves), plot)
