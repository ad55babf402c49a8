"""Where the mobile ions of trajectories in memory go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mdbench.analysis.ion_density import IonDensity
from mdbench.analysis.jump_network import Percolation, Rate
from mdbench.analysis.jumps import Jumps
from mdbench.analysis.sites import Sites
from mdbench.config import PathConfig
from mdbench.notebook.runs import Runs, loaded
from mdbench.stages.ion_paths import read_ions
from mdbench.stages.path import path_result
from mdbench.stages.path_output import PathResult, path_table
from mdbench.stages.path_sides import side_of
from mdbench.stats import Estimate
from mdbench.table import Table, Tabular

_DEFAULT = PathConfig()


@dataclass(frozen=True)
class DiffusionPaths(Tabular):
    """Sites of the mobile ions, and their jumps between them, over the replicas of one state.

    Attributes:
        species: Symbol of the mobile ions.
        sites: Where ions rest: fractional coordinates and occupancy, the fullest first.
        jumps: Of each run.
        rates: Of each directed pair of sites, 1/ps for an ion at the origin, most jumps first.
        percolation: Which way the jumps lead through the crystal.
        jumps_per_ion: 1/ns, of one ion; a bound without a value where none jumps.
        at_sites: Share of the time that ions are at a site.
        cell_drift: Å, the farthest that the center of all atoms came.
        density: Of the ions on a grid of the cell.
        comparison: With a reference, as `mdbench path --against --json` prints it: scores, floors,
            failure mode, meaning; None without one.
        warnings: What the reader should know.
        details: All of it, as `mdbench path` has it.
    """

    species: str
    sites: Sites
    jumps: tuple[Jumps, ...]
    rates: tuple[Rate, ...]
    percolation: Percolation
    jumps_per_ion: Estimate
    at_sites: float
    cell_drift: Estimate
    density: IonDensity
    comparison: dict[str, Any] | None
    warnings: tuple[str, ...]
    details: PathResult

    def table(self) -> Table:
        """One row per directed pair of sites: the table of `mdbench path --csv`."""
        return path_table([self.details])


def diffusion_paths(
    runs: Runs,
    reference: Runs | None = None,
    *,
    mobile: str | None = None,
    skip_ps: float | None = None,
    stride: int = 1,
    spacing: float = _DEFAULT.spacing,
    site_radius: float = _DEFAULT.site_radius,
    residence_fs: float = _DEFAULT.residence_fs,
) -> DiffusionPaths:
    """Sites and jumps of the mobile ions: the numbers of `mdbench path`.

    Args:
        runs: One trajectory or replicas, unwrapped, with a time axis.
        reference: Likewise, of what they are held against.
        mobile: Symbol of the mobile ion; by default what the runs state, else by rule.
        skip_ps: Equilibration to leave out, ps; by default 15 of runs of 50 or more, else 30 %.
        stride: Use every N-th frame.
        spacing: Edge of a voxel of the density, at most, Å.
        site_radius: An ion is at a site within this distance of it, Å.
        residence_fs: An ion has jumped when it was at another site for so long on end.

    Raises:
        InputError: No mobile ion, no time axis, runs that are too short, other replicas, another
            framework than the reference's.
    """
    own = loaded(runs)
    config = PathConfig(
        mobile=mobile,
        skip_ps=skip_ps,
        stride=stride,
        spacing=spacing,
        site_radius=site_radius,
        residence_fs=residence_fs,
    )
    known, onto = None, None
    if reference is not None:
        others = loaded(reference, "reference run")
        ions = read_ions(others.group, config, opened=others.opened)
        known, onto = (ions, side_of(ions, config)), ions.runs[0].framework
    result = path_result(read_ions(own.group, config, onto, opened=own.opened), config, known)
    side = result.side
    return DiffusionPaths(
        species=side.species,
        sites=side.sites,
        jumps=side.jumps,
        rates=side.rates,
        percolation=side.percolation,
        jumps_per_ion=result.jump_rate,
        at_sites=side.at_sites,
        cell_drift=result.cell_drift,
        density=side.density,
        comparison=None if result.against is None else result.against.as_json(),
        warnings=tuple(result.notes),
        details=result,
    )
