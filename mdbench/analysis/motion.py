"""How the mobile ions of a run move in the frame of its framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mdbench.analysis.msd import Displacements, FloatArray
from mdbench.analysis.rdf import first_peak, radial_distribution
from mdbench.compiled import compiled
from mdbench.errors import InputError
from mdbench.trajectory import Trajectory, element_number
from mdbench.units import FS_IN_PS

#: Å, between sites where the ions do not tell.
SITE_DISTANCE = 3.0
#: Å, what counts as a distance between sites, the bins in which it is sought, and the height of
#: g(r) there: lower ones are noise.
_SITE_RANGE, _SITE_R_MAX, _SITE_DR, _SITE_HEIGHT = (2.0, 6.0), 8.0, 0.2, 1.5
#: Most frames of mean positions in which it is sought.
_SITE_FRAMES = 50
#: Length of the averages that take vibrations out of positions (ps), and how many there are.
_AVERAGE_PS, _LEAST_AVERAGES, _MOST_AVERAGES = 1.0, 8, 4000


@dataclass(frozen=True)
class IonMotion:
    """The mobile ions of one run, in the frame of its framework.

    Attributes:
        displacements: n_ions arrays (3, n_frames) Å from the first frame, after the mean
            displacement of the framework (unweighted) was taken off.
        origin: (n_ions, 3) Å, positions in the first frame.
        cell: (3, 3) Å, mean cell.
        frame_interval_ps: Time between frames.
        drift: (3, n_frames) Å, the mean displacement that was taken off.
        species: Symbol of the ions.
    """

    displacements: Displacements
    origin: FloatArray
    cell: FloatArray
    frame_interval_ps: float
    drift: FloatArray
    species: str

    @property
    def n_ions(self) -> int:
        """Number of mobile ions."""
        return len(self.origin)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.drift.shape[1])

    @property
    def length_ps(self) -> float:
        """Time from the first frame to the last."""
        return (self.n_frames - 1) * self.frame_interval_ps

    @property
    def volume(self) -> float:
        """Å³."""
        return float(abs(np.linalg.det(self.cell)))


def ion_motion(trajectory: Trajectory, species: str) -> IonMotion:
    """The motion of one species of a trajectory in memory, in the frame of all other atoms.

    Of a trajectory of a single species the center of mass is the frame.

    Args:
        trajectory: Frames at one interval.
        species: Symbol of the mobile ions.
    """
    check_times(trajectory.times_ps)
    interval = trajectory.frame_interval_fs
    assert interval is not None
    mobile = np.array([symbol == species for symbol in trajectory.symbols])
    if not mobile.any():
        raise InputError(f"no atom of {species}", found=trajectory.formula)
    moved = np.asarray(trajectory.positions - trajectory.positions[0], dtype=np.float64)
    frame = ~mobile if not mobile.all() else mobile
    drift = moved[:, frame].mean(axis=1)  # (F, 3)
    relative = (moved[:, mobile] - drift[:, None]).transpose(1, 2, 0)
    return IonMotion(
        displacements=np.ascontiguousarray(relative),
        origin=np.asarray(trajectory.positions[0, mobile], dtype=np.float64),
        cell=np.asarray(trajectory.cells.mean(axis=0)),
        frame_interval_ps=interval * FS_IN_PS,
        drift=np.ascontiguousarray(drift.T),
        species=species,
    )


def check_times(times_ps: FloatArray) -> None:
    """Refuses frames that are no time series of one interval."""
    if len(times_ps) < 2 or times_ps[-1] == times_ps[0]:
        raise InputError(
            "no time axis",
            expected="frames of a time series",
            found=f"{len(times_ps)} frame(s) without times",
            remedy="`mdbench ingest --frame-interval-fs` states the time between frames",
        )
    steps = np.diff(times_ps)
    usual = float(np.median(steps))
    odd = np.abs(steps - usual) > 0.01 * usual
    if odd.any():
        frame = int(np.flatnonzero(odd)[0]) + 1
        raise InputError(
            f"frame {frame} comes at another interval",
            expected=f"{usual:g} ps between frames",
            found=f"{steps[frame - 1]:g} ps",
            remedy="mean squared displacements need frames at one interval",
        )


def mean_paths(motion: IonMotion) -> FloatArray:
    """(n_ions, 3, n_averages) Å, displacements averaged over about 1 ps: vibrations are out.

    Over an eighth of runs that are shorter than 8 ps.
    """
    per_average = max(
        min(round(_AVERAGE_PS / motion.frame_interval_ps), motion.n_frames // _LEAST_AVERAGES),
        motion.n_frames // _MOST_AVERAGES,
        1,
    )
    n = motion.n_frames // per_average
    return np.array(
        [p[:, : n * per_average].reshape(3, n, -1).mean(axis=2) for p in motion.displacements]
    )


def site_distance(motions: Sequence[IonMotion]) -> float:
    """Å between neighboring sites: the first maximum of the mobile–mobile g(r) of mean positions.

    `SITE_DISTANCE` where there is none between 2 and 6 Å, as for a single ion.
    """
    found = []
    for motion in motions:
        if motion.n_ions < 2:
            continue
        paths = mean_paths(motion)
        paths = paths[..., :: 1 + paths.shape[-1] // _SITE_FRAMES]
        sites = Trajectory(
            positions=(motion.origin[..., None] + paths).transpose(2, 0, 1),
            cells=motion.cell,
            atomic_numbers=np.full(motion.n_ions, element_number(motion.species)),
            times_ps=np.zeros(paths.shape[-1]),
        )
        sought = radial_distribution(sites, r_max=_SITE_R_MAX, dr=_SITE_DR)
        peak = first_peak(sought.r, sought.g["total"])
        low, high = _SITE_RANGE
        if peak is not None and low <= peak.position <= high and peak.height > _SITE_HEIGHT:
            found.append(peak.position)
    return float(np.mean(found)) if found else SITE_DISTANCE


def count_hops(motion: IonMotion, distance: float) -> int:
    """How often ions left their sites: `count_moves` of positions averaged over 1 ps.

    Moves there and back count twice.

    Args:
        motion: Of one run.
        distance: Å, between sites.
    """
    return count_moves(mean_paths(motion), distance)


def count_moves(paths: FloatArray, distance: float) -> int:
    """How often ions moved by more than half a distance, and stayed away for two times on end.

    An ion's site is the mean of where it was since its last move.

    Args:
        paths: (n_ions, 3, n_times) Å, without vibrations.
        distance: Å, between sites.
    """
    return int(_moves(np.ascontiguousarray(paths), (0.5 * distance) ** 2))


@compiled
def _moves(paths: FloatArray, limit: float) -> int:
    moves = 0
    n_ions, _, n_times = paths.shape
    for ion in range(n_ions):
        path = paths[ion]
        since, x, y, z = 0, 0.0, 0.0, 0.0  # sums over the times since the last move
        for k in range(n_times - 1):
            stay = k - since
            away = stay > 0
            for later in range(k, k + 2):
                if away:
                    dx = path[0, later] - x / stay
                    dy = path[1, later] - y / stay
                    dz = path[2, later] - z / stay
                    away = dx * dx + dy * dy + dz * dz > limit
            if away:
                moves += 1
                since, x, y, z = k, 0.0, 0.0, 0.0
            x += path[0, k]
            y += path[1, k]
            z += path[2, k]
    return moves
