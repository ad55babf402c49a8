"""Small valid files of every kind, made by the project's writers or printed as other codes do."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.pipeline import little

#: A folder of files by name; the first one is what a reader is pointed at.
Files = dict[str, bytes]

N_FRAMES = 4

TILTED_DUMP = """ITEM: UNITS
metal
ITEM: TIME
{time}
ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
3
ITEM: BOX BOUNDS xy xz yz pp pp pp
-0.5 6.5 1.0
0.0 5.5 -0.5
0.0 6.0 0.25
ITEM: ATOMS id type mass xs ys zs ix iy iz vx vy vz fx fy fz
2 1 6.94 0.1{n} 0.2 0.3 0 0 1 0.1 0.2 0.3 1.0 2.0 3.0
1 2 32.06 0.5 0.5 0.5{n} 0 -1 0 0.0 0.0 0.1 -1.0 0.5 0.25
3 1 6.94 0.75 0.8{n} 0.1 2 0 0 0.1 0.0 0.0 0.125 0.0 1.0
"""
QUIP = """3
Lattice="5.0 0.0 0.0 0.5 5.0 0.0 0.0 0.25 6.0" Properties=Z:I:1:pos:R:3:vel:R:3:tag:S:1 \
pbc="T T F" energy=-1.{n}5 virial="1 0 0 0 1 0 0 0 1" time_ps=0.{n} step={n}0 config_type='a b'
3 0.1{n} 0.20 0.30 0.01 0.02 0.03 one
16 2.5{n} 2.50 2.50 0.01 0.02 0.03 two
3 1.0{n} 4.00 5.00 0.01 0.02 0.03 three
"""
NPT_XDATCAR = """LiS
   1.0
     5.{n}00000    0.000000    0.000000
     0.000000    5.000000    0.000000
     0.000000    0.500000    6.000000
   Li   S
   2   1
Direct configuration=     {k}
   0.10{n}00000  0.20000000  0.30000000
   0.50000000  0.50{n}00000  0.50000000
   0.95000000  0.75000000  0.99{n}00000
"""
OLD_XDATCAR = """LiS
   1.0
     5.0    0.0    0.0
     0.0    5.0    0.0
     0.0    0.5    6.0
   2   1

   0.10000000  0.20000000  0.30000000
   0.50000000  0.50000000  0.50000000
   0.95000000  0.75000000  0.99000000

   0.11000000  0.20000000  0.30000000
   0.50000000  0.51000000  0.50000000
   0.95000000  0.75000000  0.98000000
"""
STEP = """<structure>
 <crystal>
  <varray name="basis" >
   <v> 5.0 0.0 0.0 </v> <v> 0.0 5.0 0.0 </v> <v> 0.0 0.5 6.0 </v>
  </varray>
 </crystal>
 <varray name="positions" ><v> 0.1{n} 0.2 0.3 </v><v> 0.5 0.5{n} 0.5 </v></varray>
</structure>
<varray name="forces" ><v> 0.1 0.2 0.3 </v><v> -0.1 -0.2 -0.3 </v></varray>
<varray name="stress" ><v> 1 0 0 </v><v> 0 1 0 </v><v> 0 0 1 </v></varray>
<energy><i name="e_fr_energy"> -1.2{n} </i></energy>
"""
LEARNED_VASPRUN = """<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator><i name="version" type="string">6.4.3 </i></generator>
 <incar><i type="int" name="NSW">3</i><i name="ML_OUTBLOCK">2</i></incar>
 <parameters><separator name="ionic"><i name="POTIM"> 1.5</i><i type="int" name="IBRION"> 0</i>
 <i name="TEBEG">700.0</i><i name="TEEND">700.0</i><i name="SMASS">-3.0</i><i name="PSTRESS">2.0</i>
 <i type="int" name="MDALGO">2</i></separator></parameters>
 <atominfo><atoms> 2 </atoms><array name="atoms" ><set>
 <rc><c>Li</c><c> 1</c></rc><rc><c>r </c><c> 2</c></rc></set></array><array name="atomtypes" ><set>
 <rc><c> 1</c><c>Li</c><c>6.9</c><c>1.0</c><c> PAW_PBE Li_sv</c></rc>
 <rc><c> 1</c><c>r </c><c>91.2</c><c>4.0</c><c> PAW_PBE Zr_sv 04Jan2005</c></rc>
 </set></array></atominfo>
