"""Every reader: what it is fed with, how that is spoiled, and what must hold of what it gives."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mdbench.config import IngestConfig
from mdbench.errors import InputError, located
from tests.fuzz import seeds
from tests.fuzz.mutations import BYTES, NUMBERS, Rng, mutated
from tests.fuzz.seeds import Files
from tests.fuzz.spoiling import (
    checkpoint_spoiled,
    hdf5_spoiled,
    journal_spoiled,
    json_spoiled,
    run_folder_spoiled,
    structure_spoiled,
    tensors_spoiled,
    text_spoiled,
    ulm_spoiled,
    yaml_spoiled,
)

#: Nothing that is read is larger (Å and the like).
LARGEST = 1e16
_SHARE_OF_COMMANDS = 0.02


class WrongError(AssertionError):
    """A reader gave what no reader may give."""


def demand(holds: object, what: str) -> None:
    if not holds:
        raise WrongError(what)


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        files: By name; the first one is what the reader is pointed at.
        what: What was done to it.
        expect: any; same: it reads as the sound one; prefix: it reads as its first frames.
        seed: Number of the sound files that it was made of.
        command: It goes through the command line.
        options: Which of the reader's options are used.
    """

    files: Files
    what: str
    expect: str
    seed: int
    command: bool
    options: int


@dataclass(frozen=True)
class Reader:
    """A reader and its inputs.

    Attributes:
        seeds: Sound files.
        spoil: Makes others of them: files, what was done, what is expected.
        read: Reads a folder's file with one of the options; gives what must be alike for alike
            inputs.
        n_options: How many options there are.
        commands: The command line on a file: the words, and what it would write.
    """

    seeds: Callable[[], list[Files]]
    spoil: Callable[[Rng, Files], tuple[Files, str, str]]
    read: Callable[[Path, int], Any]
    n_options: int = 1
    commands: Callable[[Path, int], tuple[list[str], Path | None]] | None = None

    def case(self, name: str, number: int) -> Case:
        """The input of a number: the same one whenever it is asked for."""
        digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
        rng = np.random.default_rng([digest, number])
        known = self.seeds()
        seed = int(rng.integers(len(known)))
        options = 0 if rng.random() < 0.8 else int(rng.integers(self.n_options))
        command = self.commands is not None and rng.random() < _SHARE_OF_COMMANDS
        files, what, expect = self.spoil(rng, dict(known[seed]))
        return Case(files, what, expect if options == 0 else "any", seed, command, options)


# What the readers give


def sound(block: Any, *, foreign: bool = False) -> None:
    """Finite numbers of one shape, as a `Trajectory` promises."""
    shape = block.positions.shape
    demand(len(shape) == 3 and shape[2] == 3 and all(shape), f"positions of shape {shape}")
    n_frames, n_atoms, _ = shape
    demand(np.isfinite(block.positions).all(), "positions that are not finite")
    largest = np.abs(block.positions).max()
    demand(not foreign or largest < LARGEST, "positions beyond all measure")
    demand(block.cells.shape == (n_frames, 3, 3), f"cells of shape {block.cells.shape}")
    demand(np.isfinite(block.cells).all(), "cells that are not finite")
    numbers = block.atomic_numbers
    demand(numbers.shape == (n_atoms,), f"atomic numbers of shape {numbers.shape}")
    demand(((numbers >= 1) & (numbers <= 118)).all(), "atomic numbers of no element")
    demand(block.times_ps.shape == (n_frames,), "times of another shape")
    demand(np.isfinite(block.times_ps).all(), "times that are not finite")
    for name, wanted in (
        ("energies", (n_frames,)),
        ("forces", shape),
        ("velocities", shape),
        ("stresses", (n_frames, 3, 3)),
    ):
        value = getattr(block, name)
        demand(value is None or value.shape == wanted, f"{name} of another shape")
        finite = value is None or not foreign or not np.isinf(value).any()
        demand(finite, f"{name} that are infinite")


