"""Training a model for a given time.

The budget is the contract: whatever training needs stands in it, and it is looked at before each
step. What the last validation will take is kept back, so the last weights are judged, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdbench.collector import leaving_old_objects
from mdbench.errors import InputError
from mdbench.models.base import EnergyModel
from mdbench.training import schedule
from mdbench.training.average import averaged, decay_at, update_average
from mdbench.training.batches import (
    FrameSet,
    Step,
    bytes_per_edge,
    prefetched,
    room,
    steps,
    steps_of_epoch,
)
from mdbench.training.budget import Budget
from mdbench.training.curve import LossCurve
from mdbench.training.loss import loss_of, shift_correction
from mdbench.training.settings import TrainingSettings
from mdbench.training.state import Saved
from mdbench.training.validation import FrameErrors, Plan, frame_errors, plan_validations

FloatArray = NDArray[np.float64]

#: The state is kept as often, and never takes more than this share of the time.
_KEEP_S, _KEEP_SHARE = 30.0, 0.02
#: How fast the running means forget: of the gradient's norm, of the time of a step.
_NORM_DECAY, _TIME_DECAY = 0.99, 0.9
#: States of torch's generators of random numbers, in a state.
_GENERATORS = ("random", "random_cuda")


@dataclass(frozen=True)
class Validation:
    """The averaged weights on the validation frames.

    Attributes:
        step: Steps before it.
        epoch: Epochs before it.
        elapsed_s: Of the budget, s.
        learning_rate: Of the step before it.
        energy_mae: Mean absolute error of energies per atom, eV.
        force_mae: Mean absolute error of force components, eV/Å.
        loss: As in training, but the mean over frames.
        n_frames: Frames that it saw.
    """

    step: int
    epoch: float
    elapsed_s: float
    learning_rate: float
    energy_mae: float
    force_mae: float
    loss: float
    n_frames: int


@dataclass(frozen=True)
class Divergence:
    """Where a loss or gradient was no finite number.

    Attributes:
        step: Number of the step.
        frames: Its frames in the training set; none where it was the validation after the step.
    """

    step: int
    frames: tuple[int, ...]


#: What restoring a damaged state of a training raises.
_DAMAGE = (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError)


class _DivergedError(Exception):
    def __init__(self, divergence: Divergence) -> None:
        self.divergence = divergence


class Training:
    """A training on its way.

    Args:
        model: Normalized, on the device.
        data: Training frames.
        judges: Validation frames.
        settings: The recipe.
        budget: Its time, which runs.
        seed: Of the order of frames, and of what is random in the model.
        stamp: All that the training depends on, which its state says.
        keep: Takes the state of the training, to go on from.
        stop: Whether the user wants it to stop.
        progress: Called with the share done and what is known.

    Attributes:
        step: Steps taken.
        validations: In their order.
        best: The validation of the best weights.
        best_weights: By name, of the averaged model.
        closest: (n_pairs,) Å, smallest distances in the frames that were trained on (`FrameSet`).
        losses: Of the steps.
        stopped: Whether the user stopped it.
        divergence: Where it diverged.
    """

    def __init__(
        self,
        model: EnergyModel,
        data: FrameSet,
        judges: FrameSet,
        settings: TrainingSettings,
        budget: Budget,
        *,
        seed: int,
        stamp: dict[str, Any],
        keep: Callable[[Saved], None],
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[float, str], None] | None = None,
    ) -> None:
        self.model, self.average = model, averaged(model)
        self.data, self.judges, self.settings, self.budget = data, judges, settings, budget
        self._seed, self._stamp, self._keep, self._stop = seed, stamp, keep, stop
        self._progress = progress
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._optimizer = _optimizer(self._parameters, settings)
        self._plateau = schedule.Plateau(settings.learning_rate)
        self._device = model.energy_scale.device
        self.step = 0
        self.validations: list[Validation] = []
        self.best: Validation | None = None
        self.best_weights: dict[str, Tensor] = {}
        self.losses = LossCurve()
        self.closest: FloatArray = np.full(len(data.elements) ** 2, np.inf)
        self.stopped = False
        self.divergence: Divergence | None = None
        self._best_losses: FloatArray = np.empty(0)
        self._plan: Plan | None = None
        self._marks = 0  # shares of the budget after which was validated
        self._first_s: float | None = None  # when the first step began
        self._rate = settings.learning_rate
        self._norm = math.nan
        self._step_s = self._validation_s = self._keep_s = 0.0
        self._kept_at = budget.elapsed
        self._random: dict[str, Tensor] = {}  # states of the generators

    @property
    def epoch(self) -> float:
        """Epochs done."""
        return self.step / steps_of_epoch(len(self.data), self.settings.batch_size)

    def run(self) -> None:
        """Trains until the budget is spent, the user stops it, or it diverges."""
        cuda = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda), leaving_old_objects():
            self._seed_random()
            try:
                self._train()
            except _DivergedError as diverged:
                self.divergence = diverged.divergence

    def _train(self) -> None:
        most_edges = room(self._device) / bytes_per_edge(self.model, self.data.batch([0]))
        if self._plan is None:
            self._plan = plan_validations(
                self.average, self.judges, self.settings, self.budget, len(self.data), most_edges
            )
            self._validation_s = self._plan.estimate_s
        stream = prefetched(
            steps(self.data, self.settings.batch_size, self._seed, self.step, most_edges)
        )
        begun = self.budget.elapsed
        try:
            for step in stream:
                if self.step and self._is_over():
                    break
                self._take(step)
                taken = self.budget.elapsed - begun  # waiting for the batch included
                self._step_s = _mean(self._step_s or math.nan, taken, _TIME_DECAY)
                if self._validation_is_due():
                    self._validate(most_edges)
                self._report()
                self.stopped = self._stop()
                self._keep_if_due()
                if self.stopped:
                    return
                begun = self.budget.elapsed
        finally:
            stream.close()
        if not self.validations or self.validations[-1].step != self.step:
            self._validate(most_edges)

    def _take(self, step: Step) -> None:
        """One step of the optimizer."""
        self._set_rate(self.budget.elapsed)
        self.model.train()
        self._optimizer.zero_grad()
        total = torch.zeros((), device=self._device)
        change = torch.zeros_like(self.model.energy_shifts)
        for batch in step.batches:
            prediction = self.model.predict(batch.graph, create_graph=True)
            loss = loss_of(
                prediction,
                batch,
                self.settings,
                self.model.energy_scale,
                n_systems=len(step.frames),
                n_atoms=step.n_atoms,
            )
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            change += shift_correction(prediction, batch, self.model.n_elements)
        clip = self.settings.clip
        most = math.inf if clip is None or math.isnan(self._norm) else clip * self._norm
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, most)
        loss_value, norm_value = torch.stack([total, norm]).tolist()
        if not math.isfinite(loss_value) or not math.isfinite(norm_value):
            raise _DivergedError(Divergence(self.step, tuple(step.frames.tolist())))
        self._optimizer.step()
        self.model.energy_shifts += self.settings.follow / len(step.frames) * change
        update_average(self.average, self.model, decay_at(self.step, self.settings.average))
        self._norm = _mean(self._norm, min(norm_value, most), _NORM_DECAY)
        self.closest = np.minimum(
            self.closest, np.min([batch.closest for batch in step.batches], axis=0)
        )
        self.losses.append(loss_value)
        self.step += 1

    def _set_rate(self, elapsed: float) -> None:
        if self._first_s is None:
            self._first_s = elapsed
        if self.settings.schedule == "plateau":
            self._rate = self._plateau.learning_rate
        else:
            end = self.budget.seconds - self._validation_s - self._keep_s
            share = (elapsed - self._first_s) / max(end - self._first_s, 1e-9)
            self._rate = self.settings.learning_rate * schedule.cosine(share, self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate

    def _is_over(self) -> bool:
        """Whether the next step would leave too little for the validation after it."""
        needed = self._step_s + self._validation_s + self._keep_s
        return self.budget.elapsed + needed >= self.budget.seconds

    def _validation_is_due(self) -> bool:
        assert self._plan is not None
        if self.settings.validations is None:
            return self.step % steps_of_epoch(len(self.data), self.settings.batch_size) == 0
        marks = math.floor(self._plan.n_validations * self.budget.elapsed / self.budget.seconds)
        due = self._marks < marks < self._plan.n_validations
        self._marks = max(marks, self._marks)
        return due

    def _validate(self, most_edges: float) -> None:
        assert self._plan is not None
        begun = self.budget.elapsed
        errors = frame_errors(
            self.average,
            self.judges,
            self._plan.frames,
            self.settings,
            most_edges=most_edges,
            most_frames=self._plan.batch_size,
            stop=lambda: self.budget.elapsed > self.budget.seconds,
        )
        n = len(errors.losses)
        made = Validation(
            step=self.step,
            epoch=self.epoch,
            elapsed_s=self.budget.elapsed,
            learning_rate=self._rate,
            energy_mae=errors.energy_mae,
            force_mae=errors.force_mae,
            loss=float(errors.losses.mean()),
            n_frames=n,
        )
        if not math.isfinite(made.loss):
            raise _DivergedError(Divergence(self.step, ()))
        self.validations.append(made)
        self._plateau.update(made.loss)
        self._judge(made, errors)
        if n == len(self._plan.frames):
            self._validation_s = self.budget.elapsed - begun

    def _judge(self, made: Validation, errors: FrameErrors) -> None:
        """Keeps the weights where they are the best, by the frames that both validations saw."""
        n = min(len(errors.losses), len(self._best_losses))
        if self.best is None or errors.losses[:n].mean() < self._best_losses[:n].mean():
            self.best, self._best_losses = made, errors.losses
            self.best_weights = {k: v.clone() for k, v in self.average.state_dict().items()}

    def _keep_if_due(self) -> None:
        since = self.budget.elapsed - self._kept_at
        validated = bool(self.validations) and self.validations[-1].step == self.step
        often = 0.0 if validated else _KEEP_S
        if self.stopped or since >= max(often, self._keep_s / _KEEP_SHARE):
            self._keep_now()

    def _keep_now(self) -> None:
        begun = self.budget.elapsed
        self._keep(self.saved())
        self._kept_at = self.budget.elapsed
        self._keep_s = self._kept_at - begun

    def _report(self) -> None:
        if self._progress is None:
            return
        left = max(self.budget.seconds - self.budget.elapsed, 0.0)
        text = f"step {self.step:,}"
        if self.validations:
            last = self.validations[-1]
            text += f", validation {1e3 * last.force_mae:.1f} meV/A"
        self._progress(min(1.0 - left / self.budget.seconds, 1.0), text)

    def saved(self) -> Saved:
        """All that it goes on from."""
        tensors = {"losses": torch.tensor(self.losses.values, dtype=torch.float64)}
        tensors["best_losses"] = torch.from_numpy(self._best_losses)
        tensors["closest"] = torch.from_numpy(self.closest)
        tensors["random"] = torch.get_rng_state()
        if self._device.type == "cuda":
            tensors["random_cuda"] = torch.cuda.get_rng_state(self._device)
        for part, weights in self._weights().items():
            tensors |= {f"{part}.{name}": value for name, value in weights.items()}
        for index, known in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in known.items()}
        counters = {
            "step": self.step,
            "elapsed_s": self.budget.elapsed,
            "first_s": self._first_s,
            "marks": self._marks,
            "norm": self._norm,
            "step_s": self._step_s,
            "validation_s": self._validation_s,
            "keep_s": self._keep_s,
            "plan": None if self._plan is None else self._plan.as_json(),
            "plateau": asdict(self._plateau),
            "validations": [asdict(v) for v in self.validations],
            "best": None if self.best is None else asdict(self.best),
            "losses": self.losses.as_json(),
        }
        return Saved(self._stamp, counters, tensors)

    def _weights(self) -> dict[str, dict[str, Tensor]]:
        parts = {"model": self.model.state_dict(), "average": self.average.state_dict()}
        return parts | ({"best": self.best_weights} if self.best_weights else {})

    def restore(self, saved: Saved) -> None:
        """Goes on from where another one was.

        Raises:
            InputError: The state is not one of such a training.
        """
        try:
            self._restore(saved.counters, saved.tensors)
        except _DAMAGE as error:
            raise InputError("damaged state of a training", remedy="--force starts anew") from error

    def _restore(self, counters: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        def part(name: str) -> dict[str, Tensor]:
            start = f"{name}."
            return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}

        self.model.load_state_dict(part("model"))
        self.average.load_state_dict(part("average"))
        self.best_weights = {k: v.to(self._device) for k, v in part("best").items()}
        known = self._optimizer.state_dict()
        for key, value in part("optimizer").items():
            index, _, name = key.partition(".")
            known["state"].setdefault(int(index), {})[name] = value
        self._optimizer.load_state_dict(known)
        self._random = {name: tensors[name] for name in _GENERATORS if name in tensors}
        self.closest = tensors["closest"].numpy()
        self._best_losses = tensors["best_losses"].numpy()
        self.losses = LossCurve.restored(counters["losses"], tensors["losses"].tolist())
        self.step, self._marks = int(counters["step"]), int(counters["marks"])
        self._first_s, self._norm = counters["first_s"], float(counters["norm"])
        self._step_s, self._keep_s = float(counters["step_s"]), float(counters["keep_s"])
        self._validation_s = float(counters["validation_s"])
        self._plan = None if counters["plan"] is None else Plan.restored(counters["plan"])
        self._plateau = schedule.Plateau(**counters["plateau"])
        self.validations = [Validation(**v) for v in counters["validations"]]
        self.best = None if counters["best"] is None else Validation(**counters["best"])
        spent = float(counters["elapsed_s"])
        if not 0.0 <= spent < math.inf or self.step < 0:
            raise ValueError("time or steps that no training takes")
        self.budget.spent = spent
        self._kept_at = self.budget.elapsed

    def _seed_random(self) -> None:
        torch.manual_seed(self._seed)
        if "random" in self._random:
            torch.set_rng_state(self._random["random"])
        if "random_cuda" in self._random and self._device.type == "cuda":
            torch.cuda.set_rng_state(self._random["random_cuda"], self._device)


def _optimizer(parameters: Sequence[torch.nn.Parameter], settings: TrainingSettings) -> Any:
    kind = torch.optim.AdamW if settings.decoupled else torch.optim.Adam
    return kind(
        parameters,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        amsgrad=settings.amsgrad,
        fused=True,
    )


def _mean(old: float, new: float, decay: float) -> float:
    """A running mean; its first value where there is none yet."""
    return new if math.isnan(old) else decay * old + (1.0 - decay) * new
