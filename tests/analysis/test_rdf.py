"""g(r): known structures, the ideal gas, pooling, the first shell."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.analysis import pair_counts_torch
from mdbench.analysis.rdf import (
    PairHistogram,
    coordination_number,
    first_peak,
    first_peaks,
    pool,
    radial_distribution,
)
from mdbench.errors import InputError
from mdbench.trajectory import Trajectory

FCC = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
BCC = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])


def trajectory(positions, cell, numbers, pbc=(True, True, True)):
    return Trajectory(
        positions=positions,
        cells=np.asarray(cell, dtype=float),
        atomic_numbers=np.asarray(numbers),
        times_ps=np.zeros(len(positions)),
        pbc=np.array(pbc),
    )


def crystal(basis, a, numbers, repeat=1):
    cells = np.array(list(np.ndindex(repeat, repeat, repeat)))
    scaled = (basis[None] + cells[:, None]).reshape(-1, 3)
    numbers = np.tile(numbers, len(cells))
    return trajectory(a * scaled[None], a * repeat * np.eye(3), numbers)


@pytest.mark.parametrize(
    "basis, a, shells",
    [
        (FCC, 4.033, {0.5**0.5: 12, 1.0: 6, 1.5**0.5: 24}),
        (BCC, 3.317, {0.75**0.5: 8, 1.0: 6, 2**0.5: 12}),
    ],
)
@pytest.mark.parametrize("repeat", [1, 3])
def test_shells_of_crystals(basis, a, shells, repeat):
    found = radial_distribution(crystal(basis, a, [18] * len(basis), repeat), r_max=5.1, dr=0.05)
    n_atoms = len(basis) * repeat**3
    neighbors = 2 * found.counts["total"] / n_atoms
    occupied = np.flatnonzero(neighbors)
    assert_array_equal(occupied[: len(shells)], [int(a * r / 0.05) for r in shells])
    assert_array_equal(neighbors[occupied[: len(shells)]], list(shells.values()))
    first = coordination_number(found, "total", "total")
    assert_allclose(first, next(iter(shells.values())), rtol=1e-12, atol=0)


def test_a_supercell_has_the_same_g():
    rng = np.random.default_rng(0)
    cell = np.array([[5.1, 0.0, 0.0], [1.3, 6.2, 0.0], [-0.7, 2.1, 7.3]])
    numbers = np.array([3, 3, 16, 15])
    positions = rng.random((2, 4, 3)) @ cell
    small = radial_distribution(trajectory(positions, cell, numbers), r_max=9.0, dr=0.051)
    double = trajectory(
        np.concatenate([positions, positions + cell[1]], axis=1),
        cell * [[1], [2], [1]],
        np.tile(numbers, 2),
    )
    large = radial_distribution(double, r_max=9.0, dr=0.051)
    assert list(large.g) == list(small.g)
    for name in small.g:
        assert_array_equal(large.counts[name], 2 * small.counts[name])
        assert_allclose(large.g[name], small.g[name], rtol=1e-12, atol=0)


def test_an_ideal_gas_has_one_neighbor_too_few():
    """(N − 1)/N for like atoms within the shortest lattice vector, 1 for unlike ones."""
    rng = np.random.default_rng(1)
    cell = np.array([[8.0, 0.0, 0.0], [1.0, 8.5, 0.0], [-1.0, 0.5, 9.0]])
    numbers = np.repeat([3, 16], [2, 8])
    gas = trajectory(rng.random((4000, 10, 3)) @ cell, cell, numbers)
    found = radial_distribution(gas, r_max=7.5, dr=0.5)
    expected = {"total": 9 / 10, "Li-Li": 1 / 2, "Li-S": 1.0, "S-S": 7 / 8}
    for name, g in expected.items():
        counts = found.counts[name][2:]  # enough for a normal distribution
        assert counts.min() > 30
        assert np.all(np.abs(found.g[name][2:] / g - 1.0) < 5.0 / np.sqrt(counts))
        mean = np.average(found.g[name] / g, weights=found.edges[1:] ** 3 - found.edges[:-1] ** 3)
        assert abs(mean - 1.0) < 5.0 / found.counts[name].sum() ** 0.5


def test_normalization_of_unlike_and_like_pairs():
    """Two Li and one S at known places, against the definition written out."""
    positions = np.array([[[0.0, 0.0, 0.0], [1.02, 0.0, 0.0], [0.0, 2.03, 0.0]]])
    found = radial_distribution(
        trajectory(positions, 20.0 * np.eye(3), [3, 3, 16]), r_max=3.0, dr=0.1
    )
    shell = 4 / 3 * np.pi * np.diff(found.edges**3)
    assert_allclose(found.g["Li-Li"][10], 8000.0 * 2 / (2 * 2) / shell[10], rtol=1e-12, atol=0)
    assert_allclose(found.g["Li-S"][20], 8000.0 / (2 * 1) / shell[20], rtol=1e-12, atol=0)
    assert_allclose(found.g["total"][10], 8000.0 * 2 / 9 / shell[10], rtol=1e-12, atol=0)
    assert list(found.g) == ["total", "Li-Li", "Li-S", "S-S"]
    assert found.n_atoms == {"Li": 2, "S": 1}
    assert_allclose(found.volume, 8000.0, rtol=1e-12, atol=0)


def test_pairs_are_named_in_alphabetical_order():
    positions = np.random.default_rng(2).random((1, 4, 3)) * 6.0
    found = radial_distribution(
        trajectory(positions, 6.0 * np.eye(3), [16, 3, 32, 15]), r_max=3.0, dr=0.1
    )
    names = list(found.g)
    assert names[0] == "total"
    assert names[1:] == sorted(names[1:])
    assert len(names) == 11
    assert {"Ge-S", "Li-P", "P-S"} < set(names)


def test_each_frame_counts_with_its_own_volume():
    rng = np.random.default_rng(3)
    cells = np.eye(3) * np.array([5.0, 6.0, 7.0])[:, None, None]
    positions, numbers = rng.random((3, 4, 3)) * 5.0, [3, 3, 16, 16]
    whole = PairHistogram(numbers, 4.0, 0.1)
    whole.add(positions, cells)
    frames = []
    for k in range(3):
        one = PairHistogram(numbers, 4.0, 0.1)
        one.add(positions[k : k + 1], cells[k : k + 1])
        frames.append(one.result())
    mean = np.mean([f.g["Li-S"] for f in frames], axis=0)
    assert_allclose(whole.result().g["Li-S"], mean, rtol=1e-12, atol=0)


def test_blocks_merge_to_the_whole():
    rng = np.random.default_rng(4)
    positions, cells = rng.random((30, 5, 3)) * 6.0, np.repeat(6.0 * np.eye(3)[None], 30, axis=0)
    numbers = [3, 3, 16, 16, 15]
    whole, first, second = (PairHistogram(numbers, 7.0, 0.1) for _ in range(3))
    whole.add(positions, cells)
    for start in (0, 7):
        first.add(positions[start : start + 7], cells[start : start + 7])
    second.add(positions[14:], cells[14:])
    assert (first.n_frames, second.n_frames) == (14, 16)
    first.merge(second)
    first.merge(PairHistogram(numbers, 7.0, 0.1))
    assert first.n_frames == 30
    for name, counts in whole.result().counts.items():
        assert_array_equal(first.result().counts[name], counts)
        assert_allclose(first.result().g[name], whole.result().g[name], rtol=1e-12, atol=0)
    with pytest.raises(InputError, match="histograms of pairs"):
        first.merge(PairHistogram(numbers, 7.0, 0.2))


def test_torch_may_count():
    rng = np.random.default_rng(5)
    gas = trajectory(rng.random((10, 6, 3)) * 5.0, 5.0 * np.eye(3), [3, 3, 3, 16, 16, 15])
    histogram = PairHistogram(gas.atomic_numbers, 6.0, 0.051, count=pair_counts_torch.count_pairs)
    histogram.add(gas.positions, gas.cells, gas.pbc)
    expected = radial_distribution(gas, r_max=6.0, dr=0.051)
    for name, counts in expected.counts.items():
        assert_array_equal(histogram.result().counts[name], counts)


def test_replicas_are_pooled_with_equal_weights():
    rng = np.random.default_rng(6)
    replicas = [
        radial_distribution(
            trajectory(rng.random((n, 4, 3)) * 5.0, 5.0 * np.eye(3), [3, 3, 16, 16]),
            r_max=4.0,
            dr=0.2,
        )
        for n in (3, 9)
    ]
    pooled = pool(replicas)
    for name in pooled.g:
        mean = 0.5 * (replicas[0].g[name] + replicas[1].g[name])
        assert_allclose(pooled.g[name], mean, rtol=1e-14, atol=0)
        assert_array_equal(pooled.counts[name], replicas[0].counts[name] + replicas[1].counts[name])
    assert pooled.n_frames == 12
    with pytest.raises(InputError, match="at least one"):
        pool([])
    other = trajectory(rng.random((1, 2, 3)) * 5.0, 5.0 * np.eye(3), [3, 16])
    with pytest.raises(InputError, match="replica 1"):
        pool([replicas[0], radial_distribution(other, r_max=4.0, dr=0.2)])


def test_first_peak_of_a_parabola_is_exact():
    r = 0.05 * np.arange(100) + 0.025
    g = 3.0 - 7.0 * (r - 2.213) ** 2  # above 1 from 1.68 to 2.75
    second = 9.0 - 50.0 * (r - 4.0) ** 2
    peak = first_peak(r, np.maximum(0.0, np.maximum(g, second)))
    assert_allclose([peak.position, peak.height], [2.213, 3.0], rtol=1e-10, atol=0)


def test_noise_does_not_split_the_first_peak():
    rng = np.random.default_rng(8)
    r = 0.05 * np.arange(120) + 0.025
    truth = 4.0 * np.exp(-0.5 * ((r - 2.5) / 0.25) ** 2) + 1.8 * (r > 4.0)
    for _ in range(20):
        peak = first_peak(r, rng.poisson(8.0 * truth) / 8.0)
        assert abs(peak.position - 2.5) < 0.3
        assert 3.5 < peak.height < 7.0


def test_a_single_pair_at_a_tiny_distance_is_no_shell():
    r = 0.05 * np.arange(120) + 0.025
    g = 3.0 * np.exp(-0.5 * ((r - 2.5) / 0.25) ** 2)
    g[1] = 5.0  # few counts in a small shell
    assert abs(first_peak(r, g).position - 2.5) < 0.01


def test_no_peak_where_g_does_not_rise_or_does_not_fall():
    r = 0.05 * np.arange(40) + 0.025
    assert first_peak(r, np.full(40, 0.9)) is None
    assert first_peak(r, np.linspace(0.0, 2.0, 40)) is None


def test_first_shells_of_rock_salt():
    chloride = FCC + np.array([0.5, 0.0, 0.0])
    salt = crystal(np.concatenate([FCC, chloride]), 5.637, [11] * 4 + [17] * 4)
    shells = first_peaks(radial_distribution(salt, r_max=6.0, dr=0.05))
    assert list(shells) == ["total", "Cl-Cl", "Cl-Na", "Na-Na"]
    assert_allclose(shells["Cl-Na"].coordination, 6.0, rtol=1e-12, atol=0)
    assert_allclose(shells["Na-Na"].coordination, 12.0, rtol=1e-12, atol=0)
    assert abs(shells["Cl-Na"].peak.position - 5.637 / 2) < 0.05


def test_coordination_depends_on_who_is_in_the_middle():
    """Fluorite: 8 F around Ca, 4 Ca around F."""
    f = np.array(list(np.ndindex(2, 2, 2))) * 0.5 + 0.25
    fluorite = crystal(np.concatenate([FCC, f]), 5.463, [20] * 4 + [9] * 8)
    found = radial_distribution(fluorite, r_max=6.0, dr=0.05)
    assert_allclose(coordination_number(found, "Ca", "F"), 8.0, rtol=1e-12, atol=0)
    assert_allclose(coordination_number(found, "F", "Ca"), 4.0, rtol=1e-12, atol=0)
    shell = first_peaks(found)["Ca-F"]
    assert_allclose([shell.coordination, shell.reverse_coordination], [8, 4], rtol=1e-12, atol=0)


def test_a_shell_that_the_cutoff_cuts_has_no_number():
    rng = np.random.default_rng(7)
    noisy = crystal(FCC, 4.033, [18] * 4, repeat=2)
    positions = noisy.positions + 0.1 * rng.normal(size=(50, *noisy.positions.shape[1:]))
    cut = radial_distribution(
        trajectory(positions, noisy.cells[0], noisy.atomic_numbers), r_max=2.9, dr=0.05
    )
    assert coordination_number(cut, "total", "total") is None


def test_a_histogram_without_frames_has_no_g():
    with pytest.raises(InputError, match="at least one frame"):
        PairHistogram([3, 16], 4.0, 0.1).result()


def test_a_slab_is_refused():
    slab = trajectory(np.zeros((1, 2, 3)), 5.0 * np.eye(3), [3, 16], pbc=(True, True, False))
    with pytest.raises(InputError, match="periodic in all three directions"):
        radial_distribution(slab, r_max=4.0, dr=0.1)
