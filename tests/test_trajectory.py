"""Trajectories in memory, and following atoms across periodic boundaries."""

from itertools import product

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mdbench.errors import InputError
from mdbench.trajectory import (
    UNWRAP_LIMIT,
    Provenance,
    Trajectory,
    Unwrapper,
    check_cells,
    element_number,
    frame_interval,
    kinetic_temperatures,
    reduced_formula,
)

TRICLINIC = np.array([[6.0, 0.3, 0.1], [2.0, 5.0, -0.2], [1.0, -1.5, 7.0]])
SKEWED = np.array([[5.0, 0, 0], [13.0, 4.5, 0], [-9.0, 11.0, 6.0]])


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def build(*arguments, **named):
    return Trajectory(*arguments, **named)


def small(rng, n_frames=4, n_atoms=3, **more):
    numbers = np.array([3, 16, 3])[:n_atoms]
    times = np.arange(n_frames) * 0.002
    positions = rng.normal(size=(n_frames, n_atoms, 3)) * 9
    return build(positions, TRICLINIC, numbers, times, **more)


def full(rng):
    return small(
        rng,
        energies=rng.normal(size=4),
        forces=rng.normal(size=(4, 3, 3)),
        velocities=rng.normal(size=(4, 3, 3)),
        stresses=(s := rng.normal(size=(4, 3, 3))) + s.transpose(0, 2, 1),
        provenance=Provenance(material="Li2S"),
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"positions": np.zeros((4, 9))}, ["positions", "(frames, atoms, 3)", "(4, 9)"]),
        ({"positions": np.zeros((4, 3, 2))}, ["positions", "(4, 3, 2)"]),
        ({"positions": np.zeros((4, 0, 3))}, ["at least one atom"]),
        ({"cells": np.zeros((4, 3))}, ["cells", "(4, 3, 3)", "(4, 3)"]),
        ({"cells": np.zeros((3, 3, 3))}, ["cells", "(4, 3, 3)", "(3, 3, 3)"]),
        ({"cells": np.zeros((3, 3))}, ["frame 0: cell", "span a volume"]),
        ({"cells": np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0]])}, ["frame 0: cell"]),
        ({"atomic_numbers": [3, 16]}, ["atomic_numbers", "(3,)", "(2,)"]),
        ({"times_ps": [0.0]}, ["times_ps", "(4,)", "(1,)"]),
        ({"pbc": True}, ["pbc", "(3,)", "()"]),
        ({"energies": np.zeros((4, 1))}, ["energies", "(4,)", "(4, 1)"]),
        ({"forces": np.zeros((4, 3))}, ["forces", "(4, 3, 3)", "(4, 3)"]),
        ({"velocities": np.zeros((3, 3, 3))}, ["velocities", "(3, 3, 3)"]),
        ({"stresses": np.zeros((4, 6))}, ["stresses", "(4, 3, 3)", "(4, 6)"]),
    ],
)
def test_what_does_not_fit_is_named(change, words):
    good = {
        "positions": np.zeros((4, 3, 3)),
        "cells": TRICLINIC,
        "atomic_numbers": [3, 16, 3],
        "times_ps": np.arange(4),
    }
    build(**good)
    with pytest.raises(InputError) as caught:
        build(**{**good, **change})
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_frame_that_is_not_finite_is_named(rng, bad):
    positions = rng.normal(size=(4, 3, 3))
    positions[2, 1, 0] = bad
    with pytest.raises(InputError, match="positions of frame 2"):
        build(positions, TRICLINIC, [3, 3, 3], np.arange(4))
    cells = np.stack([TRICLINIC] * 4)
    cells[3, 0, 0] = bad
    with pytest.raises(InputError, match="cells of frame 3"):
        build(np.zeros((4, 3, 3)), cells, [3, 3, 3], np.arange(4))


def test_check_cells_counts_from_the_first_frame():
    cells = np.stack([TRICLINIC] * 4)
    cells[1, 2] = 2 * cells[1, 1]
    with pytest.raises(InputError, match="frame 101: cell"):
        check_cells(cells, first_frame=100)
    check_cells(cells[2:])


