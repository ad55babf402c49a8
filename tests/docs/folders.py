"""The files that the pages assume: made once, copied into the folder of each page.

They are of the hopping model (synthetic Li and S), written as other codes write them, or real ones
of other codes where the environment names a folder of them.
"""

from __future__ import annotations

import dataclasses
import gzip
import os
import re
import shutil
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from mdbench.formats.export import write_frames
from mdbench.store import write_trajectory
from mdbench.synthetic import HoppingModel, ion_conductor
from mdbench.trajectory import Trajectory
from tests.docs.blocks import source
from tests.pipeline.little import little_run, write_cp2k, write_h5md

TEMPERATURES = (800, 900, 1000, 1100, 1200)
ARGYRODITES = (
    "Li6PS5Cl_50p_run1.XDATCAR.gz", "Li6PS5Cl_50p_run2.XDATCAR.gz", "Li6PS5I_100p_run1.XDATCAR.gz"
)  # fmt: skip


def run(
    seed: int, *, n_frames: int = 60, temperature_k: float = 800.0, interval_fs: float = 100.0
) -> Trajectory:
    """A run of the hopping model: 92 atoms."""
    rng = np.random.default_rng(seed)
    return ion_conductor(
        HoppingModel(), n_frames, rng, temperature_k=temperature_k, frame_interval_fs=interval_fs
    )


def make(folder: Path) -> None:
    """Everything that pages assume."""
    _vasp(folder)
    _others(folder)
    _stored(folder)
    (folder / "faq").mkdir()
    broken(folder / "faq")
    for i in (1, 2, 3):
        write_vasprun(folder / f"aimd/run{i}/vasprun.xml", run(i, interval_fs=2.0))
        _write(folder / f"model/run{i}.traj", run(10 + i, interval_fs=2.0))
    for t in TEMPERATURES:
        write_vasprun(folder / f"{t}/vasprun.xml", run(t, temperature_k=t))
    write_vasprun(folder / "900K/vasprun.xml", run(30, temperature_k=900))
    for i in (0, 1):
        write_vasprun(folder / f"my_aimd/LGPS/800K/r{i}/vasprun.xml", run(20 + i))
        write_vasprun(folder / f"paper-aimd/LGPS/800K/r{i}/vasprun.xml", run(24 + i))
    _python(folder)
    _package(folder)
    argyrodites(folder)
    for name in ("my-cluster/config.yaml", "longer.yaml"):
        page = "howto/cluster.md" if "cluster" in name else "howto/benchmark.md"
        text = re.findall(r"```yaml\n(.*?)```", source(page), re.DOTALL)[0]
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def _vasp(folder: Path) -> None:
    write_vasprun(folder / "vasprun.xml", run(0))
    whole = run(1)
    for i, frames in enumerate((slice(0, 21), slice(20, 41), slice(40, 60)), 1):
        write_vasprun(folder / f"run{i}/vasprun.xml", whole[frames])
    last = folder / "run3/vasprun.xml"
    last.with_name("vasprun.xml.gz").write_bytes(gzip.compress(last.read_bytes()))
    _write(folder / "XDATCAR", run(2, interval_fs=2.0))
    write_vasprun(folder / "LGPS.xml", run(3))
    (folder / "LGPS.vasprun.xml.gz").write_bytes(gzip.compress((folder / "LGPS.xml").read_bytes()))
    (folder / "LGPS.xml").unlink()


def _others(folder: Path) -> None:
    little = little_run()
    _write(folder / "traj.lammpstrj", little)
    _write(folder / "output.lammpstrj", little)
    for name in ("md.traj", "traj.extxyz", "frames.extxyz", "md.xyz", "BaZrYO3H_800K.traj"):
        _write(folder / name, run(4))
    text = (folder / "traj.extxyz").read_text()
    for name in ("traj.extxyz", "md.xyz"):
        (folder / name).write_text(re.sub(r" (time|step)\w*=\S+", "", text))
    for path in write_cp2k(folder, little).parent.glob("run-*1.*"):
        path.rename(path.with_name(path.name.replace("run-", "md-")))
    write_h5md(folder, little).rename(folder / "traj.h5md")


def _stored(folder: Path) -> None:
    """Files of mdbench that some pages begin with."""
    names = {"nacl.h5": "reference", "ref-1.h5": "reference", "ref-2.h5": "reference",
             "model-1.h5": "schnet", "model-2.h5": "schnet"}  # fmt: skip
    names |= {f"model/800K-r{r}.h5": "schnet" for r in (0, 1)}
    names |= {f"reference/800K-r{r}.h5": "AIMD" for r in (0, 1)}
    names |= {f"800K-r{r}.h5": "AIMD" for r in (0, 1, 2)}
    names |= {f"reference-{r}.h5": "AIMD" for r in (0, 1)}
    names |= {f"lgps-900K-r{r}.h5": "reference" for r in (0, 1)}
    names |= {f"ref-900K-r{r}.h5": "reference" for r in (0, 1)}
    names |= {f"model-900K-r{r}.h5": "schnet" for r in (0, 1)}
    names["traj.h5"] = "AIMD"
    for seed, (name, label) in enumerate(names.items(), 40):
        _store(folder / name, run(seed), label, "cell")
    for t in TEMPERATURES:
        _store(folder / f"model-t{t}.h5", run(t + 1, temperature_k=t), "schnet", "cell")
        _store(folder / f"ref-t{t}.h5", run(t + 2, temperature_k=t), "AIMD", "cell")
        _store(folder / f"lgps-{t}.h5", run(t + 3, temperature_k=t), "AIMD", "cell")