<!-- a comment --><structure name="initialpos" ></structure>
"""
CIF = """data_salt
_cell_length_a 5.0
_cell_length_b 5.0
_cell_length_c 6.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 100.0(2)
_symmetry_space_group_name_H-M 'P 1'
loop_
_symmetry_equiv_pos_as_xyz
 'x, y, z'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Li1 Li 0.1 0.2 0.3 1.0
S1 S 0.5 0.5 0.5 1
"""
POSCAR = """salt
1.0
5.0 0.0 0.0
0.0 5.0 0.0
0.0 0.5 6.0
Li S
2 1
Selective dynamics
Direct
0.1 0.2 0.3 T T F
0.4 0.2 0.3 T T T
0.5 0.5 0.5 F F F
"""
RUNS = """# all runs
frame_interval_fs: 20
mobile: Li
runs:
  - files: run.extxyz
    temperature: 800
    material: salt
  - files: [run*.xyz, "run.extxyz"]
    temperature: 900.0
    species: {1: Li, 2: S}
    cell: [5, 5, 6]
    constant_order: true
"""
PROFILE = """about: a test
models: [schnet-small, "cgcnn:published"]
size: small
control: true
one_process_per: task
device: auto
reference: {calculator: refpot, materials: [lgps], temperatures: 800-1000, replicas: 2, ps: 1.5}
training:
  material: lgps
  fraction: 0.1
  budget: 5m
