"""Crystals, distorted and batched, and a check against each array's own scale."""

import numpy as np

from mdbench.potentials.base import Systems
from mdbench.potentials.materials import MATERIALS, material


def single(numbers, positions, cell):
    """One system and its positions."""
    first = np.array([0, len(numbers)])
    return Systems(np.asarray(numbers), np.array([cell], dtype=float), first), positions


def distorted(name, seed, width=0.1, strain=0.05):
    """A crystal with displaced atoms, some of them wrapped elsewhere, in a triclinic cell."""
    rng = np.random.default_rng(seed)
    crystal = material(name)
    change = np.eye(3) + rng.uniform(-strain, strain, (3, 3))
    cell = crystal.cell @ change
    positions = crystal.positions @ change + rng.normal(0.0, width, crystal.positions.shape)
    return crystal.atomic_numbers, positions + rng.integers(-1, 2, positions.shape) @ cell, cell


def batch(parts):
    """Systems and positions of (numbers, positions, cell)."""
    numbers, positions, cells = zip(*parts, strict=True)
    first = np.concatenate([[0], np.cumsum([len(n) for n in numbers])])
    return Systems(np.concatenate(numbers), np.array(cells), first), np.concatenate(positions)


def all_distorted(seed, **options):
    return batch([distorted(name, seed + k, **options) for k, name in enumerate(MATERIALS)])


def assert_near(found, expected, rtol):
    """Every element within rtol of the largest one: components may vanish by symmetry."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert np.isfinite(found).all()
    assert np.abs(found - expected).max() <= rtol * np.abs(expected).max()