#: What `mdbench ingest` is told, by format: what the file needs, and then other things.
_INTERVAL = {"frame_interval_fs": 20.0}
_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "XDATCAR": [
        {**_INTERVAL, "species": "Li,S"},
        {"frame_interval_fs": 0.0, "species": "1=Li,2=S"},
        {"species": "Li,Li,S"},
        {**_INTERVAL, "species": "1=Li,2=S", "timestep_fs": 2.0},
    ],
    "dump": [
        {"timestep_fs": 2.0, "species": "1=Li,2=P,3=S"},
        {"timestep_fs": 2.0, "species": "1=Li,2=P,3=S", "constant_order": True},
        {"frame_interval_fs": 20.0, "species": "Li,S"},
        {"lammps_units": "real", "timestep_fs": 1.0},
        {"species": "Li", "frame_interval_fs": 0.0},
    ],
    "extxyz": [
        {}, _INTERVAL, {"cell": "5,5,6"}, {"species": "S=Se"}, {"frame_interval_fs": 0.0},
        {"temperature_k": 800.0, "timestep_fs": 2.0},
    ],
    "ase": [_INTERVAL, {"frame_interval_fs": 0.0}, {}],
    "cp2k": [{}, {"cell": "6,6,6"}, {"frame_interval_fs": 0.0}, {"species": "Li=Na"}],
    "h5md": [{}, _INTERVAL, {"species": "3=Li,15=P,16=S"}, {"species": "Li"}, {"cell": "6,6,6"}],
    "vasprun": [{}, _INTERVAL, {"frame_interval_fs": 0.0}, {"temperature_k": 700.0}],
    "outcar": [{}, _INTERVAL, {"frame_interval_fs": 0.0}],
}  # fmt: skip


def ingested(path: Path, config: IngestConfig) -> Any:
    """(n_frames, n_atoms, 3) Å: what `mdbench ingest` would store."""
    from mdbench.formats import open_source
    from mdbench.formats.hints import hints_from
    from mdbench.formats.joining import JoinedRun

    joined = JoinedRun(
        frame_interval_fs=config.frame_interval_fs,
        timestep_fs=config.timestep_fs,
        temperature_k=config.temperature_k,
    )
    found, end = [], -np.inf
    with located(path):
        source = open_source(path, hints_from(config))
        with closing(joined.blocks(source)) as blocks:
            for block, steps in blocks:
                sound(block, foreign=True)
                demand(steps is None or len(steps) == block.n_frames, "steps of another length")
                times = np.concatenate([[end], block.times_ps])
                demand(not joined.time_axis or (np.diff(times) > 0).all(), "times that go back")
                end = times[-1]
                found.append(block.positions)
    demand(found, "no frames, and no error")
    demand(len({x.shape[1:] for x in found}) == 1, "another number of atoms in a later block")
    return np.concatenate(found)


def _foreign(name: str, spoil: Any = text_spoiled) -> Reader:
    configs = [IngestConfig(**options) for options in _OPTIONS[name]]

    def words(path: Path, options: int) -> tuple[list[str], Path]:
        output = path.parent / "out.h5"
        given = []
        for key, value in _OPTIONS[name][options].items():
            flag = {"temperature_k": "--temperature"}.get(key, "--" + key.replace("_", "-"))
            given += [flag] if value is True else [flag, str(value)]
        return ["ingest", str(path), "-o", str(output), *given], output

    return Reader(
        lambda: seeds.foreign(name),
        spoil,
        lambda path, options: ingested(path, configs[options]),
        len(configs),
        words,
    )


def read_own_trajectory(path: Path, options: int) -> Any:
    """(n_frames, n_atoms, 3) Å, after `mdbench info` and all that analyses ask for."""
    from mdbench.stages import info
    from mdbench.store import TrajectoryFile

    del options
    json.dumps(info.run(path).as_json())
    with TrajectoryFile(path) as file:
        whole = file.read()
        sound(whole)
        demand(file.steps.shape == (file.n_frames,), "steps of another shape")
        demand(np.diff(file.times_ps).min(initial=0.0) >= 0.0, "times that go back")
        demand(file.pbc.shape == (3,), "pbc of another shape")
        for name, value in vars(file.provenance).items():
            kinds = (str, int, float, tuple, type(None))
            demand(isinstance(value, kinds), f"{name} is {value!r}")
        demand(whole.provenance.temperature_k is None or whole.provenance.temperature_k > 0, "T")
        file.observable("temperature")
    return whole.positions


def _info(path: Path, options: int) -> tuple[list[str], None]:
    del options
    return ["info", str(path)], None


def read_own_dataset(path: Path, options: int) -> Any:
    """The frames of a dataset."""
    from mdbench.stages import info
    from mdbench.stages.dataset_file import load

    del options
    json.dumps(info.run(path).as_json())
    made = load(path)
    for samples in made.values():
        demand(np.isfinite(samples.positions).all(), "positions that are not finite")
        demand(samples.positions.shape == samples.forces.shape, "forces of another shape")
    return np.concatenate([samples.positions for samples in made.values()])


#: Of the options of a run folder the one with which figures are drawn, which takes a second.
_DRAWN = 20