def test_molecules_need_no_cell():
    made = build(np.zeros((1, 2, 3)), np.zeros((3, 3)), [1, 1], [0.0], pbc=np.zeros(3, bool))
    assert made.n_frames == 1


def test_arrays_are_frozen(rng):
    positions = rng.normal(size=(4, 3, 3))
    made = build(positions, TRICLINIC, [3, 16, 3], np.arange(4))
    with pytest.raises(ValueError, match="read-only"):
        made.positions[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        made.cells[0] = 0
    positions[0] = 1  # the caller's own stays the caller's


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_precision_of_positions(dtype):
    made = build(np.zeros((1, 1, 3), dtype), TRICLINIC, [3], [0.0])
    assert made.positions.dtype == (np.float32 if dtype == np.float32 else np.float64)


@pytest.mark.parametrize(
    "frames",
    [slice(1, 3), slice(None, None, 2), slice(-1, None), slice(2, 2), slice(None, None, -1)],
)
def test_slices(rng, frames):
    whole = full(rng)
    cut = whole[frames]
    for name in ("positions", "cells", "times_ps", "energies", "forces", "velocities", "stresses"):
        assert_array_equal(getattr(cut, name), getattr(whole, name)[frames])
    assert len(cut) == cut.n_frames == len(range(4)[frames])
    assert cut.provenance == whole.provenance


def test_a_frame_is_not_a_trajectory(rng):
    with pytest.raises(TypeError, match="slice"):
        full(rng)[1]


def test_properties(rng):
    made = full(rng)
    assert made.symbols == ["Li", "S", "Li"]
    assert made.formula == "Li2S"
    assert_allclose(made.frame_interval_fs, 2.0, rtol=1e-12, atol=0)
    volume = np.dot(TRICLINIC[0], np.cross(TRICLINIC[1], TRICLINIC[2]))
    assert_allclose(made.volumes, [volume] * 4, rtol=1e-12, atol=0)


def test_select(rng):
    made = full(rng)
    lithium = made.select("Li")
    assert lithium.symbols == ["Li", "Li"]
    for name in ("positions", "forces", "velocities"):
        assert_array_equal(getattr(lithium, name), getattr(made, name)[:, [0, 2]])
    assert_array_equal(lithium.energies, made.energies)
    assert made.select("s", "LI").n_atoms == 3
    with pytest.raises(InputError, match="no atom of Na"):
        made.select("Na")
    with pytest.raises(InputError, match="unknown element 'Lx'"):
        made.select("Lx")


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 0, 1), (0, 0, 0)])
def test_wrapped_positions(rng, pbc):
    made = small(rng, pbc=np.array(pbc, bool))
    wrapped = made.wrapped_positions()
    inverse = np.linalg.inv(TRICLINIC)
    scaled, before = wrapped @ inverse, made.positions @ inverse
    for axis in range(3):
        if pbc[axis]:
            assert (scaled[..., axis] >= -1e-12).all()
            assert (scaled[..., axis] < 1 + 1e-12).all()
            moved = scaled[..., axis] - before[..., axis]
            assert_allclose(moved - np.rint(moved), 0, rtol=0, atol=1e-12)
        else:
            assert_allclose(scaled[..., axis], before[..., axis], rtol=1e-9, atol=0)


def test_wrapped_positions_of_a_molecule(rng):
    positions = rng.normal(size=(2, 2, 3))
    made = build(positions, np.zeros((3, 3)), [1, 1], [0, 1], pbc=np.zeros(3, bool))
    assert_array_equal(made.wrapped_positions(), positions)


def images_of(rng, n_images=3, pbc=True):
    images = []
    for k in range(n_images):
        atoms = Atoms("Li2S", rng.uniform(size=(3, 3)), cell=TRICLINIC * (1 + k / 99), pbc=pbc)
        atoms.set_velocities(rng.normal(size=(3, 3)) / 99)
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=float(rng.normal()),
            forces=rng.normal(size=(3, 3)),
            stress=rng.normal(size=6),
        )
        images.append(atoms)
    return images


