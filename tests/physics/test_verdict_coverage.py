"""The stability verdict on runs whose truth is known: floor, interval and states keep their word.

Runs are drawn again and again: trajectories of a hopping conductor, and a surrogate (normal modes
of g(r) that forget exponentially in time) where thousands of independent runs are wanted.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mdbench.analysis.noise import RunSample
from mdbench.analysis.pair_counts import count_pairs
from mdbench.analysis.stability import classify, compare
from mdbench.synthetic import HoppingModel, ion_conductor

R_MAX, DR, N_BINS = 6.0, 0.05, 120
POOLINGS = [(1, 1), (1, 3), (6, 3)]  # runs of the model, of the reference


@dataclass(frozen=True)
class Surrogate:
    """Modes of g(r), the first the largest and slowest, and counting noise in every bin."""

    n_modes: int = 15
    decay: float = 0.5  # amplitude of mode i goes with i ** −decay
    slowest: float = 6.0  # correlation time in frames, of 200
    fastest: float = 1.0
    counting: float = 0.3

    def runs(self, n: int, rng: np.random.Generator) -> list[RunSample]:
        shapes_rng = np.random.default_rng(7)
        r = (np.arange(N_BINS) + 0.5) * DR
        centers = shapes_rng.uniform(1.8, R_MAX, (self.n_modes, 1))
        widths = shapes_rng.uniform(0.1, 0.4, (self.n_modes, 1))
        amplitudes = (1.0 + np.arange(self.n_modes)[:, None]) ** -self.decay
        shapes = amplitudes * np.exp(-0.5 * ((r - centers) / widths) ** 2)
        kept = np.exp(-1.0 / np.geomspace(self.slowest, self.fastest, self.n_modes))
        state = rng.standard_normal((n, self.n_modes))
        blocks = np.zeros((10, n, self.n_modes))
        for frame in range(200):
            blocks[frame // 20] += state / 20
            noise = rng.standard_normal(state.shape)
            state = kept * state + np.sqrt(1.0 - kept**2) * noise
        g = blocks.transpose(1, 0, 2) @ shapes
        g += self.counting / np.sqrt(20) * rng.standard_normal(g.shape) * (r > 1.5)
        return [RunSample(1.0 + 0.07 * own, 20.0, 200) for own in g]


@dataclass(frozen=True)
class Found:
    """What many draws of a model and a reference gave."""

    comparisons: list[Any]  # of Comparison, all with floor and interval

    def column(self, of: Callable[[Any], float]) -> NDArray[np.float64]:
        return np.array([of(c) for c in self.comparisons])

    @property
    def mean(self) -> float:
        return float(self.column(lambda c: c.rdf_mae).mean())

    @property
    def predicted_over_true(self) -> float:
        return float(self.column(lambda c: c.floor.expected).mean()) / self.mean

    @property
    def exceedance(self) -> float:
        return float(self.column(lambda c: c.rdf_mae > c.floor.q95).mean())

    @property
    def coverage(self) -> float:
        """How often the interval holds the expectation of rdf_mae."""
        return float(self.column(lambda c: c.interval[0] <= self.mean <= c.interval[1]).mean())

    @property
    def called_unstable(self) -> float:
        """By the noise alone: a threshold that noise exceeds excuses nobody."""
        strict = (classify(replace(c, threshold=0.0)) for c in self.comparisons)
        return sum(v.state == "unstable" for v in strict) / len(self.comparisons)


def draws(runs: list[RunSample], pooling: tuple[int, int], n: int, wrong=0.0) -> Found:
    """Comparisons of runs drawn without replacement; `wrong` is added to g of the model."""
    rng = np.random.default_rng(1)
    n_model, n_reference = pooling
    found = []
    for _ in range(n):
        chosen = [runs[i] for i in rng.permutation(len(runs))[: n_model + n_reference]]
        model = [replace(run, blocks=run.blocks + wrong) for run in chosen[:n_model]]
        found.append(compare(model, chosen[n_model:]))
    return Found(found)


def conductor_frames(
    model: HoppingModel, n: int, *, temperature_k: float, frame_interval_fs: float, per_block: int
) -> NDArray[np.float64]:
    """(n, 100 / per_block, n_bins) total g(r) of consecutive frames of each run of 100."""
    edges = DR * np.arange(N_BINS + 1)
    found = []
    for seed in range(n):
        run = ion_conductor(
            model,
            100,
            np.random.default_rng(seed),
            temperature_k=temperature_k,
            frame_interval_fs=frame_interval_fs,
        )
        species = np.zeros(run.n_atoms, dtype=int)
        ideal = 0.5 * run.n_atoms**2 / np.linalg.det(run.cells[0]) * 4 * np.pi / 3
        norm = per_block * ideal * np.diff(edges**3)
        parts = np.split(np.asarray(run.positions), 100 // per_block)
        counts = [count_pairs(x, run.cells[: len(x)], species, R_MAX, DR).counts[0] for x in parts]
        found.append(np.array(counts) / norm)
    return np.array(found)


def sample(
    frames: NDArray[np.float64], *, interval_ps: float | None = 0.02, n_blocks: int = 10
) -> RunSample:
    """A run of (n_frames, n_bins) g(r)."""
    n_frames = len(frames)
    used = frames[: n_frames // n_blocks * n_blocks]
    blocks = used.reshape(n_blocks, -1, frames.shape[1]).mean(axis=1)
    return RunSample(blocks, None if interval_ps is None else interval_ps * n_frames, n_frames)


@pytest.fixture(scope="module")
def conductor():
    """Frames every 20 fs for 2 ps: neighboring blocks are still correlated."""
    blocks = conductor_frames(
        HoppingModel(), 200, temperature_k=800.0, frame_interval_fs=20.0, per_block=10
    )
    return [RunSample(run, 2.0, 100) for run in blocks]


@pytest.fixture(scope="module")
def frames():
    """(40, 100, n_bins) g(r) of single frames of the same conductor."""
    return conductor_frames(
        HoppingModel(), 40, temperature_k=800.0, frame_interval_fs=20.0, per_block=1
    )


@pytest.fixture(scope="module")
def surrogate():
    return Surrogate().runs(6000, np.random.default_rng(0))


def check(found: Found) -> None:
    assert 0.9 < found.predicted_over_true < 1.1
    assert 0.02 <= found.exceedance <= 0.08
    assert found.coverage >= 0.9
    assert found.called_unstable < 0.05


@pytest.mark.parametrize("pooling", POOLINGS)
def test_perfect_model_of_a_conductor(conductor, pooling):
    check(draws(conductor, pooling, 600))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_perfect_model_in_many_independent_draws(surrogate, pooling):
    check(draws(surrogate, pooling, 1000))


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0], ids=["hardly", "somewhat", "clearly"])
@pytest.mark.parametrize("pooling", [(1, 1), (2, 2), (6, 3)])
def test_interval_of_a_wrong_model(conductor, pooling, share):
    """g(r) of the model is moved outwards by a share of a bin."""
    g = np.mean([run.g for run in conductor], axis=0)
    found = draws(conductor, pooling, 200, wrong=share * (np.roll(g, 1) - g))
    assert found.coverage >= 0.9
    states = [classify(c).state for c in found.comparisons]
    assert share < 1.0 or states.count("unstable") > 190
    assert share > 0.1 or states.count("unstable") == 0


@pytest.mark.parametrize(
    ("model_share", "reference_share"), [(1.0, 0.3), (0.3, 1.0)], ids=["short ref", "short model"]
)
def test_unequal_lengths(frames, model_share, reference_share):
    runs = {share: [sample(f[: int(100 * share)]) for f in frames] for share in (0.3, 1.0)}
    rng = np.random.default_rng(2)
    found = []
    for _ in range(400):
        chosen = rng.permutation(len(frames))
        model = [runs[model_share][i] for i in chosen[:2]]
        found.append(compare(model, [runs[reference_share][i] for i in chosen[2:5]]))
    result = Found(found)
    assert 0.9 < result.predicted_over_true < 1.1
    assert 0.01 <= result.exceedance <= 0.1
    assert result.coverage >= 0.9


@pytest.mark.parametrize("what", ["model", "reference", "both"])
@pytest.mark.parametrize("clock", ["kept", "stretched", "none"])
@pytest.mark.parametrize("wrong", [0.0, 0.15, 1.0])
def test_repeated_frames_do_not_change_the_verdict(frames, what, clock, wrong):
    """Every frame five times says nothing new, whatever the clock of the file claims.

    Of the models that are moved by 0.15 bins one in two is at the edge of two states, and two of
    twenty may fall to the other side (8 to 11 would, if the clock were believed).
    """
    g = frames.mean(axis=(0, 1))
    moved = frames + wrong * (np.roll(g, 1) - g)
    interval = {"kept": 0.004, "stretched": 0.02, "none": None}[clock]
    once = None if clock == "none" else 0.02
    same = 0
    for start in range(0, 40, 2):
        model, reference = moved[start], frames[start + 1]
        plain = classify(
            compare([sample(model, interval_ps=once)], [sample(reference, interval_ps=once)])
        )
        model_run, reference_run = (
            sample(np.repeat(run, 5, axis=0), interval_ps=interval)
            if what in (side, "both")
            else sample(run, interval_ps=once)
            for side, run in (("model", model), ("reference", reference))
        )
        same += classify(compare([model_run], [reference_run])).state == plain.state
    assert same >= (18 if wrong == 0.15 else 20)


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_thinned_frames_do_not_change_the_verdict(frames, wrong):
    """Half of the frames of a correlated run are worth nearly as much as all."""
    g = frames.mean(axis=(0, 1))
    moved = frames + wrong * (np.roll(g, 1) - g)
    for start in range(0, 36, 9):
        members = range(start + 6, start + 9)
        states = set()
        for model_step, reference_step in ((1, 1), (2, 1), (1, 2), (2, 2)):
            model = [
                sample(run[::model_step], interval_ps=0.02 * model_step)
                for run in moved[start : start + 6]
            ]
            reference = [
                sample(frames[i, ::reference_step], interval_ps=0.02 * reference_step)
                for i in members
            ]
            states.add(classify(compare(model, reference)).state)
        assert states == {"unstable" if wrong else "stable"}


def test_needed_runs_suffice(conductor):
    """What one run of each side asks for brings the upper limit below the threshold."""
    asked = draws(conductor, (1, 1), 200).column(lambda c: c.needed.n_model)
    enough = int(np.median(asked))
    assert 1 < enough < 5
    found = draws(conductor, (enough, enough), 200)
    assert found.column(lambda c: c.interval[1] < 0.02).mean() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        Surrogate(slowest=2.0),
        Surrogate(slowest=10.0, fastest=10.0),
        Surrogate(slowest=60.0, fastest=20.0),
        Surrogate(decay=1.5, slowest=40.0, fastest=5.0),
        Surrogate(n_modes=3, slowest=5.0, fastest=5.0, counting=0.05),
        Surrogate(n_modes=3, slowest=20.0, fastest=20.0, counting=0.05),
    ],
    ids=str,
)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_perfect_model_with_slow_or_few_modes(kind, pooling):
    """Memory up to a third of the run; with one run of each it is only known from ten blocks."""
    found = draws(kind.runs(6000, np.random.default_rng(3)), pooling, 1000)
    alone = pooling[1] == 1
    low, high = (0.85, 1.2) if alone else (0.9, 1.1)
    assert low < found.predicted_over_true < high
    assert 0.02 <= found.exceedance <= (0.12 if alone else 0.08)
    assert found.coverage >= 0.9
    assert found.called_unstable < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "temperature_k", "interval_fs"),
    [
        (HoppingModel(), 800.0, 100.0),
        (HoppingModel(), 1200.0, 350.0),
        (HoppingModel(repeats=1, n_vacancies=2), 1000.0, 100.0),
    ],
    ids=["800 K", "1200 K", "small cell"],
)
def test_perfect_model_of_other_conductors(model, temperature_k, interval_fs):
    blocks = conductor_frames(
        model, 400, temperature_k=temperature_k, frame_interval_fs=interval_fs, per_block=10
    )
    runs = [RunSample(run, 0.1 * interval_fs, 100) for run in blocks]
    for pooling in POOLINGS:
        check(draws(runs, pooling, 1000))
