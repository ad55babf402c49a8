"""Where the ions of a group are and how they jump: density, sites, rates, the way they lead."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mdbench.analysis.failures import drift_limit
from mdbench.analysis.ion_density import IonDensity, grid_shape
from mdbench.analysis.jump_network import Percolation, Rate, jump_rates, percolation
from mdbench.analysis.jumps import Jumps
from mdbench.analysis.registration import Framework
from mdbench.analysis.sites import Sites, find_sites
from mdbench.config import PathConfig
from mdbench.errors import InputError
from mdbench.stages.ion_paths import Ions, RunFacts
from mdbench.stages.runs import Group
from mdbench.stages.transport import synthetic
from mdbench.units import FS_IN_PS

FloatArray = NDArray[np.float64]

#: Points of a path as it is shown.
_MOST_POINTS = 256
#: Voxels of a grid that still is one.
_MOST_VOXELS = 20_000_000
#: Share of the time that ions of a crystal spend at sites, and Å that its atoms are from those of
#: another run, where there is nothing to say about it.
_AT_SITES, _FAR = 0.5, 0.7


@dataclass(frozen=True)
class Side:
    """The mobile ions of a group, without their motion.

    Attributes:
        group: The replicas.
        species: Symbol of the ions.
        n_ions: Ions of one run.
        runs: Those that were read.
        left_out: Why runs are left out that ended early.
        rms: Å, how far the atoms of the frameworks are from each other, at most.
        framework: Of the first run, in the common cell.
        density: Over all runs.
        sites: Those of a reference first, where there is one.
        jumps: Of each run.
        rates: Of each directed pair of sites.
        percolation: Which way they lead.
        shown: (n_ions, 3, n_points) Å, paths of the ions of the first run, means over equal
            stretches of time; they begin in the cell.
        shown_ps: (n_points,) ps on the clock of that run, the middles of the stretches.
    """

    group: Group
    species: str
    n_ions: int
    runs: tuple[RunFacts, ...]
    left_out: tuple[str, ...]
    rms: float
    framework: Framework
    density: IonDensity
    sites: Sites
    jumps: tuple[Jumps, ...]
    rates: tuple[Rate, ...]
    percolation: Percolation
    shown: FloatArray
    shown_ps: FloatArray

    @property
    def drift(self) -> float:
        """Å, the farthest that the center of all atoms came in a run."""
        return max(run.drift for run in self.runs)

    @property
    def length_ps(self) -> float:
        """Time of all runs together, each frame standing for one interval."""
        return sum(jumps.length_ps for jumps in self.jumps)

    @property
    def n_jumps(self) -> int:
        """Of all runs."""
        return sum(jumps.n for jumps in self.jumps)

    @property
    def at_sites(self) -> float:
        """Share of the ions that are at a site, mean over time."""
        return float(self.sites.occupancy.sum()) / self.n_ions

    @property
    def axes(self) -> list[str]:
        """Letters of the cell vectors along which jumps lead through the crystal."""
        return [name for name, leads in zip("abc", self.percolation.axes, strict=True) if leads]

    def drifts(self, reference: Side | None) -> bool:
        """Whether a run moves as a whole, by the rule of `failures`."""
        known = [] if reference is None else [(r.drift, r.length_ps) for r in reference.runs]
        return any(run.drift > drift_limit(run.length_ps, known) for run in self.runs)

    def notes(self, config: PathConfig) -> list[str]:
        """What the reader should know."""
        lines = [f"left out: {line}" for line in self.left_out] + synthetic(self.group)
        interval_ps = max(run.frame_interval_ps for run in self.runs)
        if interval_ps > config.residence_fs * FS_IN_PS * (1.0 + 1e-6):
            lines.append(
                f"frames are {interval_ps / FS_IN_PS:g} fs apart, more than the residence of "
                f"{config.residence_fs:g} fs: one frame at a site counts, faster jumps are missed"
            )
        if not self.sites.n_sites:
            lines.append("no site: the density of the ions has no maxima that are no noise")
        elif self.at_sites < _AT_SITES:
            lines.append(
                f"ions are at sites {self.at_sites:.0%} of the time: they flow rather than jump, "
                "or the run is too short to tell their sites; jumps say little"
            )
        if self.rms > _FAR:
            lines.append(
                f"atoms of the framework are {self.rms:.2f} A rms from where they are in the run "
                "that they are put onto: another structure, a melt?"
            )
        return lines


def side_of(ions: Ions, config: PathConfig, reference: Side | None = None) -> Side:
    """What is known of a group's ions.

    Args:
        ions: Of its runs.
        config: Grid, radius of sites, residence.
        reference: What is known of the reference that they were put onto: its cell, its grid and
            its sites, to which the group's own are added.
    """
    framework = _in_common_cell(ions)
    cell = framework.cell if reference is None else reference.density.cell
    shape = grid_of(cell, config)
    density = ions.density(cell, shape)
    known = None if reference is None else reference.sites
    sites = find_sites(density, radius=config.site_radius, known=known)
    jumps = ions.jumps(sites, config)
    rates = jump_rates(jumps)
    shown, shown_ps = _shown(ions, cell)
    return Side(
        group=ions.group,
        species=ions.species,
        n_ions=ions.n_ions,
        runs=tuple(run.facts for run in ions.runs),
        left_out=ions.left_out,
        rms=ions.rms,
        framework=framework,
        density=density,
        sites=sites,
        jumps=jumps,
        rates=tuple(rates),
        percolation=percolation(rates, sites.n_sites),
        shown=shown,
        shown_ps=shown_ps,
    )


def between(sites: Sites, side: Side, ions: Ions, config: PathConfig) -> Side:
    """A side with its ions followed between other sites."""
    if sites.n_sites == side.sites.n_sites:
        return side
    jumps = ions.jumps(sites, config)
    rates = jump_rates(jumps)
    return replace(
        side,
        sites=sites,
        jumps=jumps,
        rates=tuple(rates),
        percolation=percolation(rates, sites.n_sites),
    )


def grid_of(cell: FloatArray, config: PathConfig) -> tuple[int, int, int]:
    """Voxels along each cell vector; refuses more than a computer can hold."""
    shape = grid_shape(cell, config.spacing)
    if np.prod(shape, dtype=float) > _MOST_VOXELS:
        raise InputError(
            "--spacing",
            expected=f"at most {_MOST_VOXELS:,} voxels",
            found=f"{config.spacing:g} A: " + " x ".join(f"{n:,}" for n in shape),
        )
    return shape


def _in_common_cell(ions: Ions) -> Framework:
    """The framework of the first run, moved to where it is seen."""
    own = ions.runs[0].framework
    moved = own.positions + ions.offsets[0] @ own.cell
    return Framework(own.atomic_numbers, moved, own.cell)


def _shown(ions: Ions, cell: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Paths of the first run, thinned by means so that they can be drawn, and their times."""
    facts = ions.runs[0].facts
    per_point = -(-facts.n_frames // _MOST_POINTS)
    n_points = facts.n_frames // per_point
    kept = n_points * per_point
    shown = []
    for path in ions.paths(0):
        inside = path[:, :kept] - np.floor(path[:, :1])
        shown.append(cell.T @ inside.reshape(3, n_points, per_point).mean(axis=2))
    middles = (np.arange(n_points) + 0.5) * per_point - 0.5
    return np.array(shown), np.asarray(facts.start_ps + middles * facts.frame_interval_ps)
