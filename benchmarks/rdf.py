"""Pair counting for g(r): 25,000 frames × 50 atoms, all pairs of species, and large cells.

The peer is pymatgen's find_points_in_spheres with numpy's bincount, the fastest of those that are
right beyond half the cell. CPU seconds, the least of three interleaved rounds after one that is not
counted; wall seconds for two threads. The counts must be the peer's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.optimization.neighbors import find_points_in_spheres

from mdbench.analysis.pair_counts import count_pairs
from mdbench.analysis.pairs import bin_count, pair_index

CELL = np.array([[8.71, 0.0, 0.0], [0.05, 8.72, 0.0], [0.11, 0.03, 12.63]])
SPECIES = np.repeat([2, 0, 1, 3], [20, 2, 4, 24])  # Li20 Ge2 P4 S24, in alphabetical order
N_FRAMES, PEER_FRAMES, DR = 25_000, 1_000, 0.05
PEER = "pymatgen find_points_in_spheres + bincount"
SAMPLED = f"{PEER} ({PEER_FRAMES} frames x {N_FRAMES // PEER_FRAMES})"


def lattice_sites(rng: np.random.Generator, n_atoms: int, cell: NDArray[Any]) -> NDArray[Any]:
    """(n_atoms, 3) Å: places that keep apart."""
    sites: list[NDArray[Any]] = []
    images = np.array(list(np.ndindex(3, 3, 3))) - 1
    while len(sites) < n_atoms:
        trial = rng.random(3)
        if all(
            np.linalg.norm((trial - site + images) @ cell, axis=1).min() > 1.9 for site in sites
        ):
            sites.append(trial)
    return np.array(sites) @ cell


def vibrations(rng: np.random.Generator) -> NDArray[Any]:
    """(n_frames, n_atoms, 3) Å, unwrapped: noise without memory around sites; Li also wanders."""
    positions = np.broadcast_to(lattice_sites(rng, len(SPECIES), CELL), (N_FRAMES, 50, 3)).copy()
    positions += rng.normal(scale=0.2, size=positions.shape)
    lithium = SPECIES == 2
    steps = rng.normal(scale=0.02, size=(N_FRAMES, int(lithium.sum()), 3))
    positions[:, lithium] += np.cumsum(steps, axis=0)
    return positions


def peer_counts(
    positions: NDArray[Any], cell: NDArray[Any], species: NDArray[Any], r_max: float
) -> NDArray[Any]:
    """(n_pairs, n_bins): each unordered pair twice."""
    n_bins, rows = bin_count(r_max, DR), pair_index(int(species.max()) + 1)
    total = np.zeros((int(rows.max()) + 1) * n_bins, dtype=np.int64)
    periodic = np.ones(3, dtype=np.int64)
    for frame in positions:
        i, j, _, r = find_points_in_spheres(frame, frame, r_max, periodic, cell, 1e-8)
        bins = (r / DR).astype(np.int64)
        # the sphere is closed in pymatgen, and each atom is its own neighbor
        inside = (r > 1e-8) & (bins < n_bins)
        flat = rows[species[i], species[j]] * n_bins + bins
        total += np.bincount(flat[inside], minlength=len(total))
    return total.reshape(-1, n_bins)


def fastest(
    jobs: dict[str, Callable[[], Any]],
    clock: Callable[[], float] = time.process_time,
    rounds: int = 3,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds of each job and its result, the least of interleaved rounds after one."""
    results = {name: job() for name, job in jobs.items()}
    seconds = dict.fromkeys(jobs, np.inf)
    for _ in range(rounds):
        for name, job in jobs.items():
            start = clock()
            job()
            seconds[name] = min(seconds[name], clock() - start)
    return seconds, results


def trajectory_row(
    positions: NDArray[Any], r_max: float, name: str, target: float | None
) -> dict[str, Any]:
    """Ours for all frames against the peer for some of them."""
    cells = np.broadcast_to(CELL, (N_FRAMES, 3, 3))
    some = positions[:: N_FRAMES // PEER_FRAMES]
    seconds, _ = fastest(
        {
            "ours": lambda: count_pairs(positions, cells, SPECIES, r_max, DR),
            "peer": lambda: peer_counts(some, CELL, SPECIES, r_max),
        }
    )
    same = count_pairs(some, cells[: len(some)], SPECIES, r_max, DR).counts
    np.testing.assert_array_equal(2 * same, peer_counts(some, CELL, SPECIES, r_max))
    return {
        "name": name,
        "peer": SAMPLED,
        "ours_s": seconds["ours"],
        "peer_s": seconds["peer"] * N_FRAMES / PEER_FRAMES,
        "target": target,
    }


def thread_row(positions: NDArray[Any]) -> dict[str, Any]:
    """Wall seconds of two threads against one."""
    cells = np.broadcast_to(CELL, (N_FRAMES, 3, 3))
    seconds, results = fastest(
        {
            str(n): lambda n=n: count_pairs(positions, cells, SPECIES, 6.0, DR, threads=n)
            for n in (1, 2)
        },
        time.perf_counter,
        rounds=9,  # wall time, also of what else the machine does
    )
    np.testing.assert_array_equal(results["1"].counts, results["2"].counts)
    return {
        "name": "rdf two threads 6 A",
        "peer": "one thread",
        "ours_s": seconds["2"],
        "peer_s": seconds["1"],
        "target": 1.7,
    }


def large_cell_row(rng: np.random.Generator, repeats: tuple[int, int, int]) -> dict[str, Any]:
    """One frame of a supercell."""
    cell = CELL * np.array(repeats)[:, None]
    corners = np.array(list(np.ndindex(*repeats))) @ CELL
    sites = lattice_sites(rng, len(SPECIES), CELL)
    positions = (corners[:, None] + sites).reshape(1, -1, 3)
    positions = positions + rng.normal(scale=0.2, size=positions.shape)
    species = np.tile(SPECIES, len(corners))
    seconds, results = fastest(
        {
            "ours": lambda: count_pairs(positions, cell[None], species, 6.0, DR),
            "peer": lambda: peer_counts(positions, cell, species, 6.0),
        }
    )
    np.testing.assert_array_equal(2 * results["ours"].counts, results["peer"])
    return {
        "name": f"rdf cells {positions.shape[1]} atoms",
        "peer": PEER,
        "ours_s": seconds["ours"],
        "peer_s": seconds["peer"],
        "target": None,
    }


def rows() -> list[dict[str, Any]]:
    """Name, peer, seconds of ours and of the peer, and the ratio that is aimed at."""
    rng = np.random.default_rng(0)
    positions = vibrations(rng)
    found = [
        trajectory_row(positions, 6.0, "rdf 25000x50 6 A", 12.0),
        trajectory_row(positions, 10.0, "rdf 25000x50 10 A", 12.0),
        thread_row(positions),
    ]
    unordered = rng.random(positions.shape) @ CELL
    found.append(trajectory_row(unordered, 6.0, "rdf 25000x50 6 A, ideal gas", None))
    found += [large_cell_row(rng, shape) for shape in ((3, 3, 2), (6, 6, 6), (13, 13, 12))]
    return found
