"""Controls of diffusion paths: ions bound to channels, and models that are wrong in known ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mdbench.analysis.control import Control
from mdbench.analysis.ion_density import grid_shape, ion_density
from mdbench.analysis.jumps import IntArray, Jumps, site_jumps
from mdbench.analysis.motion import ion_motion
from mdbench.analysis.msd import FloatArray
from mdbench.analysis.path_fidelity import Fidelity, path_fidelity
from mdbench.analysis.registration import scaled_paths
from mdbench.analysis.sites import Sites, find_sites
from mdbench.trajectory import Trajectory
from mdbench.units import ANGSTROM2_PER_PS_IN_CM2_PER_S, FS_IN_PS
from mdbench.walks import Walk, walkers

#: Å, edge of a voxel.
_SPACING = 0.25
#: Å, how far a drifting cell moves at least: the limit of a verdict.
_DRIFT = 0.5
#: Frames of a run, and fs between them.
_FRAMES, _INTERVAL_FS = 1200, 50.0
#: Deals, and probability that a perfect model is as bad, below which something is wrong.
_N_DEALS, _RARE = 100, 0.05
#: A rate that is so many times as high, or as low, is another one.
_OTHER_RATE = 1.25


@dataclass(frozen=True)
class ChannelWalk:
    """Ions that hop from site to site along the channels of a crystal.

    The sites are a simple cubic grid, framework atoms fill the middles of its cubes, and the
    channels are the lines of sites along c. Ions start on sites of their own and hop at the times
    of a Poisson process, each alone; beside that they rattle. A hop takes no time. An ion does not
    mind others.

    Attributes:
        n_ions: Mobile ions.
        repeats: Sites along each axis of the cell.
        site_distance: Å.
        hops_per_ps: Hops of one ion, 1/ps.
        across: Share of the hops that lead along a, into the next channel.
        bridge: Share of the other hops of ions in the first two layers of channels along a that
            lead from the one layer to the other; no use beside hops across.
        rattle: Standard deviation of each coordinate about its site, Å.
        framework_rattle: As `rattle`, of the framework atoms, Å.
    """

    n_ions: int = 125
    repeats: int = 5
    site_distance: float = 3.0
    hops_per_ps: float = 0.25
    across: float = 0.0
    bridge: float = 0.0
    rattle: float = 0.3
    framework_rattle: float = 0.1

    @property
    def walk(self) -> Walk:
        """The same ions without hops."""
        return Walk(
            n_ions=self.n_ions,
            repeats=self.repeats,
            hop_distance=self.site_distance,
            rattle=self.rattle,
            framework_rattle=self.framework_rattle,
        )

    @property
    def wandering(self) -> Walk:
        """As many ions with the same D that wander freely: anywhere, from no site to no other."""
        d = self.hops_per_ps * self.site_distance**2 / 6.0 * ANGSTROM2_PER_PS_IN_CM2_PER_S
        return replace(self.walk, rattle=0.0, free_diffusivity=d)


def channel_walkers(
    walk: ChannelWalk,
    n_frames: int,
    rng: np.random.Generator,
    *,
    frame_interval_fs: float = _INTERVAL_FS,
    drift_per_ps: ArrayLike = (0.0, 0.0, 0.0),
) -> Trajectory:
    """A run of ions in channels: framework atoms first, then the ions; positions only.

    Args:
        walk: How they move.
        n_frames: Number of frames.
        rng: Source of the random numbers.
        frame_interval_fs: Time between the frames, fs.
        drift_per_ps: (3,) Å/ps, motion of the whole cell.
    """
    still = walkers(
        walk.walk, n_frames, rng, frame_interval_fs=frame_interval_fs, drift_per_ps=drift_per_ps
    )
    positions = np.array(still.positions)
    ions = positions[:, -walk.n_ions :]
    layers = np.rint(ions[0, :, 0] / walk.site_distance).astype(np.int64)
    length_ps = (n_frames - 1) * frame_interval_fs * FS_IN_PS
    hops = _hops(walk, layers, n_frames, length_ps, rng)
    ions += walk.site_distance * np.cumsum(hops, axis=0)
    return replace(still, positions=positions)


def _hops(
    walk: ChannelWalk, layers: IntArray, n_frames: int, length_ps: float, rng: np.random.Generator
) -> FloatArray:
    """(n_frames, n_ions, 3) hops made before each frame, in distances between sites.

    Args:
        walk: How ions move.
        layers: (n_ions,) layer of channels along a in which they start.
        n_frames: Number of frames.
        length_ps: Time from the first frame to the last.
        rng: Source of the random numbers.
    """
    n_hops = rng.poisson(walk.hops_per_ps * walk.n_ions * length_ps)
    frames = rng.integers(1, n_frames, n_hops)
    ions = np.sort(rng.integers(walk.n_ions, size=n_hops))
    order = np.lexsort((frames, ions))
    frames = frames[order]
    axes = np.where(rng.random(n_hops) < walk.across, 0, 2)
    signs = rng.choice((-1.0, 1.0), size=n_hops)
    over = (axes == 2) & (layers[ions] < 2) & (rng.random(n_hops) < walk.bridge)
    axes[over] = 0
    crossed = np.cumsum(over) - over
    crossed -= crossed[np.searchsorted(ions, ions)]  # by the same ion before
    signs[over] = np.where((layers[ions] + crossed)[over] % 2 == 0, 1.0, -1.0)
    hops = np.zeros((n_frames, walk.n_ions, 3))
    np.add.at(hops, (frames, ions, axes), signs)
    return hops


@dataclass(frozen=True)
class Paths:
    """The jumps of one run, and what they are counted by.

    Attributes:
        jumps: Between `sites`.
        sites: Those of the reference first, where there is one.
        drift: Å, how far the framework moved from the first frame, at most.
    """

    jumps: Jumps
    sites: Sites
    drift: float


def run_paths(run: Trajectory, species: str, known: Sites | None = None) -> Paths:
    """The jumps of a run in the frame of its framework.

    Args:
        run: Frames at one interval.
        species: Symbol of the mobile ions.
        known: Sites of the reference.
    """
    motion = ion_motion(run, species)
    paths = scaled_paths(motion)
    shape = grid_shape(motion.cell, _SPACING)
    interval = motion.frame_interval_ps
    density = ion_density(paths, shape, motion.cell, frame_interval_ps=interval)
    sites = find_sites(density, known=known)
    drift = float(np.linalg.norm(motion.drift, axis=0).max())
    return Paths(site_jumps(paths, sites, frame_interval_ps=interval), sites, drift)


def paths_against(model: Trajectory, reference: Trajectory, species: str) -> tuple[Fidelity, Paths]:
    """The fidelity of one run of a model, and its paths, by the sites of one reference run.

    Both are counted by the reference's sites and, after them, those that the model has of its own.
    """
    motion = ion_motion(reference, species)
    known = run_paths(reference, species).sites
    own = run_paths(model, species, known)
    interval = motion.frame_interval_ps
    jumps = site_jumps(scaled_paths(motion), own.sites, frame_interval_ps=interval)
    return path_fidelity([own.jumps], [jumps], known.n_sites, n_deals=_N_DEALS), own


def path_controls(rng: np.random.Generator) -> Iterator[Control]:
    """Runs every control of diffusion paths in turn."""
    truth = ChannelWalk()
    reference = channel_walkers(truth, _FRAMES, rng)
    for name, model in MODELS.items():
        fidelity, paths = paths_against(model.run(truth, rng), reference, truth.walk.mobile)
        found = faults(fidelity, paths.drift)
        expected = ", ".join(sorted(model.faults)) or "no fault"
        shown = ", ".join(sorted(found)) or "no fault"
        yield Control(f"paths: {name}", expected, shown, model.told_by(found))


def faults(fidelity: Fidelity, drift: float) -> set[str]:
    """What is wrong with the paths of a model.

    Jumps are missed or fake where a perfect model is as bad less than once in twenty times, and
    slow or fast where the whole interval of their rate is more than a quarter off.

    Args:
        fidelity: Against the reference.
        drift: Å, how far its framework moved.
    """
    found = {"drift"} if drift > _DRIFT else set()
    if fidelity.frozen is not None:
        return found | ({"frozen"} if fidelity.frozen < _RARE else set())
    for name, score in (
        ("missed jumps", fidelity.efficiency),
        ("fake jumps", fidelity.fake_rate),
    ):
        p = None if score.floor is None else score.floor.p
        if p is not None and p < _RARE:
            found.add(name)
    ratio = fidelity.rate_ratio.estimate
    if ratio.high is not None and ratio.high < 1.0 / _OTHER_RATE:
        found.add("slow")
    if ratio.low is not None and ratio.low > _OTHER_RATE:
        found.add("fast")
    return found


def _same(truth: ChannelWalk, rng: np.random.Generator) -> Trajectory:
    return channel_walkers(truth, _FRAMES, rng)


def _drifting(truth: ChannelWalk, rng: np.random.Generator) -> Trajectory:
    return channel_walkers(truth, _FRAMES, rng, drift_per_ps=(0.1, 0.05, -0.05))


def _wandering(truth: ChannelWalk, rng: np.random.Generator) -> Trajectory:
    return walkers(truth.wandering, _FRAMES, rng, frame_interval_fs=_INTERVAL_FS)


def _across(truth: ChannelWalk, rng: np.random.Generator) -> Trajectory:
    return channel_walkers(replace(truth, across=1.0), _FRAMES, rng)


def _frozen(truth: ChannelWalk, rng: np.random.Generator) -> Trajectory:
    return channel_walkers(replace(truth, hops_per_ps=0.0), _FRAMES, rng)


def _half(truth: ChannelWalk, rng: np.random.Generator) -> Trajectory:
    return channel_walkers(replace(truth, hops_per_ps=0.5 * truth.hops_per_ps), _FRAMES, rng)


def _bridged(truth: ChannelWalk, rng: np.random.Generator) -> Trajectory:
    """Every tenth hop is on the bridge: a fifth of those of half the ions."""
    return channel_walkers(replace(truth, bridge=0.2), _FRAMES, rng)


@dataclass(frozen=True)
class Model:
    """A model of ions in channels, and what is wrong with it.

    Attributes:
        run: Makes a run of it.
        faults: What must be found.
        perhaps: What else may be found.
    """

    run: Callable[[ChannelWalk, np.random.Generator], Trajectory]
    faults: frozenset[str]
    perhaps: frozenset[str] = frozenset()

    def told_by(self, found: set[str]) -> bool:
        """Whether these faults are the right ones."""
        return self.faults <= found <= self.faults | self.perhaps


#: Those that an analysis of paths must tell from each other.
MODELS = {
    "another seed": Model(_same, frozenset()),
    "drifting cell": Model(_drifting, frozenset({"drift"})),
    "random walk": Model(
        _wandering, frozenset({"fake jumps"}), frozenset({"missed jumps", "slow"})
    ),
    "across the channels": Model(_across, frozenset({"missed jumps", "fake jumps"})),
    "no hops": Model(_frozen, frozenset({"frozen"})),
    "half the hops": Model(_half, frozenset({"slow"})),
    "a false path": Model(_bridged, frozenset({"fake jumps"})),
}