def test_ase_round_trip(rng):
    images = images_of(rng, pbc=(True, False, True))
    made = Trajectory.from_ase(images, frame_interval_fs=2.0)
    assert_allclose(made.times_ps, [0, 0.002, 0.004], rtol=1e-12, atol=0)
    assert made.velocities is not None
    # Å/fs in both: ASE's unit of velocity is Å / (1 / units.fs)
    for frame, atoms in enumerate(images):
        velocities = atoms.get_velocities() * units.fs
        assert_allclose(made.velocities[frame], velocities, rtol=1e-6, atol=0)
    for before, after in zip(images, made.to_ase(), strict=True):
        assert_array_equal(after.numbers, before.numbers)
        assert_array_equal(after.positions, before.positions)
        assert_array_equal(after.cell.array, before.cell.array)
        assert_array_equal(after.pbc, before.pbc)
        assert_allclose(after.get_velocities(), before.get_velocities(), rtol=1e-12, atol=0)
        assert after.get_potential_energy() == before.get_potential_energy()
        assert_array_equal(after.get_forces(), before.get_forces())
        assert_array_equal(after.get_stress(), before.get_stress())


def test_from_ase_keeps_what_all_images_have(rng):
    images = images_of(rng)
    images[1].calc = None
    del images[2].arrays["momenta"]
    made = Trajectory.from_ase(images, frame_interval_fs=1.0)
    assert made.energies is made.forces is made.stresses is made.velocities is None
    assert made.to_ase()[0].calc is None


def test_from_ase_unwraps(rng):
    steps = rng.normal(size=(30, 3, 3)) * 0.3
    path = np.cumsum(steps, axis=0)
    images = [Atoms("Li2S", p, cell=TRICLINIC, pbc=True) for p in path]
    for atoms in images:
        atoms.wrap()
    made = Trajectory.from_ase(images, frame_interval_fs=1.0)
    moved = made.positions - made.positions[0]
    assert_allclose(moved[1:], (path - path[0])[1:], rtol=1e-8, atol=0)
    as_stored = Trajectory.from_ase(images, frame_interval_fs=1.0, unwrap=False)
    assert_array_equal(as_stored.positions, [a.positions for a in images])
    no_time = Trajectory.from_ase(images, frame_interval_fs=0)
    assert_array_equal(no_time.positions, as_stored.positions)
    assert no_time.frame_interval_fs is None


def test_from_ase_refuses(rng):
    images = images_of(rng)
    images[2] = images[2][[2, 0, 1]]
    with pytest.raises(InputError, match=r"images\[2\].*Li2S.*SLi2"):
        Trajectory.from_ase(images, frame_interval_fs=1.0)
    with pytest.raises(InputError, match="at least one"):
        Trajectory.from_ase([], frame_interval_fs=1.0)


def test_from_ase_of_molecules(rng):
    images = [Atoms("H2", rng.normal(size=(2, 3))) for _ in range(3)]
    made = Trajectory.from_ase(images, frame_interval_fs=1.0)
    assert_array_equal(made.positions, [a.positions for a in images])


def test_from_ase_of_a_cell_without_volume(rng):
    slab = [Atoms("H2", rng.normal(size=(2, 3)), cell=[4, 4, 0], pbc=(1, 1, 0)) for _ in range(2)]
    with pytest.raises(InputError, match="span a volume"):
        Trajectory.from_ase(slab, frame_interval_fs=1.0)