def _store(path: Path, made: Trajectory, label: str, material: str) -> None:
    path.parent.mkdir(exist_ok=True)
    about = dataclasses.replace(made.provenance, label=label, material=material)
    write_trajectory(path, dataclasses.replace(made, provenance=about))


def _python(folder: Path) -> None:
    """A crystal, and the calculator of howto/calculator.md."""
    start = run(0, n_frames=1)
    atoms = Atoms(
        start.atomic_numbers, positions=start.positions[0], cell=start.cells[0], pbc=True
    )  # fmt: skip
    ase.io.write(folder / "cell.cif", atoms)
    (code,) = re.findall(
        r"```python\n(.*?def make.*?)```", source("howto/calculator.md"), re.DOTALL
    )
    (folder / "mymodel.py").write_text(code)


def _package(folder: Path) -> None:
    """The package of howto/my-model.md, as pip would install it."""
    code = re.findall(r"```python\n(.*?)```", source("howto/my-model.md"), re.DOTALL)[0]
    place = folder / "my-model"
    about = place / "my_model-1.0.dist-info"
    about.mkdir(parents=True)
    (place / "my_model.py").write_text(code)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-model\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[mdbench.models]\nmy-model = my_model:MyModel\n")


def _write(path: Path, made: Trajectory) -> None:
    path.parent.mkdir(exist_ok=True)
    write_frames(path, [dataclasses.replace(made, positions=made.wrapped_positions())])


def write_vasprun(path: Path, made: Trajectory) -> None:
    """A vasprun.xml of a finished run, with what mdbench takes from one."""

    def rows(name: str, values: np.ndarray) -> str:
        lines = "".join("<v>" + "".join(f"{x:16.8f}" for x in row) + " </v>\n" for row in values)
        return f'<varray name="{name}" >\n{lines}</varray>\n'

    symbols = Atoms(made.atomic_numbers).get_chemical_symbols()
    temperature = f"{made.provenance.temperature_k:.1f}"
    interval = 0.0 if made.frame_interval_fs is None else made.frame_interval_fs
    tags = {"IBRION": "0", "POTIM": f"{interval:.4f}", "TEBEG": temperature, "TEEND": temperature}
    entries = "".join(f'<i name="{key}">{value}</i>\n' for key, value in tags.items())
    atoms = "".join(f"<rc><c>{s:2}</c><c>1</c></rc>\n" for s in symbols)
    text = (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n<generator>\n'
        '<i name="program" type="string">vasp </i>\n<i name="version" type="string">6.4.2</i>\n'
        f"</generator>\n<incar>\n{entries}</incar>\n<parameters>\n{entries}</parameters>\n"
        f'<atominfo>\n<atoms> {len(symbols)} </atoms>\n<array name="atoms" >\n'
        f"<set>\n{atoms}</set>\n</array>\n</atominfo>\n"
    )
    assert made.forces is not None
    assert made.energies is not None
    for frame, places in enumerate(made.wrapped_positions()):
        cell = made.cells if made.cells.ndim == 2 else made.cells[frame]
        text += (
            "<calculation>\n<structure>\n<crystal>\n"
            + rows("basis", cell)
            + "</crystal>\n"
            + rows("positions", places @ np.linalg.inv(cell))
            + "</structure>\n"
            + rows("forces", made.forces[frame])
            + rows("stress", np.zeros((3, 3)))
            + f'<energy>\n<i name="e_fr_energy">{made.energies[frame]:16.8f} </i>\n</energy>\n'
            + "</calculation>\n"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "</modeling>\n")


def real_files() -> Path | None:
    """The folder of real files of other codes, where there is one."""
    named = os.environ.get("MDBENCH_REAL_DATA")
    return Path(named) / "trajectories" if named else None


def argyrodites(folder: Path) -> None:
    """What `mdbench fetch argyrodite` brings: real, or synthetic by the same names."""
    found = real_files()
    place = folder / "argyrodite"
    place.mkdir()
    if found is not None:
        for name in ARGYRODITES:
            shutil.copy(found / name, place / name)
        return
    whole = run(5, n_frames=100)
    for name, frames in zip(ARGYRODITES, (slice(0, 50), slice(50, 100), slice(0, 40)), strict=True):
        plain = place / "XDATCAR"
        _write(plain, whole[frames])
        (place / name).write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()