def read_run_folder(path: Path, options: int) -> Any:
    """What `mdbench verdict` and `mdbench report` take from a run folder."""
    from mdbench.config import PlanConfig
    from mdbench.stages import info, plan
    from mdbench.stages.assess import assess
    from mdbench.stages.report_results import read_results

    run = next(p for p in path.parents if p.name == "run")
    for file in sorted(run.rglob("*.h5")):
        json.dumps(info.run(file).as_json())
    assess([run])
    if options == _DRAWN:
        read_results(run)
    plan.run([path], PlanConfig()).as_json()
    return None


def read_result_file(path: Path, options: int) -> Any:
    from mdbench.stages import info

    del options
    return json.dumps(info.run(path).as_json(), sort_keys=True)


def read_checkpoint(path: Path, options: int) -> Any:
    """The numbers of a model."""
    import torch

    from mdbench.graph import build_graph
    from mdbench.training.checkpoint import load_checkpoint
    from tests.training.little import CELL, NUMBERS, SITES

    del options
    found = load_checkpoint(path.parent)
    demand(all(d > 0 for d in found.closest.values()), "a distance that is none")
    demand(set(found.elements), "no elements")
    with torch.no_grad():
        numbers = [float(p.sum()) for p in found.model.parameters()]
    demand(np.isfinite(numbers).all(), "weights that are not finite")
    if len(numbers) < 100:
        graph = build_graph(NUMBERS, SITES @ CELL, CELL, found.model.cutoff)
        found.model.predict(graph)
    return None


@cache
def _settings_of_training() -> dict[str, Any]:
    from mdbench.training.tensor_files import about

    content = seeds.training_state()[0]["training.state"]
    return dict(about(content, Path("training.state"))["settings"])


@cache
def _frames_of_training() -> Any:
    from tests.training.little import frame_set, samples

    return frame_set([samples(8)])


def read_training_state(path: Path, options: int) -> Any:
    """A training that goes on."""
    from mdbench.models import create, parse_name
    from mdbench.training.budget import Budget
    from mdbench.training.loop import Training
    from mdbench.training.settings import TrainingSettings
    from mdbench.training.state import read_state

    del options
    saved = read_state(path, _settings_of_training())
    frames = _frames_of_training()
    training = Training(
        create(parse_name("schnet-small"), seed=0), frames, frames, TrainingSettings(),
        Budget(10.0, lambda: 0.0), seed=0, stamp={}, keep=lambda _: None,
    )  # fmt: skip
    with located(path):
        training.restore(saved)
    demand(training.step >= 0, "a negative step")
    demand(np.isfinite(training.budget.spent), "time that is not finite")
    return None


def read_journal(path: Path, options: int) -> Any:
    """The trajectory that is made of a journal."""
    from mdbench.md.snapshots import restored_state
    from mdbench.md.state import fields, initial_state
    from mdbench.store import read_trajectory

    del options
    task = seeds.run_task(path.parent)
    task.prepare(resume=True, update=False)
    if task.snapshot is None:
        return None
    start = initial_state([task.run], task._settings)
    state = fields(restored_state(task.snapshot, start, task._settings))
    for name, value in fields(start).items():
        demand(state[name].shape == value.shape, f"{name} of shape {state[name].shape}")
        demand(state[name].dtype == value.dtype, f"{name} of type {state[name].dtype}")
    task.finish()
    made = read_trajectory(task.job.target)
    sound(made)
    return None


def read_structure(path: Path, options: int) -> Any:
    """A structure of `--material`, as far as the engine takes it."""
    from mdbench.md.state import Run
    from mdbench.potentials.materials import material

    del options
    found = material(path)
    demand(len(found.positions) == len(found.atomic_numbers) > 0, "no atoms")
    demand(np.isfinite(found.positions).all(), "positions that are not finite")
    demand(np.isfinite(found.cell).all(), "a cell that is not finite")
    with located(path):
        Run(found.name, found.atomic_numbers, found.positions, found.cell, 800.0)
    return None


def read_runs(path: Path, options: int) -> Any:
    from mdbench_workflows.data_yaml import read_stated

    del options
    stated, defaults = read_stated(path)
    for run in stated or []:
        demand(run.files and all(file.is_file() for file in run.files), "files that are not there")
        demand(isinstance(run.config, IngestConfig), "no settings")
    demand(isinstance(defaults, IngestConfig), "no settings")
    return None


def read_profile_file(path: Path, options: int) -> Any:
    from mdbench_workflows.profile import Profile, read_profile

    del options
    found = read_profile(str(path))
    demand(isinstance(found, Profile), "no profile")
    for section in (found.reference, found.training, found.rollouts):
        for field in dataclasses.fields(section):
            value = getattr(section, field.name)
            demand(not isinstance(value, float) or np.isfinite(value), f"{field.name} = {value}")
    return None