@pytest.mark.parametrize("displacements", [True, False])
@pytest.mark.parametrize("constant", [True, False])
def test_from_pymatgen(rng, displacements, constant):
    from pymatgen.core import Lattice, Structure
    from pymatgen.core.trajectory import Trajectory as PymatgenTrajectory

    path = rng.uniform(size=(1, 3, 3)) + np.cumsum(rng.normal(size=(20, 3, 3)) * 0.03, axis=0)
    cells = [TRICLINIC if constant else TRICLINIC * (1 + k / 500) for k in range(20)]
    structures = [
        Structure(Lattice(c), ["Li+", "Li", "S2-"], p, to_unit_cell=True)
        for c, p in zip(cells, path, strict=True)
    ]
    foreign = PymatgenTrajectory.from_structures(
        structures, constant_lattice=constant, time_step=2.0
    )
    if displacements:
        foreign.to_displacements()
    coords, flag = np.array(foreign.coords), foreign.coords_are_displacement
    made = Trajectory.from_pymatgen(foreign)
    assert foreign.coords_are_displacement == flag
    assert_array_equal(foreign.coords, coords)
    assert made.symbols == ["Li", "Li", "S"]
    assert made.frame_interval_fs is not None
    assert_allclose(made.frame_interval_fs, 2.0, rtol=1e-12, atol=0)
    assert_allclose(made.cells, np.broadcast_to(cells, (20, 3, 3)), rtol=1e-12, atol=0)
    moved = made.positions @ np.linalg.inv(cells)
    whole = moved - path
    assert_allclose(whole - whole[0], 0, rtol=0, atol=1e-9)
    again = Trajectory.from_pymatgen(foreign, frame_interval_fs=5.0)
    assert again.frame_interval_fs is not None
    assert_allclose(again.frame_interval_fs, 5.0, rtol=1e-12, atol=0)


def test_from_pymatgen_refuses(rng):
    from pymatgen.core import Lattice, Molecule, Structure
    from pymatgen.core.trajectory import Trajectory as PymatgenTrajectory

    molecules = PymatgenTrajectory.from_molecules([Molecule(["H"], [[0, 0, 0]])] * 2)
    with pytest.raises(InputError, match="molecules"):
        Trajectory.from_pymatgen(molecules)
    crystal = Structure(Lattice(TRICLINIC), ["Li"], [[0, 0, 0]])
    timeless = PymatgenTrajectory.from_structures([crystal] * 2)
    timeless.time_step = None
    with pytest.raises(InputError, match="frame_interval_fs"):
        Trajectory.from_pymatgen(timeless)


def test_frame_interval():
    assert frame_interval(np.array([0.0])) is None
    assert frame_interval(np.zeros(5)) is None
    assert frame_interval(np.array([0.0, 0.5, 1.0, 9.0])) == 500.0


def test_kinetic_temperatures_known_values(rng):
    # two atoms of argon that fly apart at 1 Å/ps: m v² = 3 k_B T with 3N − 3 = 3
    velocities = np.zeros((1, 2, 3))
    velocities[0, :, 0] = 1e-3, -1e-3
    mass, kilogram, boltzmann = 39.948, 1.66053906660e-27, 1.380649e-23
    expected = 2 * mass * kilogram * 100.0**2 / (3 * boltzmann)
    found = kinetic_temperatures(velocities, np.array([18, 18]))
    assert_allclose(found, [expected], rtol=1e-8, atol=0)
    # both the same way: the total momentum is not zero, 3N = 6
    found = kinetic_temperatures(np.abs(velocities), np.array([18, 18]))
    assert_allclose(found, [expected / 2], rtol=1e-8, atol=0)


def test_kinetic_temperatures_are_ases(rng):
    atoms = Atoms("Li2SPCl", rng.normal(size=(5, 3)))
    atoms.set_momenta(rng.normal(size=(5, 3)) * 9)
    moving = kinetic_temperatures(atoms.get_velocities()[None] * units.fs, atoms.numbers)
    assert_allclose(moving, [atoms.get_temperature()], rtol=1e-6, atol=0)
    momenta = atoms.get_momenta()
    atoms.set_momenta(momenta - momenta.mean(axis=0))
    still = kinetic_temperatures(atoms.get_velocities()[None] * units.fs, atoms.numbers)
    assert_allclose(still, [atoms.get_temperature() * 5 / 4], rtol=1e-6, atol=0)


def test_kinetic_temperature_of_one_atom():
    at_rest = kinetic_temperatures(np.zeros((2, 1, 3)), np.array([3]))
    assert np.isnan(at_rest).all()
    flying = kinetic_temperatures(np.ones((2, 1, 3)), np.array([3]))
    assert np.isfinite(flying).all()


