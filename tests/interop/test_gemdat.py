"""Jumps beside GEMDAT's between the same sites: the same ones, ion by ion and frame by frame.

A. K. Lavrinenko et al., npj Comput. Mater. 2026, doi:10.1038/s41524-026-02133-7. The rules agree
where spheres are apart (GEMDAT refuses others), where one frame at a site is enough, and
where no ion comes to another image of its own site (GEMDAT knows no images). A longer residence is
not the same in both: there a stay that was too short still changes where the next jump begins.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pymatgen.core import Element, Lattice, Structure

from mdbench.analysis.ion_density import grid_shape, ion_density
from mdbench.analysis.jumps import site_jumps
from mdbench.analysis.motion import ion_motion
from mdbench.analysis.registration import scaled_paths
from mdbench.analysis.sites import find_sites
from mdbench.synthetic import HoppingModel, ion_conductor

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", params=[100.0, 20.0])
def counted(request):
    """Jumps of a conductor by both, and the occupancy of its sites by both."""
    gemdat = pytest.importorskip("gemdat")
    run = ion_conductor(
        HoppingModel(),
        800,
        np.random.default_rng(7),
        temperature_k=1000.0,
        frame_interval_fs=request.param,
    )
    motion = ion_motion(run, "Li")
    paths, interval = scaled_paths(motion), motion.frame_interval_ps
    shape = grid_shape(motion.cell, 0.25)
    sites = find_sites(ion_density(paths, shape, motion.cell, frame_interval_ps=interval))
    ours = site_jumps(paths, sites, frame_interval_ps=interval, residence_ps=interval)
    lattice = Lattice(motion.cell)
    trajectory = gemdat.Trajectory(
        species=[Element("Li")] * len(paths),
        coords=np.array(list(paths)).transpose(2, 0, 1),
        lattice=lattice.matrix,
        time_step=interval * 1e-12,
        constant_lattice=True,
    )
    transitions = trajectory.transitions_between_sites(
        sites=Structure(lattice, ["Li"] * sites.n_sites, sites.scaled),
        floating_specie="Li",
        site_radius=sites.radius,
    )
    return sites, ours, transitions


def test_sites_hold_as_many_ions(counted):
    sites, _, transitions = counted
    theirs = np.array([site.species.num_atoms for site in transitions.occupancy()])
    assert_allclose(sites.occupancy.sum(), theirs.sum(), rtol=0.01, atol=0)
    assert_allclose(sites.occupancy, theirs, rtol=0, atol=0.05)


def test_jumps_are_the_same(counted):
    _, ours, transitions = counted
    theirs = transitions.jumps(minimal_residence=0).data
    columns = ["atom index", "stop time", "start site", "destination site"]
    expected = {tuple(row) for row in theirs[columns].to_numpy().tolist()}
    found = np.column_stack([ours.ion, ours.frame, ours.origin, ours.target])
    assert len(expected) > 200
    assert {tuple(row) for row in found.tolist()} == expected