def read_benchmark(path: Path, options: int) -> Any:
    """What progress and report take of a run folder's benchmark.json and records."""
    from mdbench_workflows.run_file import done_record, read_run_file

    from mdbench.records import read_records
    from mdbench.stages.report_runs import _about

    del options
    if path.name == "benchmark.json":
        _about(path)
        for task in read_run_file(path.parent).tasks:
            done_record(path.parent, task)
            demand(isinstance(task.id, str), "a task without a name")
        return None
    folder = path.parents[2]
    for record in read_records(folder):
        demand(record.state in ("done", "failed", "skipped", "died"), f"state {record.state!r}")
        for name in ("seconds", "cpu_s", "gpu_s"):
            value = getattr(record, name)
            demand(value is None or math.isfinite(value), f"{name} = {value!r}")
        text = (record.stage, record.name, record.began, record.host, record.device)
        demand(all(isinstance(word, str) for word in text), f"words {text!r}"[:200])
        demand(isinstance(record.source, str | None), f"source {record.source!r}")
        demand(isinstance(record.message, str | None), f"message {record.message!r}")
        for command in record.commands:
            " ".join(command)
    return None


# Options that are text

_OPTION_SEEDS = {
    "temps": ["800-1200", "800-1200:50", "800,1000", "812.5", " 800 - 900 : 12.5"],
    "budget": ["10h", "5m", "90s", "1.5 h", "3min"],
    "species": ["1=O,2=H", "Li,P,S", "OW=O, HW=H"],
    "cell": ["5,5,6", "5,5,6,90,90,100", "5,0,0,0,5,0,0,0,6", "run.cell"],
    "charge": ["1", "Li=1", "Li=1,Na=2", "-2"],
    "calculator-args": ["skin=1.0", "a=true,b=none,c=1e5", "model=x,device=cpu"],
    "models": ["schnet-small,cgcnn:published", "all", "pairs", "chgnet", "a.b:C"],
}


def _parsed(name: str, text: str) -> None:
    """Parses an option as its command does."""
    from mdbench_workflows.entries import read_entries

    from mdbench.config import TrainConfig
    from mdbench.formats.hints import parse_cell, parse_species
    from mdbench.potentials.calculators import parsed
    from mdbench.stages.conductivity import _stated_charge
    from mdbench.stages.dynamics import arguments
    from mdbench.stages.temperatures import Temperatures

    if name == "temps":
        found = Temperatures.parse(text)
        demand(all(np.isfinite(t) and t > 0 for t in found.values()), f"temperatures of {text!r}")
        found.holds(800.0)
    elif name == "budget":
        demand(np.isfinite(TrainConfig(budget=text).budget_s), "time that is not finite")
    elif name == "species":
        demand(parse_species(text), "no species")
    elif name == "cell":
        cell = parse_cell(text)
        demand(isinstance(cell, Path) or abs(np.linalg.det(cell)) > 0, "a cell without volume")
    elif name == "charge":
        charge = _stated_charge(text, "Li")
        demand(charge is None or (np.isfinite(charge) and charge), f"charge {charge}")
    elif name == "calculator-args":
        [parsed(value) for value in arguments(text).values()]
    else:
        read_entries(text.split(","), size="small", seed=0)


def _option_seeds() -> list[Files]:
    return [{name: text.encode()} for name, texts in _OPTION_SEEDS.items() for text in texts]


def option_spoiled(rng: Rng, files: Files) -> tuple[Files, str, str]:
    (name,) = files
    text = files[name].decode()
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(text) + 1))
        kind = int(rng.integers(6))
        marks = "-:,=.+eE%_ \t\n\0;/\\'\"0123456789٣½²\ud800\x1b\U0001f600xLiK"
        if kind == 0:
            text = text[:at] + marks[int(rng.integers(len(marks)))] + text[at:]
        elif kind == 1:
            text = text[:at] + NUMBERS[int(rng.integers(len(NUMBERS)))] + text[at:]
        elif kind == 2:
            text = text[:at] + text[at + int(rng.integers(1, 4)) :]
        elif kind == 3:
            text += ("", ",", "-")[int(rng.integers(3))] + text
        elif kind == 4:
            parts = text.split(",")
            parts[int(rng.integers(len(parts)))] = NUMBERS[int(rng.integers(len(NUMBERS)))]
            text = ",".join(parts)
        else:
            other = _OPTION_SEEDS[list(_OPTION_SEEDS)[int(rng.integers(len(_OPTION_SEEDS)))]]
            text = other[int(rng.integers(len(other)))]
    return {name: text.encode("utf-8", "surrogatepass")}, repr(text[:80]), "any"


