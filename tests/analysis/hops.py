"""Runs of ions as the tests of paths count them."""

from dataclasses import dataclass

import numpy as np

from mdbench.analysis.ion_density import IonDensity, grid_shape, ion_density
from mdbench.analysis.jumps import Jumps, site_jumps
from mdbench.analysis.motion import ion_motion
from mdbench.analysis.registration import scaled_paths
from mdbench.analysis.sites import Sites, find_sites

#: Each the same lattice as the cube, in other vectors.
SKEWED = np.array([[1, 0, 0], [1, 1, 0], [-1, 1, 1]])


@dataclass
class Counted:
    paths: list[np.ndarray]
    density: IonDensity
    sites: Sites
    jumps: Jumps


def density_of(paths, cell, *, spacing=0.25, interval_ps=0.1):
    return ion_density(paths, grid_shape(cell, spacing), cell, frame_interval_ps=interval_ps)


def counted(run, *, species="Li", spacing=0.25, known=None):
    motion = ion_motion(run, species)
    paths = list(scaled_paths(motion))
    interval = motion.frame_interval_ps
    density = density_of(paths, motion.cell, spacing=spacing, interval_ps=interval)
    sites = find_sites(density, known=known)
    return Counted(paths, density, sites, site_jumps(paths, sites, frame_interval_ps=interval))


def made_sites(scaled, cell, radius=1.0):
    scaled = np.array(scaled, dtype=float).reshape(-1, 3)
    return Sites(scaled, np.array(cell, dtype=float), np.zeros(len(scaled)), radius)


def distances(one, other, cell):
    """(n, m) Å between the nearest images of points in a cell that is not too skewed."""
    apart = np.asarray(one)[:, None] - np.asarray(other)
    apart -= np.rint(apart)
    around = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3), axis=-1).reshape(-1, 3)
    return np.linalg.norm((apart[:, :, None] + around) @ cell, axis=-1).min(axis=-1)