@pytest.mark.parametrize(
    ("symbols", "formula"),
    [
        ("S12P2GeLi10", "Li10GeP2S12"),
        ("Li20Ge2P4S24", "Li10GeP2S12"),
        ("ClNa", "NaCl"),
        ("O24Zr7YBa8H", "HBa8YZr7O24"),
        ("Si64", "Si"),
        ("ClLi6PS5", "Li6PS5Cl"),
    ],
)
def test_reduced_formula(symbols, formula):
    numbers = Atoms(symbols).numbers
    found = reduced_formula(numbers)
    assert Atoms(found).symbols.formula.count() == Atoms(formula).symbols.formula.count()
    if "Ba" not in symbols:
        assert found == formula


def test_element_number():
    assert element_number("Li") == element_number(" LI") == element_number("li") == 3
    for bad in ("X", "", "Lx", "3"):
        with pytest.raises(InputError, match="unknown element"):
            element_number(bad)


def naive_images(steps, cell, pbc):
    """(n_atoms, 3) which of 11³ lattice vectors make each fractional step the shortest."""
    reach = [range(-5, 6) if periodic else (0,) for periodic in pbc]
    shifts = np.array(list(product(*reach)))
    lengths = np.linalg.norm((steps[:, None] + shifts) @ cell, axis=2)
    return shifts[lengths.argmin(axis=1)]


def limit_of(cell, pbc):
    """Å, the longest step that can be unwrapped."""
    vectors = [np.array(s) @ cell for s in product(range(-6, 7), repeat=3) if any(s)]
    kept = [
        v
        for v, s in zip(
            vectors, (s for s in product(range(-6, 7), repeat=3) if any(s)), strict=True
        )
        if not any(n for n, periodic in zip(s, pbc, strict=True) if not periodic)
    ]
    return UNWRAP_LIMIT * 0.5 * min(np.linalg.norm(v) for v in kept)


def short_steps(rng, shape, limit):
    """Steps in Å in all directions, up to just below the limit."""
    steps = rng.normal(size=(*shape, 3))
    lengths = rng.uniform(size=(*shape, 1)) * 0.999 * limit
    return steps / np.linalg.norm(steps, axis=-1, keepdims=True) * lengths


