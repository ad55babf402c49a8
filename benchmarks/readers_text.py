"""Extended XYZ and LAMMPS dumps: every number of the file against ASE, and against chemfiles.

ASE reads what we read; chemfiles is asked for the positions only.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from chemfiles import Trajectory

from mdbench.formats.base import Hints
from mdbench.formats.extxyz import open_extxyz
from mdbench.formats.lammps import open_lammps

N_FRAMES, N_ATOMS = 2000, 50
CELL = np.array([[8.71, 0.0, 0.0], [0.05, 8.72, 0.0], [0.11, 0.03, 12.63]])
SYMBOLS = ["Li"] * 20 + ["Ge"] * 2 + ["P"] * 4 + ["S"] * 24


def write_extxyz(path: Path) -> None:
    """Frames as ASE writes them: cell, energy and stress in the comment, forces by atom."""
    rng = np.random.default_rng(1)
    lattice = " ".join(str(x) for x in CELL.ravel().tolist())
    with path.open("w") as file:
        for _ in range(N_FRAMES):
            rows = np.hstack([rng.random((N_ATOMS, 3)) @ CELL, rng.normal(size=(N_ATOMS, 3))])
            stress = rng.normal(scale=1e-3, size=(3, 3))
            six = " ".join(str(x) for x in (stress + stress.T).ravel().tolist())
            file.write(
                f'{N_ATOMS}\nLattice="{lattice}" Properties=species:S:1:pos:R:3:forces:R:3 '
                f'energy={rng.normal(-220)} stress="{six}" pbc="T T T"\n'
            )
            for symbol, row in zip(SYMBOLS, rows.tolist(), strict=True):
                file.write(f"{symbol:<2}" + "".join(f"{x:16.8f}" for x in row) + "\n")


def write_dump(path: Path) -> None:
    """A `dump custom id type element xu yu zu vx vy vz fx fy fz` of a tilted box, ids unsorted."""
    rng = np.random.default_rng(2)
    types = [["Li", "Ge", "P", "S"].index(s) + 1 for s in SYMBOLS]
    xy, xz, yz = CELL[1, 0], CELL[2, 0], CELL[2, 1]
    bounds = [
        (0.0, CELL[0, 0] + xy + xz, xy),
        (0.0, CELL[1, 1] + yz, xz),
        (0.0, CELL[2, 2], yz),
    ]
    box = "".join(" ".join(f"{x:.16e}" for x in line) + "\n" for line in bounds)
    with path.open("w") as file:
        for frame in range(N_FRAMES):
            rows = np.hstack([rng.random((N_ATOMS, 3)) @ CELL, rng.normal(size=(N_ATOMS, 6))])
            file.write(
                f"ITEM: TIMESTEP\n{frame * 50}\nITEM: NUMBER OF ATOMS\n{N_ATOMS}\n"
                f"ITEM: BOX BOUNDS xy xz yz pp pp pp\n{box}"
                "ITEM: ATOMS id type element xu yu zu vx vy vz fx fy fz\n"
            )
            for i in rng.permutation(N_ATOMS).tolist():
                numbers = " ".join(f"{x:g}" for x in rows[i].tolist())
                file.write(f"{i + 1} {types[i]} {SYMBOLS[i]} {numbers} \n")


def _chemfiles(path: Path, format: str) -> int:
    atoms = 0
    with Trajectory(str(path), "r", format) as trajectory:
        for _ in range(trajectory.nsteps):
            atoms += len(trajectory.read().positions)
    return atoms


def _fastest(jobs: dict[str, Callable[[], Any]], rounds: int = 3) -> dict[str, float]:
    """CPU seconds of each job, the least of interleaved rounds after one that is not counted."""
    seconds = dict.fromkeys(jobs, np.inf)
    for job in jobs.values():
        job()
    for _ in range(rounds):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            seconds[name] = min(seconds[name], time.process_time() - start)
    return seconds


def rows() -> list[dict[str, Any]]:
    """Name, peer, seconds of ours and of the peer, and the ratio that is aimed at."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        xyz, dump = Path(folder) / "a.extxyz", Path(folder) / "a.lammpstrj"
        write_extxyz(xyz)
        write_dump(dump)
        for name, path, reader, ase_format, chemfiles_format, target in (
            ("extxyz", xyz, open_extxyz, "extxyz", "XYZ", 6.0),
            ("dump", dump, open_lammps, "lammps-dump-text", "LAMMPS", 4.0),
        ):
            seconds = _fastest(
                {
                    "ours": lambda path=path, reader=reader: list(reader(path, Hints()).blocks),
                    "ASE": lambda path=path, form=ase_format: ase.io.read(
                        path, index=":", format=form
                    ),
                    "chemfiles": lambda path=path, form=chemfiles_format: _chemfiles(path, form),
                }
            )
            found += [
                {
                    "name": f"{name} {N_FRAMES}x{N_ATOMS}",
                    "peer": peer,
                    "ours_s": seconds["ours"],
                    "peer_s": seconds[peer],
                    "target": goal,
                }
                for peer, goal in (("ASE", target), ("chemfiles", 1.0))
            ]
    return found


if __name__ == "__main__":
    for row in rows():
        print(f"{row['name']:20} {row['peer']:10} {row['peer_s'] / row['ours_s']:6.1f}x", row)
