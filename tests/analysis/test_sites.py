"""Sites of ions: those of known crystals, whatever their cell, origin and order of atoms."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis.sites import find_sites
from mdbench.synthetic import HoppingModel, ideal_gas, ion_conductor
from mdbench.walks import Walk, walkers

from .hops import SKEWED, counted, density_of, distances, made_sites

CUBE = np.eye(3) * 9.0


def clouds(centers, weights, *, n_frames=2000, sigma=0.4, cell=CUBE, seed=0):
    """(n_ions, 3, n_frames) fractional: ions about centers (Å) that they choose anew each frame."""
    rng = np.random.default_rng(seed)
    centers, weights = np.array(centers, dtype=float), np.array(weights)
    n_ions = round(weights.sum())
    at = rng.choice(len(centers), size=(n_ions, n_frames), p=weights / weights.sum())
    places = centers[at] + rng.normal(0.0, sigma, (n_ions, n_frames, 3))
    return (places @ np.linalg.inv(cell)).transpose(0, 2, 1)


@pytest.fixture(scope="module")
def hopping():
    """64 sites, a simple cubic grid of 2.85 Å, 60 ions."""
    run = ion_conductor(HoppingModel(), 500, np.random.default_rng(1), temperature_k=1000.0)
    return run, counted(run)


def truth_of(model):
    side = 2 * model.repeats
    return (np.stack(np.meshgrid(*[np.arange(side)] * 3), axis=-1).reshape(-1, 3) + 0.5) / side


def same_places(one, other, cell, within):
    between = distances(one, other, cell)
    assert between.shape[0] == between.shape[1]
    assert between.min(axis=0).max() < within
    assert between.min(axis=1).max() < within


def test_a_crystal_has_its_sites(hopping):
    run, found = hopping
    assert found.sites.n_sites == HoppingModel().n_sites
    same_places(found.sites.scaled, truth_of(HoppingModel()), run.cells[0], 0.1)
    # ions are between sites during a tenth of a picosecond or two of each hop
    assert 0.95 < found.sites.occupancy.sum() / 60 < 1.0
    assert (np.diff(found.sites.occupancy) <= 0).all()


def test_occupancy_counts_ions_within_the_radius(hopping):
    run, found = hopping
    sites = found.sites
    counts = np.zeros(sites.n_sites)
    for path in found.paths:
        between = distances(path.T[::20], sites.scaled, run.cells[0])
        at = between.argmin(axis=1)[between.min(axis=1) < 1.0]
        counts += np.bincount(at, minlength=sites.n_sites)
    assert_allclose(sites.occupancy, counts / 25, rtol=0, atol=0.2)
    assert_allclose(sites.occupancy.sum(), counts.sum() / 25, rtol=0.01, atol=0)


def test_the_order_of_atoms_does_not_matter(hopping):
    run, found = hopping
    density = density_of(found.paths[::-1], run.cells[0])
    again = find_sites(density)
    assert_allclose(again.scaled, found.sites.scaled, rtol=1e-9, atol=0)
    assert_allclose(again.occupancy, found.sites.occupancy, rtol=1e-9, atol=0)


def test_the_origin_does_not_matter(hopping):
    """By whole voxels and, up to noise, by parts of them."""
    run, found = hopping
    n = found.density.counts.shape[0]
    for voxels, within in ((7.0, 1e-6), (3.4, 0.05)):
        offset = voxels / n
        density = density_of([path + offset for path in found.paths], run.cells[0])
        sites = find_sites(density)
        same_places(sites.scaled - offset, found.sites.scaled, run.cells[0], within)


@pytest.mark.parametrize("spacing", [0.18, 0.3, 0.35])
def test_the_grid_hardly_matters(hopping, spacing):
    run, found = hopping
    sites = find_sites(density_of(found.paths, run.cells[0], spacing=spacing))
    same_places(sites.scaled, found.sites.scaled, run.cells[0], 0.07)


def test_the_choice_of_lattice_vectors_does_not_matter(hopping):
    run, found = hopping
    cell = SKEWED @ run.cells[0]
    paths = [np.linalg.inv(SKEWED).T @ path for path in found.paths]
    sites = find_sites(density_of(paths, cell))
    same_places(sites.scaled, found.sites.scaled @ np.linalg.inv(SKEWED), cell, 0.07)


def test_ions_that_do_not_hop_have_a_site_each():
    for rattle in (0.0, 0.05, 0.5):
        run = walkers(Walk(rattle=rattle), 300, np.random.default_rng(3))
        found = counted(run)
        assert found.sites.n_sites == 20
        begin = np.array([path.mean(axis=1) for path in found.paths])
        assert distances(begin, found.sites.scaled, run.cells[0]).min(axis=1).max() < 0.3


def test_one_ion_in_a_small_cell():
    walk = Walk(n_ions=1, repeats=1, hop_distance=3.5, rattle=0.3, hops_per_ps=0.2)
    found = counted(walkers(walk, 1000, np.random.default_rng(0)))
    assert found.sites.n_sites == 1
    assert found.sites.occupancy[0] > 0.95


def test_near_maxima_are_one_site_in_their_middle():
    """1.5 Å apart: the barrier of two such Gaussians is below half a kT."""
    paths = clouds([(3.0, 4.0, 4.0), (4.5, 4.0, 4.0)], [1.0, 1.0], sigma=0.45)
    sites = find_sites(density_of(paths, CUBE))
    assert sites.n_sites == 1
    assert_allclose(sites.scaled[0] * 9.0, (3.75, 4.0, 4.0), rtol=0, atol=0.3)


def test_near_maxima_with_a_barrier_are_two_sites():
    """1.7 Å apart, nearer than twice the radius: each ion counts for the nearest."""
    centers = [(3.0, 4.0, 4.0), (4.7, 4.0, 4.0)]
    sites = find_sites(density_of(clouds(centers, [0.4, 0.6], sigma=0.25), CUBE))
    assert sites.n_sites == 2
    same_places(sites.scaled, np.array(centers) / 9.0, CUBE, 0.08)
    assert_allclose(sites.occupancy, (0.6, 0.4), rtol=0.06, atol=0)


def test_a_flat_channel_is_no_row_of_sites():
    """Ions that flow along c, at any height alike, beside one that rests."""
    rng = np.random.default_rng(0)
    flow = rng.normal(0.0, 0.3, (4, 3, 3000)) / 9.0 + 0.2
    flow[:, 2] = rng.random((4, 3000))
    rest = rng.normal(0.0, 0.3, (1, 3, 3000)) / 9.0 + 0.7
    sites = find_sites(density_of([*flow, *rest], CUBE))
    assert sites.n_sites == 2


def test_a_weak_site_is_found_beside_strong_ones():
    """0.05 ions on average: 10 ps of 200."""
    centers = [(1.5, 2.0, 2.0), (7.0, 2.0, 2.0), (4.2, 2.0, 2.0)]
    sites = find_sites(density_of(clouds(centers, [1.0, 0.95, 0.05]), CUBE))
    assert sites.n_sites == 3
    assert_allclose(sites.occupancy[2], 0.05, rtol=0.3, atol=0)
    assert_allclose(sites.scaled[2] * 9.0, centers[2], rtol=0, atol=0.2)


def test_what_ions_pass_through_is_no_site():
    """A frame or two at each place between two sites, in a hundred crossings."""
    rng = np.random.default_rng(0)
    along = np.repeat(rng.permutation(np.arange(20) % 2), 100) * 5.0
    step = np.convolve(along, np.ones(4) / 4, mode="same")
    path = np.stack([2.0 + step, np.full(2000, 4.0), np.full(2000, 4.0)])
    path += rng.normal(0.0, 0.3, path.shape)
    sites = find_sites(density_of([path / 9.0], CUBE))
    assert sites.n_sites == 2


def test_a_gas_has_no_sites_to_speak_of():
    gas = ideal_gas(20, 1000, CUBE, np.random.default_rng(0), symbol="Li")
    sites = find_sites(density_of((gas.positions / 9.0).transpose(1, 2, 0), CUBE))
    assert sites.occupancy.sum() < 0.1 * 20


def test_too_short_a_run_has_none():
    paths = clouds([(3.0, 4.0, 4.0)], [1.0], n_frames=9)
    assert find_sites(density_of(paths, CUBE)).n_sites == 0
    assert find_sites(density_of(paths, CUBE, interval_ps=1.0)).n_sites == 1


@pytest.mark.parametrize("n_frames, interval_ps", [(100, 0.1), (400, 0.02)])
def test_noise_of_short_runs_makes_no_sites(n_frames, interval_ps):
    """Ten picoseconds of broad clouds on a grid of 3 Å."""
    grid = 3.0 * np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3) + 1.0
    rng = np.random.default_rng(n_frames)
    walk = rng.normal(0.0, 0.5, (27, 3, n_frames))
    keep = np.exp(-interval_ps / 0.1)
    for k in range(1, n_frames):  # rattling that is forgotten after 0.1 ps
        walk[..., k] = keep * walk[..., k - 1] + np.sqrt(1 - keep**2) * walk[..., k]
    paths = (grid[..., None] + walk) / 9.0
    sites = find_sites(density_of(paths, CUBE, interval_ps=interval_ps))
    assert sites.n_sites == 27
    same_places(sites.scaled, grid / 9.0, CUBE, 0.4)


def test_known_sites_come_first_and_new_ones_after_them():
    """The model has one of two sites of the reference, half an angstrom off, and one of its own."""
    known = made_sites([(2.0, 2.0, 2.0), (6.0, 2.0, 2.0)], CUBE)
    known.scaled[:] /= 9.0
    paths = clouds([(2.5, 2.0, 2.0), (4.0, 6.0, 5.0)], [0.7, 1.3], sigma=0.3)
    sites = find_sites(density_of(paths, CUBE), known=known)
    assert sites.n_sites == 3
    assert_array_equal(sites.scaled[:2], known.scaled)
    assert_allclose(sites.scaled[2] * 9.0, (4.0, 6.0, 5.0), rtol=0, atol=0.05)
    assert sites.occupancy[0] > 0.5
    assert sites.occupancy[1] == 0.0
    assert_allclose(sites.occupancy[2], 1.3, rtol=0.05, atol=0)


def test_a_broad_well_around_a_known_site_is_not_new():
    """Its middle is 1.2 Å off, but nothing parts the two."""
    known = made_sites([(2.0 / 9.0, 0.2, 0.2)], CUBE)
    center = (3.2, 1.8, 1.8)
    broad = find_sites(density_of(clouds([center], [1.0], sigma=1.0), CUBE), known=known)
    narrow = find_sites(density_of(clouds([center], [1.0], sigma=0.3), CUBE), known=known)
    assert (broad.n_sites, narrow.n_sites) == (1, 2)


def test_the_same_density_has_no_new_sites(hopping):
    _, found = hopping
    again = find_sites(found.density, known=found.sites)
    assert_array_equal(again.scaled, found.sites.scaled)
    assert_allclose(again.occupancy, found.sites.occupancy, rtol=1e-12, atol=0)