@pytest.mark.parametrize("cell", [np.eye(3) * 7.0, TRICLINIC, SKEWED], ids=["cubic", "tri", "skew"])
@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 1, 0), (0, 1, 0), (0, 0, 0)])
def test_random_walk_comes_back_exactly(rng, cell, pbc):
    pbc = np.array(pbc, bool)
    limit = limit_of(cell, pbc) if pbc.any() else 5.0
    path = np.cumsum(short_steps(rng, (60, 5), limit), axis=0)
    scaled = path @ np.linalg.inv(cell)
    images = np.floor(scaled).astype(int) * pbc
    wrapped = path - images @ cell
    cells = np.broadcast_to(cell, (60, 3, 3))
    whole = Unwrapper(pbc).unwrap(wrapped, cells)
    expected = path - images[0] @ cell
    assert_allclose(whole - expected, 0, rtol=0, atol=1e-9)
    unwrapper, pieces = Unwrapper(pbc), []
    for start, stop in ((0, 1), (1, 8), (8, 9), (9, 40), (40, 60)):
        pieces.append(unwrapper.unwrap(wrapped[start:stop], cells[start:stop]))
    assert_array_equal(np.concatenate(pieces), whole)
    counts = Unwrapper(pbc).image_counts(scaled - images, cells)
    assert_array_equal(counts, images - images[0])
    assert_array_equal(Unwrapper(pbc).image_counts(scaled, cells), np.zeros_like(images))


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 0, 1)])
def test_random_walk_in_a_cell_that_changes(rng, pbc):
    pbc = np.array(pbc, bool)
    cells = TRICLINIC + np.cumsum(rng.normal(size=(40, 3, 3)) * 0.02, axis=0)
    steps = short_steps(rng, (40, 5), 0.8 * limit_of(TRICLINIC, pbc))
    scaled = np.cumsum(np.einsum("fai,fij->faj", steps, np.linalg.inv(cells)), axis=0)
    images = np.floor(scaled).astype(int) * pbc
    positions = np.einsum("fai,fij->faj", scaled - images, cells)
    expected = np.einsum("fai,fij->faj", scaled - images[0], cells)
    unwrapper = Unwrapper(pbc)
    found = [unwrapper.unwrap(positions[s], cells[s]) for s in (slice(0, 13), slice(13, 40))]
    assert_allclose(np.concatenate(found) - expected, 0, rtol=0, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    entries=st.lists(st.floats(-6, 6), min_size=9, max_size=9),
    pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    seed=st.integers(0, 99),
)
def test_against_all_images(entries, pbc, seed):
    rng = np.random.default_rng(seed)
    cell = np.reshape(entries, (3, 3)) + np.eye(3) * 7
    lengths = np.linalg.norm(cell, axis=1)
    if abs(np.linalg.det(cell)) < 0.1 * lengths.prod():
        return  # so skewed that 11³ images are not all that count
    pbc = np.array(pbc)
    first = rng.uniform(size=(30, 3))
    steps = rng.uniform(-1.0, 1.0, size=(30, 3))
    naive = naive_images(steps, cell, pbc)
    norms = np.linalg.norm((steps + naive) @ cell, axis=1)
    near = norms < 0.999 * (limit_of(cell, pbc) if pbc.any() else np.inf)
    scaled = np.stack([first[near], first[near] + steps[near]])
    if not near.any():
        return
    counts = Unwrapper(pbc).image_counts(scaled, np.broadcast_to(cell, (2, 3, 3)))
    assert_array_equal(counts[0], np.zeros_like(counts[0]))
    assert_array_equal(counts[1], naive[near])


def test_watching_the_largest_step():
    unwrapper = Unwrapper(np.ones(3, bool))
    cells = np.broadcast_to(np.eye(3) * 10, (2, 3, 3))
    scaled = np.zeros((2, 3, 3))
    unwrapper.image_counts(scaled, cells)
    assert unwrapper.largest_step == 0.0
    scaled[1, 2] = 0.3, 0, 0
    unwrapper.image_counts(scaled, cells)
    assert_allclose(unwrapper.largest_step, 0.6, rtol=1e-12, atol=0)
    assert unwrapper.largest_at == (3, 2)
    scaled[:, 2, 0] = 0.3, 0.4
    unwrapper.image_counts(scaled, cells)
    assert unwrapper.largest_at == (3, 2)


@pytest.mark.parametrize(("step", "refused"), [(0.474, False), (0.476, True)])
def test_too_far_to_unwrap(step, refused):
    unwrapper = Unwrapper(np.ones(3, bool))
    cells = np.broadcast_to(np.diag([30.0, 10, 20]), (4, 3, 3))
    scaled = np.zeros((4, 5, 3))
    unwrapper.image_counts(scaled, cells)
    scaled[2:, 3, 1] = step
    if not refused:
        unwrapper.image_counts(scaled, cells)
        return
    with pytest.raises(InputError) as caught:
        unwrapper.image_counts(scaled, cells)
    for words in ("frame 6, atom 3", "below 4.75 A", "found 4.76 A", "--frame-interval-fs 0"):
        assert words in str(caught.value)


def test_the_limit_is_that_of_the_reduced_cell():
    # the shortest lattice vector of this cell is c - b - a, 1.5 Å, shorter than any row
    cell = np.array([[5.0, 0, 0], [0, 5.0, 0], [5.0, 5.0, 1.5]])
    scaled = np.zeros((2, 1, 3))
    scaled[1] = np.array([0, 0, 0.74]) @ np.linalg.inv(cell)
    with pytest.raises(InputError, match="frame 1, atom 0"):
        Unwrapper(np.ones(3, bool)).image_counts(scaled, np.stack([cell] * 2))