#: What the pages assume; a page that is not named gets all. The rest they make themselves.
ASSUMES: dict[str, tuple[str, ...]] = {
    "README.md": (
        "vasprun.xml", "LGPS.vasprun.xml.gz", "BaZrYO3H_800K.traj", "nacl.h5", "lgps-*.h5", "run",
        "mymodel.py", "model/800K-*", "reference/800K-*", "model-[12].h5", "reference-?.h5",
    ),
    "cli.md": (),
    "faq.md": ("faq/*",),
    "index.md": ("vasprun.xml", "XDATCAR"),
    "tutorial.md": ("argyrodite",),
    "howto/benchmark.md": ("longer.yaml", "mymodel.py", "my_aimd", "run-of-a", "run-of-b"),
    "howto/calculator.md": ("mymodel.py", "cell.cif", "ref-1.h5", "ref-2.h5"),
    "howto/cluster.md": ("my-cluster",),
    "howto/conductivity.md": ("[0-9]*/vasprun.xml", "model-t*.h5", "ref-t*.h5"),
    "howto/dynamics.md": ("cell.cif", "mymodel.py", "900K"),
    "howto/gpu.md": ("run",),
    "howto/lammps.md": ("traj.lammpstrj",),
    "howto/others.md": ("md.traj", "md-*", "traj.extxyz", "traj.h5md", "frames.extxyz"),
    "howto/own-data.md": ("my_aimd",),
    "howto/report.md": ("run", "mine", "theirs"),
    "howto/train.md": (),
    "howto/fetch.md": ("argyrodite", "paper-aimd", "vasprun.xml", "md.xyz", "output.lammpstrj"),
    "howto/my-model.md": ("my-model", "run"),
    "howto/paths.md": ("*-900K-r?.h5", "run"),
    "howto/vasp.md": ("vasprun.xml", "run[123]/vasprun.xml*", "XDATCAR", "800K-*.h5"),
    "howto/verdict.md": ("aimd", "model/run*.traj"),
}  # fmt: skip


def copy(assumed: Path, page: str, folder: Path) -> None:
    """Puts what a page assumes into its folder."""
    folder.mkdir()
    for pattern in ASSUMES.get(page, ("*",)):
        found = list(assumed.glob(pattern))
        assert found, f"{page}: {pattern}"
        for path in found:
            target = folder / path.relative_to(assumed / "faq" if page == "faq.md" else assumed)
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if path.is_dir() else shutil.copy)(path, target)


def broken(folder: Path) -> None:
    """Files with which something is wrong, for faq.md."""
    sound = run(60)
    write_vasprun(folder / "whole.xml", run(61))
    text = (folder / "whole.xml").read_text()
    (folder / "killed.xml").write_text(text[: int(0.7 * len(text))])
    _write(folder / "sparse.extxyz", run(62, n_frames=20, interval_fs=20_000.0))
    _write(folder / "good.extxyz", sound)
    lines = (folder / "good.extxyz").read_text().splitlines()
    lines[500] = lines[500].replace(lines[500].split()[2], "nan", 1)
    (folder / "nan.extxyz").write_text("\n".join(lines) + "\n")
    _write(folder / "md.lammpstrj", little_run())
    dump = (folder / "md.lammpstrj").read_text()
    (folder / "types.lammpstrj").write_text(_without_column(dump, "element"))
    (folder / "noid.lammpstrj").write_text(_without_column(dump, "id"))
    _write(folder / "XDATCAR", run(63))
    rows = (folder / "XDATCAR").read_text().splitlines()
    (folder / "XDATCAR4").write_text("\n".join([*rows[:5], *rows[6:]]) + "\n")
    _write(folder / "other.extxyz", little_run())
    for path in write_cp2k(folder, little_run()).parent.glob("run-*1.*"):
        path.unlink() if path.suffix == ".cell" else path.rename(
            path.with_name(path.name.replace("run-", "md-"))
        )
    hot = run(64, temperature_k=700.0)
    about = dataclasses.replace(hot.provenance, temperature_k=None)
    _write(folder / "run_800K.extxyz", dataclasses.replace(hot, provenance=about))
    (folder / "notes.txt").write_text("LGPS, 800 K, converged, looks good\n")
    _store(folder / "traj.h5", sound, "AIMD", "LGPS")
    _store(folder / "900K.h5", run(65, temperature_k=900.0), "AIMD", "LGPS")
    _store(folder / "model.h5", run(66), "schnet", "LGPS")
    _store(folder / "short.h5", run(67, n_frames=20), "AIMD", "LGPS")
    _store(folder / "cold.h5", run(68, temperature_k=300.0), "AIMD", "LGPS")
    still = dataclasses.replace(sound.provenance, temperature_k=None)
    write_trajectory(folder / "unknown.h5", dataclasses.replace(sound, provenance=still))
    data = (folder / "traj.h5").read_bytes()
    (folder / "half.h5").write_bytes(data[: len(data) // 2])
    (folder / "flipped.h5").write_bytes(
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    )


def _without_column(dump: str, name: str) -> str:
    """A LAMMPS dump that lacks a column."""
    lines, column = [], -1
    for line in dump.splitlines():
        words = line.split()
        if line.startswith("ITEM: ATOMS"):
            column = words.index(name) - 2
            words.remove(name)
        elif line.startswith("ITEM:"):
            column = -1
        elif column >= 0:
            del words[column]
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"
