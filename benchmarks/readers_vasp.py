"""Speed of the VASP readers against pymatgen and ASE, on files of 2,000 frames of 50 atoms."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.formats.base import Hints
from mdbench.formats.vasprun import open_vasprun
from mdbench.formats.xdatcar import open_xdatcar

N_FRAMES = 2000
#: Composition of the 50 atoms.
SPECIES = {"Li": 20, "Ge": 2, "P": 4, "S": 24}
CELL = np.array([[8.7114, 0.0, 0.0], [-0.0386, 8.7205, 0.0], [-0.1455, -0.4498, 12.6293]])
ROUNDS = 3


def rows() -> list[dict[str, Any]]:
    """Seconds of CPU time of ours and of each peer, on the same files."""
    from ase.io import read
    from pymatgen.io.vasp.outputs import Vasprun

    warnings.filterwarnings("ignore", module="pymatgen")
    with tempfile.TemporaryDirectory() as folder:
        vasprun, xdatcar = Path(folder, "vasprun.xml"), Path(folder, "XDATCAR")
        write_vasprun(vasprun, N_FRAMES)
        write_xdatcar(xdatcar, N_FRAMES)

        def pymatgen_vasprun() -> None:
            Vasprun(vasprun, parse_dos=False, parse_eigen=False, parse_potcar_file=False)

        size = f"{N_FRAMES}x{sum(SPECIES.values())}"
        jobs: dict[str, tuple[Callable[[], object], dict[str, tuple[Callable[[], object], float]]]]
        jobs = {
            f"vasprun {size}": (
                lambda: list(open_vasprun(vasprun, Hints()).blocks),
                {
                    "pymatgen Vasprun": (pymatgen_vasprun, 10.0),
                    "ase.io.read": (lambda: read(vasprun, index=":"), 15.0),
                },
            ),
            f"xdatcar {size}": (
                lambda: list(open_xdatcar(xdatcar, Hints()).blocks),
                {"ase.io.read": (lambda: read(xdatcar, index=":", format="vasp-xdatcar"), 7.0)},
            ),
        }
        return [row for name, (ours, peers) in jobs.items() for row in _compare(name, ours, peers)]


def _compare(
    name: str,
    ours: Callable[[], object],
    peers: dict[str, tuple[Callable[[], object], float]],
) -> list[dict[str, Any]]:
    """Rows of one job: the least CPU time of rounds in which everyone takes turns."""
    ours()  # compiles
    least = dict.fromkeys(["ours", *peers], float("inf"))
    for _ in range(ROUNDS):
        for who, job in {"ours": ours, **{peer: job for peer, (job, _) in peers.items()}}.items():
            start = time.process_time()
            job()
            least[who] = min(least[who], time.process_time() - start)
    return [
        {
            "name": name,
            "peer": peer,
            "ours_s": least["ours"],
            "peer_s": least[peer],
            "target": target,
        }
        for peer, (_, target) in peers.items()
    ]


def write_vasprun(path: Path, n_frames: int, seed: int = 0) -> None:
    """Writes a vasprun.xml of molecular dynamics with random positions and forces."""
    generator = np.random.default_rng(seed)
    n_atoms = sum(SPECIES.values())
    with path.open("w") as file:
        file.write(_head())
        for _ in range(n_frames):
            scaled, forces = generator.random((n_atoms, 3)), generator.normal(size=(n_atoms, 3))
            energy = -220.0 + generator.random()
            file.write(
                " <calculation>\n"
                + f"  <scstep>\n{_energy(energy + 1e-3)}  </scstep>\n" * 3
                + f"  <structure>\n{_crystal()}{_varray('positions', scaled)}  </structure>\n"
                + _varray("forces", forces)
                + _varray("stress", generator.normal(size=(3, 3)))
                + _energy(energy)
                + '  <time name="totalsc">    6.99    7.18</time>\n </calculation>\n'
            )
        file.write("</modeling>\n")


def write_xdatcar(path: Path, n_frames: int, seed: int = 0) -> None:
    """Writes an XDATCAR of VASP 6 with one cell and random positions."""
    generator = np.random.default_rng(seed)
    with path.open("w") as file:
        cell = "".join("".join(f"{x:12.6f}" for x in row) + "\n" for row in CELL)
        symbols = " ".join(f"{s:>4}" for s in SPECIES)
        counts = " ".join(f"{n:4d}" for n in SPECIES.values())
        file.write(f"LGPS\n           1\n{cell}{symbols}\n{counts}\n")
        for frame in range(n_frames):
            file.write(f"Direct configuration={frame + 1:6d}\n")
            for x, y, z in generator.random((sum(SPECIES.values()), 3)):
                file.write(f"{x:13.8f}{y:12.8f}{z:12.8f}\n")


def _head() -> str:
    settings = (
        f'  <i type="int" name="NSW">{N_FRAMES}</i>\n  <i type="int" name="IBRION">     0</i>\n'
        '  <i name="POTIM">      2.00000000</i>\n  <i name="SMASS">      0.00000000</i>\n'
        '  <i name="TEBEG">    800.00000000</i>\n  <i name="TEEND">    800.00000000</i>\n'
        '  <i type="int" name="NELM">    60</i>\n'
    )
    field = '   <field type="string">element</field>\n   <field type="int">atomtype</field>\n'
    atoms = "".join(
        f"    <rc><c>{s:<2}</c><c>{k:4d}</c></rc>\n" * n
        for k, (s, n) in enumerate(SPECIES.items(), 1)
    )
    types = "".join(
        f"    <rc><c>{n:4d}</c><c>{s:<2}</c><c> 1.0</c><c> 1.0</c><c>  PAW_PBE {s} </c></rc>\n"
        for s, n in SPECIES.items()
    )
    start = np.zeros((sum(SPECIES.values()), 3))
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n <generator>\n'
        '  <i name="program" type="string">vasp </i>\n'
        '  <i name="version" type="string">6.3.0  </i>\n </generator>\n'
        f" <incar>\n{settings} </incar>\n <kpoints>\n"
        f"{_varray('kpointlist', np.zeros((1, 3)))}"
        '  <varray name="weights" >\n   <v>       1.00000000 </v>\n  </varray>\n </kpoints>\n'
        f" <parameters>\n{settings} </parameters>\n <atominfo>\n"
        f"  <atoms>{sum(SPECIES.values()):8d} </atoms>\n  <types>{len(SPECIES):8d} </types>\n"
        f'  <array name="atoms" >\n   <dimension dim="1">ion</dimension>\n{field}   <set>\n{atoms}'
        '   </set>\n  </array>\n  <array name="atomtypes" >\n   <set>\n'
        f"{types}   </set>\n  </array>\n </atominfo>\n"
        f' <structure name="initialpos" >\n{_crystal()}{_varray("positions", start)} </structure>\n'
    )


def _crystal() -> str:
    reciprocal = np.linalg.inv(CELL).T
    volume = f'   <i name="volume">{np.linalg.det(CELL):16.8f} </i>\n'
    return (
        f"   <crystal>\n{_varray('basis', CELL)}{volume}{_varray('rec_basis', reciprocal)}"
        "   </crystal>\n"
    )


def _varray(name: str, rows: NDArray[np.float64]) -> str:
    lines = "".join(f"   <v>{x:17.8f}{y:17.8f}{z:17.8f} </v>\n" for x, y, z in rows)
    return f'  <varray name="{name}" >\n{lines}  </varray>\n'


def _energy(energy: float) -> str:
    names = ("e_fr_energy", "e_wo_entrp", "e_0_energy")
    lines = "".join(f'   <i name="{name}">{energy:16.8f} </i>\n' for name in names)
    return f"  <energy>\n{lines}  </energy>\n"