def read_option(path: Path, options: int) -> Any:
    del options
    try:
        _parsed(path.name, path.read_bytes().decode("utf-8", "surrogatepass"))
    except OSError as error:
        # a name that is too long for a file, which the command line says in one line
        demand(error.errno == errno.ENAMETOOLONG and error.filename, str(error)[:300])
        raise InputError("too long for a name") from error
    return None


# Real files

_LONGEST_REAL = 60_000


@cache
def real() -> list[Files]:
    """The beginnings of real files of other codes, some binary ones whole."""
    from mdbench.formats._stream import ByteStream

    folder = Path(os.environ["MDBENCH_REAL_DATA"]) / "trajectories"
    found = []
    for path in sorted(folder.iterdir()):
        binary = path.suffix in (".traj", ".h5md")
        if path.suffix in (".cif", ".json", ".npy") or (binary and path.stat().st_size > 2_000_000):
            continue
        with ByteStream(path) as stream:
            size = 2_000_000 if binary else _LONGEST_REAL
            content = stream.read(size)
        name = path.name
        for suffix in (".gz", ".bz2", ".xz"):
            name = name.removesuffix(suffix)
        beside = {
            p.name: p.read_bytes()[:_LONGEST_REAL]
            for p in folder.glob("CP2K*")
            if p.suffix in (".cell", ".ener") and name.startswith(p.stem + ".")
        }
        found.append({name: content, **beside})
    return found


def real_spoiled(rng: Rng, files: Files) -> tuple[Files, str, str]:
    name = next(iter(files))
    if name.endswith(".h5md"):
        return hdf5_spoiled(rng, files)
    if name.endswith(".traj"):
        content, what = mutated(rng, files[name], BYTES)
        return {name: content}, what, "any"
    return text_spoiled(rng, files)


def read_real(path: Path, options: int) -> Any:
    given: Sequence[dict[str, Any]] = (
        {"frame_interval_fs": 0.0},
        {"frame_interval_fs": 10.0, "species": "Li,P,S"},
        {"timestep_fs": 1.0, "species": "Al"},
        {},
    )
    return ingested(path, IngestConfig(**given[options]))


READERS: dict[str, Reader] = {
    **{name: _foreign(name) for name in ("vasprun", "XDATCAR", "outcar", "dump", "extxyz", "cp2k")},
    "ase": _foreign("ase", ulm_spoiled),
    "h5md": _foreign("h5md", hdf5_spoiled),
    "trajectory": Reader(seeds.trajectory, hdf5_spoiled, read_own_trajectory, commands=_info),
    "dataset": Reader(seeds.dataset, hdf5_spoiled, read_own_dataset, commands=_info),
    "result": Reader(seeds.result, hdf5_spoiled, read_result_file, commands=_info),
    "run folder": Reader(seeds.run_folder, run_folder_spoiled, read_run_folder, _DRAWN + 1),
    "checkpoint": Reader(seeds.checkpoint, checkpoint_spoiled, read_checkpoint),
    "training state": Reader(seeds.training_state, tensors_spoiled, read_training_state),
    "journal": Reader(seeds.journal, journal_spoiled, read_journal),
    "structure": Reader(seeds.structures, structure_spoiled, read_structure),
    "runs.yaml": Reader(seeds.runs, yaml_spoiled, read_runs),
    "profile": Reader(seeds.profile, yaml_spoiled, read_profile_file),
    "benchmark.json": Reader(seeds.run_file, json_spoiled, read_benchmark),
    "options": Reader(_option_seeds, option_spoiled, read_option),
    "real files": Reader(real, real_spoiled, read_real, 4),
}


def refused(error: BaseException, names: Sequence[str], *, named: bool, own: bool) -> None:
    """Demands that an error is one that helps: one line, not endless, with the file's name.

    Args:
        error: What was raised.
        names: Of the files.
        named: Whether there are files.
        own: Whether we read them ourselves, and not ASE, which asks for any memory.
    """
    demand(isinstance(error, InputError), f"{type(error).__name__}")
    text = str(error)
    demand(text.isprintable(), f"a message that is no line of text: {text[:300]!r}")
    demand(len(text) <= 2000, f"a message of {len(text)} letters: {text[:300]!r}")
    demand(not named or any(name in text for name in names), f"no file's name in: {text[:300]}")
    chain: BaseException | None = error if own else None
    while chain is not None:
        demand(not isinstance(chain, MemoryError), f"memory asked for: {text[:300]}")
        chain = chain.__cause__ or chain.__context__