rollouts: {temperatures: "800,1000", replicas: 2, ps: 1, start: structure}
"""


def _folder(make: Callable[[Path], Path]) -> Files:
    """What a writer leaves in a folder, the file that it names first."""
    with tempfile.TemporaryDirectory() as name:
        first = make(Path(name))
        paths = sorted(Path(name).rglob("*"), key=lambda p: p != first)
        return {p.relative_to(name).as_posix(): p.read_bytes() for p in paths if p.is_file()}


def _form(name: str, **changed: Any) -> Files:
    run = dataclasses.replace(little.little_run(N_FRAMES), **changed)
    return _folder(lambda folder: little.FORMS[name].write(folder, run))


def _repeated(text: str, n: int = 3) -> bytes:
    return "".join(text.format(n=k, k=k + 1, step=100 * k, time=k / 10) for k in range(n)).encode()


@cache
def foreign(name: str) -> list[Files]:
    """Files of other codes."""
    files = {
        "vasprun": lambda: [
            _form("vasprun"),
            {"vasprun.xml": LEARNED_VASPRUN.encode() + _repeated(STEP) + b"</modeling>\n"},
        ],
        "XDATCAR": lambda: [
            _form("XDATCAR"),
            {"XDATCAR": _repeated(NPT_XDATCAR)},
            {"XDATCAR": OLD_XDATCAR.encode()},
        ],
        "outcar": lambda: [_form("outcar")],
        "dump": lambda: [_form("dump"), {"tilted.dump": _repeated(TILTED_DUMP)}],
        "extxyz": lambda: [_form("extxyz"), {"quip.xyz": _repeated(QUIP)}],
        "ase": lambda: [_form("ase"), _form("ase", forces=None, stresses=None, velocities=None)],
        "cp2k": lambda: [_form("cp2k")],
        "h5md": lambda: [_form("h5md")],
    }
    return files[name]()


def _own_trajectory(folder: Path) -> Path:
    from mdbench.store import write_trajectory

    path = folder / "traj.h5"
    write_trajectory(path, little.little_run(N_FRAMES))
    return path


@cache
def trajectory() -> list[Files]:
    return [_folder(_own_trajectory)]


@cache
def trained_folder() -> Path:
    """A run folder with trajectories, a dataset, a model and its learning curve."""
    from tests.stages.test_train import trained, write_data

    folder = Path(tempfile.mkdtemp(prefix="mdbench-fuzz-"))
    write_data(folder)
    trained(folder, 12)
    return folder


def _picked(folder: Path, first: str, *others: str) -> Files:
    """Some files of a folder, by patterns."""
    paths = [folder / first]
    paths += sorted(p for pattern in others for p in folder.glob(pattern) if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in dict.fromkeys(paths)}


@cache
def dataset() -> list[Files]:
    return [_picked(trained_folder(), "dataset/salt.h5", "reference/*/*.h5")]


@cache
def checkpoint() -> list[Files]:
    folder = next(trained_folder().glob("models/*"))
    return [_picked(folder, "model.json", "model.safetensors")]


@cache
def training_state() -> list[Files]:
    """What a stopped training leaves."""
    from tests.stages.test_train import trained
    from tests.training.little import Steps

    folder = Path(tempfile.mkdtemp(prefix="mdbench-fuzz-"))
    shutil.copytree(trained_folder(), folder, dirs_exist_ok=True)
    shutil.rmtree(folder / "models")
    trained(folder, 50, Steps(last=6))
    state = next(folder.glob("models/*/training.state"))
    content = {"training.state": state.read_bytes()}
    shutil.rmtree(folder)
    return [content]


def _write_audit(path: Path, source: str) -> None:
    from mdbench.store import Dataset, write_result

    columns = {
        "deviation": [1e-6, 0.5],
        "tolerance": [1e-4] * 2,
        "claimed": [True] * 2,
        "passed": [True, False],
    }
    checks = [
        {"name": name, "done": "moved", "detail": "eV"}
        for name in ("translation", "conservativeness")
    ]
    facts = {"precision": "float64", "symmetry": "E(3)", "conservative": True, "ns_per_day": 1.5}
    known = {"source": source, "force_field": "a test", "material": "lgps"}
    write_result(
        path,
        "audit",
        {name: Dataset(values, "", ("check",)) for name, values in columns.items()},
        attributes={**known, "checks": checks, "facts": facts},
        config={"material": "lgps", "seed": 0},
        inputs=[],
    )


@cache
def result() -> list[Files]:
    """A file of each kind of result."""
    from mdbench.store import Dataset, write_result
    from tests.stages import results as made

    def make(folder: Path) -> Path:
        run = folder / "run"
        made.write_rdf(run)
        made.write_conductivity(run)
        made.write_accuracy(run)
        _write_audit(run / "audit/m.h5", "m")
        ranks = {"ranks/rdf_mae": Dataset([[1, 2, 3]], "", ("material", "best worst of"))}
        values = {
            "metrics/rdf_mae": Dataset([[0.1, 0.05, np.nan]], "", ("material", "value low high"))
        }
        known = {"source": "m", "materials": ["salt"], "states": ["stable"]}
        path = run / "verdict/m.h5"
        write_result(path, "verdict", ranks | values, attributes=known, config={}, inputs=[])
        return path

    return [{name: content} for name, content in _folder(make).items()]


@cache
def run_folder() -> list[Files]:
    """A run folder with a result of every kind, without its trajectories."""
    from tests.stages import results as made
    from tests.stages.report_folder import BROKEN, FAITHFUL, write_run_folder

    def make(folder: Path) -> Path:
        run = folder / "run"
        write_run_folder(run)
        for place in ("reference", "rollouts"):
            shutil.rmtree(run / place)
        made.write_accuracy(run, FAITHFUL)
        made.write_accuracy(run, BROKEN, failed=True)
        _write_audit(run / f"audit/{FAITHFUL}.h5", FAITHFUL)
        shutil.copytree(next(trained_folder().glob("models/*")), run / "models/schnet-small-s0")
        (run / "dataset").mkdir()
        shutil.copy(trained_folder() / "dataset/salt.h5", run / "dataset/salt.h5")
        return run / f"observables/{FAITHFUL}/salt/conductivity.h5"

    return [_folder(make)]


@cache
def structures() -> list[Files]:
    import ase.io

    from mdbench.potentials.materials import material

    atoms = ase.Atoms("Li2S", [[0.1, 0.2, 0.3], [2, 2, 2], [4, 4, 4]], cell=[5, 5, 6], pbc=True)

    def write(folder: Path) -> Path:
        for name in ("salt.extxyz", "salt.json", "salt.traj", "salt.xsf", "salt.in"):
            kind = {"salt.in": "aims"}.get(name)
            ase.io.write(folder / name, atoms, format=kind)
        assert len(material("lgps").positions)
        return folder / "salt.extxyz"

    texts = {"salt.cif": CIF, "POSCAR": POSCAR, "salt.vasp": POSCAR}
    found = {**_folder(write), **{name: text.encode() for name, text in texts.items()}}
    return [{name: content} for name, content in found.items()]


@cache
def runs() -> list[Files]:
    beside = {"run.extxyz": b"1", "run1.xyz": b"1", "run.cell": b"1"}
    return [{"runs.yaml": RUNS.encode(), **beside}]


@cache
def profile() -> list[Files]:
    return [{"profile.yaml": PROFILE.encode()}]


@cache
def run_file() -> list[Files]:
    """benchmark.json and the record of a task."""
    task: dict[str, Any] = {
        "stage": "train", "name": "a-s0", "source": "a-s0", "commands": [["train", "--model", "a"]],
        "outputs": ["models/a-s0/model.json"], "after": [], "reads": ["dataset/x.h5"],
        "fingerprint": "f",
    }  # fmt: skip
    from mdbench_workflows.plan import Task

    known = {f.name: f for f in dataclasses.fields(Task)}
    for name, field in known.items():
        if name not in task and field.default is dataclasses.MISSING:
            task[name] = 1.0 if "float" in str(field.type) else None
    task = {name: value for name, value in task.items() if name in known}
    document = {
        "schema": 1, "profile": "smoke", "settings": {"one_process_per": "task", "device": "auto"},
        "tasks": [task],
    }  # fmt: skip
    from mdbench.records import Record

    record = Record(
        "train", "a-s0", "a-s0", [["train"]], "done", None, "2026-01-01T00:00:00+00:00", 1.0, 1.0,
        0.0, "h", "a CPU", "f",
    )  # fmt: skip
    stored = json.dumps(dataclasses.asdict(record), indent=1).encode()
    return [
        {"benchmark.json": json.dumps(document).encode(), "jobs/train/a-s0.json": stored},
        {"jobs/train/a-s0.json": stored, "benchmark.json": json.dumps(document).encode()},
    ]


def run_task(folder: Path):
    """A simulation of four atoms that is to be made in a folder."""
    from mdbench.md.frames import Recording
    from mdbench.md.settings import MDSettings
    from mdbench.potentials.materials import Material
    from mdbench.potentials.refpot import RefPot
    from mdbench.stages.run_task import Job, RunTask
    from tests.training.little import CELL, NUMBERS, SITES

    salt = Material("salt", "LiS", NUMBERS, SITES @ CELL, CELL, "a test")
    job = Job(salt, 800.0, 0, folder / "800K-r0.h5", "refpot")
    settings = MDSettings(ramp_ps=0.0, production_ps=0.02)
    return RunTask(job, RefPot(), settings, Recording(forces=True), "a test", float64=False)


@cache
def journal() -> list[Files]:
    """Journal and state of a simulation that was killed after five steps."""
    from mdbench.md.frames import Frames
    from mdbench.md.settings import MDSettings
    from mdbench.md.snapshots import take_snapshot
    from mdbench.md.state import initial_state

    energies = ("potential_energies", "kinetic_energies", "conserved_energies")
    scalars = (*energies, "temperatures_k", "pressures")

    def make(folder: Path) -> Path:
        task = run_task(folder)
        rng = np.random.default_rng(0)
        known: dict[str, Any] = {
            "steps": np.arange(5),
            "times_ps": np.arange(5) * 0.002,
            "positions": rng.normal(size=(5, 4, 3)),
            "forces": rng.normal(size=(5, 4, 3)),
            **{name: rng.normal(size=5) for name in scalars},
        }
        frames = Frames(**known, velocities=None, stresses=None)
        settings = MDSettings(ramp_ps=0.0, production_ps=0.02)
        state = initial_state([task.run], settings)
        state.steps[:] = 5
        evaluator = {"list_positions": np.zeros((4, 3)), "list_cells": np.ones((1, 3, 3))}
        task.journal.append(frames, take_snapshot(state, evaluator, settings))
        return task.journal.state

    return [_folder(make)]
