"""Periodic systems of all kinds for the contract, and what they are compared by."""

from dataclasses import dataclass

import numpy as np
import torch

from mdbench.graph import build_graph

SPECIES = np.array([3, 8, 15, 16, 17, 32])


@dataclass(frozen=True)
class System:
    """Atoms (n_atoms,), positions (n_atoms, 3) Å and cell (3, 3) Å."""

    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray


def random_system(seed, shape=(2, 2, 2), spacing=3.0):
    """Jittered grid points of a random triclinic cell: no two atoms meet."""
    rng = np.random.default_rng(seed)
    grid = np.array(list(np.ndindex(shape))) + rng.uniform(-0.15, 0.15, (np.prod(shape), 3))
    cell = spacing * np.diag(shape) @ (np.eye(3) + rng.uniform(-0.15, 0.15, (3, 3)))
    return System(rng.choice(SPECIES, len(grid)), grid / shape @ cell, cell)


def narrow_system(seed):
    """Two atoms in a triclinic cell that is narrower than any cutoff."""
    return random_system(seed, (1, 1, 2), 3.0)


def cluster(*places, numbers=(3, 16, 8)):
    """Atoms at places (3,) Å in a cell in which they see nothing of their images."""
    return System(np.array(numbers[: len(places)]), np.array(places, float), 40.0 * np.eye(3))


def simple_cubic(n=1):
    """n × n × n cells of sulfur, so that each atom has shells of neighbors at equal distances."""
    places = 3.0 * np.array(list(np.ndindex(n, n, n)), dtype=float)
    return System(np.full(len(places), 16), places, 3.0 * n * np.eye(3))


def supercell(system, repeats):
    """The system repeated along its lattice vectors, image by image."""
    shifts = np.array(list(np.ndindex(repeats)))
    return System(
        np.tile(system.numbers, len(shifts)),
        (system.positions + (shifts @ system.cell)[:, None]).reshape(-1, 3),
        np.diag(repeats) @ system.cell,
    )


def graph(model, *systems):
    """What the model takes, of one or more systems."""
    return build_graph(
        np.concatenate([s.numbers for s in systems]),
        np.concatenate([s.positions for s in systems]),
        np.array([s.cell for s in systems]),
        model.cutoff,
        first_atom=np.cumsum([0, *(len(s.numbers) for s in systems)]),
        max_neighbors=model.max_neighbors,
        dtype=model.dtype,
    )


def predict(model, *systems):
    """Energies, forces and virials as arrays; zeros for the virials that direct forces lack."""
    found = [part.double().numpy() for part in model.predict(graph(model, *systems))]
    if not model.conservative:
        assert np.isnan(found[2]).all()
        found[2] = np.zeros_like(found[2])
    return found


def force_scale(model, forces, virials):
    """What forces that vanish by symmetry are held against: without virials, those of another."""
    scale = max(np.abs(forces).max(), np.abs(virials).max())
    return (
        scale
        if model.conservative
        else max(scale, np.abs(predict(model, random_system(0))[1]).max())
    )


def accuracy(model):
    """Claimed relative error of results in the model's precision."""
    return 1e-4 if model.dtype == torch.float32 else 1e-8


def assert_near(found, expected, rtol, scale=None):
    """Every element within rtol of the largest one, or of a scale: some vanish by symmetry."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    assert np.isfinite(expected).all()
    size = np.abs(expected).max(initial=0.0) if scale is None else scale
    difference = np.abs(found - expected).max(initial=0.0)
    assert difference <= rtol * size, f"differs by {difference:.3g} of {size:.3g}"


def assert_same(model, found, expected):
    """Predictions that agree as well as the model claims."""
    for one, other in zip(found, expected, strict=True):
        assert_near(one, other, accuracy(model))


def assert_identical(found, expected):
    """Predictions that agree bit for bit."""
    torch.testing.assert_close(tuple(found), tuple(expected), rtol=0, atol=0, equal_nan=True)
