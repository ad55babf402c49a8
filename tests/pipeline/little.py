"""One little run, and how other codes would have written it."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase.data import atomic_masses

from mdbench.formats.export import write_frames
from mdbench.trajectory import Provenance, Trajectory
from mdbench.units import (
    AMU_ANGSTROM2_PER_FS2_IN_EV,
    ATOMIC_TIME_IN_FS,
    BOHR_IN_ANGSTROM,
    BOLTZMANN_EV_PER_K,
    HARTREE_IN_EV,
    KBAR_IN_EV_PER_ANGSTROM3,
    PS_IN_FS,
)

SYMBOLS = ["Li"] * 5 + ["P"] * 2 + ["S"] * 5
NUMBERS = np.array([3] * 5 + [15] * 2 + [16] * 5)
CELL = np.array([[6.1, 0.0, 0.0], [1.3, 5.7, 0.0], [-0.9, 1.1, 6.6]])
TIMESTEP_FS, INTERVAL_FS, TEMPERATURE_K = 2.0, 20.0, 800.0
STEPS = 10  # MD steps between frames


def little_run(n_frames: int = 20, seed: int = 3) -> Trajectory:
    """Twelve atoms in free flight at 800 K through a triclinic cell; several cross its faces."""
    rng = np.random.default_rng(seed)
    masses = atomic_masses[NUMBERS][:, None]
    velocities = rng.normal(size=(len(NUMBERS), 3)) / np.sqrt(masses)
    velocities -= (masses * velocities).sum(axis=0) / masses.sum()
    twice_kinetic = (masses * velocities**2).sum() * AMU_ANGSTROM2_PER_FS2_IN_EV
    aim = (3 * len(NUMBERS) - 3) * BOLTZMANN_EV_PER_K * TEMPERATURE_K
    velocities *= np.sqrt(aim / twice_kinetic)
    times = np.arange(n_frames) * INTERVAL_FS
    start = rng.random((len(NUMBERS), 3)) @ CELL
    stresses = 0.01 * rng.normal(size=(n_frames, 3, 3))
    return Trajectory(
        positions=start + times[:, None, None] * velocities,
        cells=CELL,
        atomic_numbers=NUMBERS,
        times_ps=times / PS_IN_FS,
        energies=rng.normal(-50.0, 1.0, n_frames),
        forces=rng.normal(size=(n_frames, len(NUMBERS), 3)),
        velocities=np.tile(velocities, (n_frames, 1, 1)),
        stresses=stresses + stresses.transpose(0, 2, 1),
        provenance=Provenance(timestep_fs=TIMESTEP_FS, unwrapped_by="as stored"),
    )


def wrapped(run: Trajectory) -> Trajectory:
    """The run as most codes write it: every atom inside the cell."""
    return dataclasses.replace(run, positions=run.wrapped_positions())


def _scaled(run):
    return np.einsum("fai,ij->faj", run.wrapped_positions(), np.linalg.inv(CELL))


def _exported(name: str) -> Callable[[Path, Trajectory], Path]:
    def write(folder: Path, run: Trajectory) -> Path:
        path = folder / name
        write_frames(path, [run if "lammpstrj" in name else wrapped(run)])
        return path

    return write


def write_vasprun(folder: Path, run: Any, name: str = "vasprun.xml") -> Path:
    """A vasprun.xml of a finished run."""

    def rows(label, values):
        lines = "".join("<v>" + "".join(f"{x:16.8f}" for x in row) + " </v>\n" for row in values)
        return f'<varray name="{label}" >\n{lines}</varray>\n'

    tags = {"IBRION": "0", "POTIM": f"{INTERVAL_FS}", "TEBEG": "800.0", "TEEND": "800.0"}
    entries = "".join(f'<i name="{key}">{value}</i>\n' for key, value in tags.items())
    atoms = "".join(f"<rc><c>{s:2}</c><c>1</c></rc>\n" for s in SYMBOLS)
    text = (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n<generator>\n'
        '<i name="program" type="string">vasp </i>\n<i name="version" type="string">6.4.2</i>\n'
        f"</generator>\n<incar>\n{entries}</incar>\n<parameters>\n{entries}</parameters>\n"
        f'<atominfo>\n<atoms> {len(SYMBOLS)} </atoms>\n<array name="atoms" >\n'
        f"<set>\n{atoms}</set>\n</array>\n</atominfo>\n"
    )
    scaled = _scaled(run)
    for frame in range(run.n_frames):
        text += (
            "<calculation>\n<structure>\n<crystal>\n"
            + rows("basis", CELL)
            + "</crystal>\n"
            + rows("positions", scaled[frame])
            + "</structure>\n"
            + rows("forces", run.forces[frame])
            + rows("stress", -run.stresses[frame] / KBAR_IN_EV_PER_ANGSTROM3)
            + f'<energy>\n<i name="e_fr_energy">{run.energies[frame]:16.8f} </i>\n</energy>\n'
            + "</calculation>\n"
        )
    path = folder / name
    path.write_text(text + "</modeling>\n")
    return path


def write_outcar(folder: Path, run: Any) -> Path:
    """What an OUTCAR of a finished run says about its steps."""
    text = (
        " vasp.6.4.2 complex\n executed on Linux date 2026.01.01\n"
        "   VRHFIN =Li: s1p0\n   VRHFIN =P : s2p3\n   VRHFIN =S : s2p4\n"
        "   ions per type =               5   2   5\n"
        f"   IBRION =      0\n   POTIM  = {INTERVAL_FS:.4f}\n"
        "   TEBEG  =  800.0;   TEEND  =  800.0\n"
    )
    positions, dashes = run.wrapped_positions(), " " + "-" * 83 + "\n"
    for frame in range(run.n_frames):
        xx, yy, zz, xy, yz, zx = (
            -run.stresses[frame][[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]] / KBAR_IN_EV_PER_ANGSTROM3
        )
        text += f"----- Iteration {frame + 1:5d}(   1)  -----\n"
        text += f"  in kB  {xx:11.5f} {yy:11.5f} {zz:11.5f} {xy:11.5f} {yz:11.5f} {zx:11.5f}\n"
        text += "      direct lattice vectors                 reciprocal lattice vectors\n"
        for row in CELL:
            text += " " + "".join(f"{x:13.9f}" for x in (*row, 0, 0, 0)) + "\n"
        text += " POSITION                                       TOTAL-FORCE (eV/Angst)\n" + dashes
        for place, force in zip(positions[frame], run.forces[frame], strict=True):
            text += "".join(f"{x:13.5f}" for x in place) + "  "
            text += "".join(f"{x:14.6f}" for x in force) + "\n"
        text += dashes + f"  free  energy   TOTEN  = {run.energies[frame]:18.8f} eV\n"
    path = folder / "OUTCAR"
    path.write_text(text + " General timing and accounting informations for this job:\n")
    return path


def write_cp2k(folder: Path, run: Any) -> Path:
    """Positions, and beside them the cells, forces and velocities."""
    files = {
        "pos": run.wrapped_positions(),
        "frc": run.forces * BOHR_IN_ANGSTROM / HARTREE_IN_EV,
        "vel": run.velocities * ATOMIC_TIME_IN_FS / BOHR_IN_ANGSTROM,
    }
    for role, values in files.items():
        text = ""
        for frame in range(run.n_frames):
            energy = run.energies[frame] / HARTREE_IN_EV
            text += f"{len(SYMBOLS):8d}\n i = {frame * STEPS:8d},"
            text += f" time = {frame * INTERVAL_FS:12.3f}, E = {energy:20.10f}\n"
            for symbol, row in zip(SYMBOLS, values[frame], strict=True):
                text += f"{symbol:>3}" + "".join(f"{x:20.10f}" for x in row) + "\n"
        (folder / f"run-{role}-1.xyz").write_text(text)
    cells = "#   Step   Time [fs]       Ax [Angstrom]       Ay [Angstrom]\n"
    for frame in range(run.n_frames):
        cells += f"{frame * STEPS:8d} {frame * INTERVAL_FS:11.3f} "
        cells += " ".join(f"{x:19.10f}" for x in (*CELL.ravel(), np.linalg.det(CELL))) + "\n"
    (folder / "run-1.cell").write_text(cells)
    return folder / "run-pos-1.xyz"


def write_h5md(folder: Path, run: Any) -> Path:
    """H5MD as pyh5md writes it, in ps."""
    path = folder / "run.h5md"
    with h5py.File(path, "w") as file:
        file.create_group("h5md/creator").attrs["name"] = "pyh5md"
        particles = file.create_group("particles/all")
        data = {
            "position": (run.wrapped_positions(), "Angstrom"),
            "velocity": (run.velocities * PS_IN_FS, "Angstrom ps-1"),
            "force": (run.forces, "eV Angstrom-1"),
        }
        for name, (values, unit) in data.items():
            element = particles.create_group(name)
            element["value"] = values
            element["value"].attrs["unit"] = unit
            element["step"] = np.arange(run.n_frames) * STEPS
            element["time"] = run.times_ps
            element["time"].attrs["unit"] = "ps"
        particles["species"] = NUMBERS
        box = particles.create_group("box")
        box.attrs["dimension"], box.attrs["boundary"] = 3, ["periodic"] * 3
        box["edges"] = CELL
        box["edges"].attrs["unit"] = "Angstrom"
    return path


@dataclasses.dataclass(frozen=True)
class Form:
    """A format: what writes it, what must be said about it, what it has, and how exactly.

    Attributes:
        write: Takes a folder and a run, gives the file to ingest.
        options: What the file does not say.
        fields: What it has beside positions.
        exact: Largest error (Å and so on) that its printed digits allow.
    """

    write: Callable[[Path, Trajectory], Path]
    options: tuple[str, ...]
    fields: tuple[str, ...]
    exact: float


_ALL = ("energies", "forces", "velocities", "stresses")
_INTERVAL = ("--frame-interval-fs", "20")
FORMS = {
    "extxyz": Form(_exported("run.extxyz"), (), _ALL, 1e-12),
    "extxyz.gz": Form(_exported("run.extxyz.gz"), (), _ALL, 1e-12),
    "XDATCAR": Form(_exported("XDATCAR"), _INTERVAL, (), 2e-7),
    "dump": Form(
        _exported("run.lammpstrj"), ("--timestep-fs", "2"), ("forces", "velocities"), 1e-12
    ),
    "ase": Form(_exported("run.traj"), _INTERVAL, _ALL, 1e-12),
    "vasprun": Form(write_vasprun, (), ("energies", "forces", "stresses"), 2e-7),
    "outcar": Form(write_outcar, (), ("energies", "forces", "stresses"), 2e-5),
    "cp2k": Form(write_cp2k, (), ("energies", "forces", "velocities"), 1e-8),
    "h5md": Form(write_h5md, (), ("forces", "velocities"), 1e-12),
}


def gzipped(path: Path) -> Path:
    """The file, compressed beside itself."""
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return packed
