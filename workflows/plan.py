"""The tasks of a benchmark, worked out from its profile: what is run, and what comes of it.

A task is one or several commands of mdbench that make one thing. Commands run inside the run
folder, so that it can be moved; what stands outside is named by its whole path.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdbench.config import TrainConfig
from mdbench.errors import InputError, suggest
from mdbench.potentials.materials import material as structure
from mdbench.records import PLACE, record_of
from mdbench.stages.temperatures import Temperatures
from mdbench.units import FS_IN_PS

from .entries import Entry
from .profile import Profile

if TYPE_CHECKING:
    from .data import SourceRun

#: Stands in commands for the number of threads, on which no result depends.
THREADS = "{threads}"
#: In place of a command of mdbench: a file of the user's is copied.
COPY = "cp"
#: The other side of every comparison, in the run folder.
REFERENCES = "reference/*/*.h5"
#: In the order in which the work is done.
STAGES = (
    *("ingest", "reference", "dataset", "train"),
    *("evaluate", "audit", "simulate", "analyze"),
)
_TIMESTEP_FS, _RAMP_PS = 2.0, 5.0


@dataclass(frozen=True)
class Task:
    """One thing to be made.

    Attributes:
        stage: As "train".
        name: As "schnet-small-s0" or "lgps".
        commands: Words after `mdbench`, each.
        outputs: What there is when it is done, named below the run folder.
        after: Tasks that it needs, as "train/schnet-small-s0".
        source: The force field that it is about.
        redo: What makes a command replace what was made with other settings.
        from_scratch: Whether commands refuse outputs that are there, so that these are removed.
        gpu: Whether a GPU may do the work.
        parallel: Whether several threads share the work.
        work: What its time and disk space depend on, for `estimate`.
        reads: What it reads outside of the run folder, with its size and time; a model's package.
        fingerprint: Hash of all that its outputs depend on.
    """

    stage: str
    name: str
    commands: tuple[tuple[str, ...], ...]
    outputs: tuple[str, ...]
    after: tuple[str, ...] = ()
    source: str | None = None
    redo: str = "--force"
    from_scratch: bool = False
    gpu: bool = False
    parallel: bool = False
    work: Mapping[str, Any] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    fingerprint: str = ""

    @property
    def id(self) -> str:
        """Stage and name."""
        return f"{self.stage}/{self.name}"

    @property
    def record(self) -> str:
        """The file that says what became of it, below the run folder."""
        return record_of(self.id)

    @property
    def begun(self) -> str:
        """The file that says with which settings it was begun, below the run folder."""
        return f"{PLACE}/{self.id}.began.json"

    def with_threads(self, n: int) -> list[list[str]]:
        """The commands for a number of threads."""
        return [[word.replace(THREADS, str(n)) for word in command] for command in self.commands]

    def shown(self, threads: int) -> list[str]:
        """The commands as they can be typed in the run folder."""
        return [
            shlex.join(words if words[0] == COPY else ["mdbench", *words])
            for words in self.with_threads(threads)
        ]


@dataclass(frozen=True)
class Substance:
    """A material of the reference, and its runs.

    Attributes:
        name: Of its folder.
        argument: As commands name it.
        replicas: Number of runs by temperature, K.
        n_atoms: Number of atoms.
        has_forces: Whether its frames have forces, to train on.
        tasks: That make its runs.
    """

    name: str
    argument: str
    replicas: Mapping[float, int]
    n_atoms: int
    has_forces: bool
    tasks: tuple[str, ...]

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return sum(self.replicas.values())


def make_plan(
    profile: Profile, entries: Sequence[Entry], runs: Sequence[SourceRun] = ()
) -> list[Task]:
    """All tasks, each after those that it needs.

    Args:
        profile: How large everything is.
        entries: The force fields.
        runs: Users' own reference trajectories; without any, they are made.

    Raises:
        InputError: Nothing to train on, or another material than there is.
    """
    tasks, substances = _ingested(runs) if runs else _made(profile)
    labeled = [s for s in substances if s.has_forces]
    trained = [e for e in entries if e.kind == "trained"]
    school = _school(profile, substances) if trained else None
    tasks += [_dataset(profile, s) for s in labeled]
    runs_of = {s.name: dict(s.replicas) for s in substances}
    every = tuple(dict.fromkeys(t for s in substances for t in s.tasks))
    tasks.append(_analyze("reference", substances, runs_of, every))
    rollouts = _rollouts(profile, substances)
    for entry in entries:
        known: tuple[str, ...] = ()
        if entry.kind == "trained" and school is not None:
            tasks.append(_train(profile, entry, school))
            known = (tasks[-1].id,)
        if labeled and not entry.control:
            tasks.append(_evaluate(profile, entry, labeled, school, known))
        tasks.append(_audit(profile, entry, substances, bool(runs), known, every))
        made = [
            _simulate(profile, entry, s, rollouts[s.name], (*known, *s.tasks)) for s in substances
        ]
        ids = (task.id for task in made)
        tasks += [*made, _analyze(entry.source, substances, rollouts, (*ids, *every))]
    return _with_fingerprints(sorted(tasks, key=lambda task: STAGES.index(task.stage)))


def _made(profile: Profile) -> tuple[list[Task], list[Substance]]:
    """Tasks that make the reference, one for each material."""
    wanted = profile.reference
    replicas = dict.fromkeys(Temperatures.parse(wanted.temperatures).values(), wanted.replicas)
    tasks, substances = [], []
    for text in wanted.materials:
        crystal = structure(text)
        argument = str(Path(text).resolve()) if Path(text).is_file() else crystal.name
        new = Substance(
            name=crystal.name,
            argument=argument,
            replicas=replicas,
            n_atoms=len(crystal.atomic_numbers),
            has_forces=True,
            tasks=(f"reference/{crystal.name}",),
        )
        command = (
            *("reference", "--run", ".", "--calculator", wanted.calculator),
            *("--material", argument, "--temps", _listed(replicas)),
            *("--replicas", f"{wanted.replicas}", "--ps", f"{wanted.ps:g}"),
            *("--stride", f"{wanted.stride}", "--threads", THREADS),
        )
        n_steps = (wanted.ps + _RAMP_PS) / (FS_IN_PS * _TIMESTEP_FS)
        tasks.append(
            Task(
                "reference",
                new.name,
                (command,),
                tuple(_files("reference", new.name, replicas)),
                redo="--update",
                parallel=True,
                work={
                    "force_field": wanted.calculator,
                    "steps": new.n_runs * n_steps,
                    "n_atoms": new.n_atoms,
                    "frames": new.n_runs * wanted.ps / (FS_IN_PS * _TIMESTEP_FS * wanted.stride),
                    "vectors": 2,
                },
            )
        )
        substances.append(new)
    return tasks, substances


def _ingested(runs: Sequence[SourceRun]) -> tuple[list[Task], list[Substance]]:
    """Tasks that read users' trajectories, one for each run."""
    tasks = []
    for run in runs:
        target = f"reference/{run.material}/{run.temperature_k:g}K-r{run.replica}.h5"
        command = ("ingest", *map(str, run.files), "-o", target, *run.extra)
        if run.kind == "mdbench":
            command = (COPY, str(run.files[0]), target)
        marks = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in run.files]
        tasks.append(
            Task(
                "ingest",
                f"{run.material}-{run.temperature_k:g}K-r{run.replica}",
                (command,),
                (target,),
                from_scratch=True,
                work={"bytes": sum(size for _, size, _ in marks)},
                reads=tuple(f"{name} {size} {time}" for name, size, time in marks),
            )
        )
    substances = []
    for name in dict.fromkeys(run.material for run in runs):
        members = [
            (run, task) for run, task in zip(runs, tasks, strict=True) if run.material == name
        ]
        temperatures = sorted({run.temperature_k for run, _ in members})
        substances.append(
            Substance(
                name=name,
                argument=name,
                replicas={t: sum(r.temperature_k == t for r, _ in members) for t in temperatures},
                n_atoms=members[0][0].n_atoms,
                has_forces=all(run.has_forces for run, _ in members),
                tasks=tuple(task.id for _, task in members),
            )
        )
    return list(tasks), substances


def _school(profile: Profile, substances: Sequence[Substance]) -> Substance:
    """The material that models are trained on."""
    labeled = {s.name: s for s in substances if s.has_forces}
    if not labeled:
        raise InputError(
            "nothing to train on: no trajectory has forces",
            remedy="name force fields that need no training with --models",
        )
    wanted = profile.training.material
    if wanted is None:
        return max(labeled.values(), key=lambda s: s.n_runs)
    if wanted not in labeled:
        raise InputError(
            f"training.material {wanted!r}",
            expected="a material of the reference with forces",
            remedy=suggest(wanted, labeled),
        )
    return labeled[wanted]


def _dataset(profile: Profile, substance: Substance) -> Task:
    command = (
        *("dataset", "--run", ".", "--material", substance.name),
        *("--fraction", f"{profile.training.fraction:g}"),
    )
    return Task(
        "dataset",
        substance.name,
        (command,),
        (f"dataset/{substance.name}.h5",),
        after=substance.tasks,
        work={"n_runs": substance.n_runs},
    )


def _train(profile: Profile, entry: Entry, school: Substance) -> Task:
    known = profile.training
    command = (
        *("train", "--run", ".", "--model", entry.name, "--material", school.name),
        *("--budget", known.budget, "--seed", f"{known.seed}", "--device", profile.device),
        *(("--paper",) if known.paper_recipe else ()),
    )
    place = f"models/{entry.source}"
    return Task(
        "train",
        entry.source,
        (command,),
        (f"{place}/model.json", f"{place}/model.safetensors", f"{place}/training.h5"),
        after=(f"dataset/{school.name}",),
        source=entry.source,
        gpu=True,
        work={"budget_s": TrainConfig(budget=known.budget).budget_s},
        reads=(entry.package,) if entry.package else (),
    )


def _evaluate(
    profile: Profile,
    entry: Entry,
    labeled: Sequence[Substance],
    school: Substance | None,
    known: tuple[str, ...],
) -> Task:
    ask = (
        *("evaluate", "--run", ".", *entry.option),
        *("--device", profile.device, "--threads", THREADS),
    )
    data = [x for s in labeled for x in ("--data", f"dataset/{s.name}.h5")]
    commands, outputs = [(*ask, *data)], [f"accuracy/{entry.source}/{s.name}.h5" for s in labeled]
    if profile.near and entry.kind == "trained" and school is not None:
        commands.append((*ask, "--data", f"dataset/{school.name}.h5", "--split", "near"))
        outputs.append(f"accuracy/{entry.source}/{school.name}-near.h5")
    frames = 2000 * profile.training.fraction * (len(labeled) + len(commands) - 1)
    return Task(
        "evaluate",
        entry.source,
        tuple(commands),
        tuple(outputs),
        after=(*known, *(f"dataset/{s.name}" for s in labeled)),
        source=entry.source,
        gpu=True,
        parallel=True,
        work={
            "force_field": entry.architecture,
            "evaluations": frames,
            "n_atoms": max(s.n_atoms for s in labeled),
        },
    )


def _audit(
    profile: Profile,
    entry: Entry,
    substances: Sequence[Substance],
    own_data: bool,
    known: tuple[str, ...],
    every: tuple[str, ...],
) -> Task:
    command = (
        *("audit", "--run", ".", *entry.option, "--device", profile.device),
        *("--material", substances[0].argument),
        *(("--dynamics",) if profile.audit_dynamics else ()),
    )
    return Task(
        "audit",
        entry.source,
        (command,),
        (f"audit/{entry.source}.h5",),
        after=(*known, *(every if own_data else ())),
        source=entry.source,
        gpu=True,
        work={
            "force_field": entry.architecture,
            "evaluations": 4000 if profile.audit_dynamics else 200,
            "n_atoms": substances[0].n_atoms,
        },
    )


def _rollouts(profile: Profile, substances: Sequence[Substance]) -> dict[str, dict[float, int]]:
    """Number of runs of a model by material and temperature.

    Temperatures are those of the profile that the reference has; where it has none of them, all
    that it has.
    """
    wanted = Temperatures.parse(profile.rollouts.temperatures).values()
    found = {}
    for substance in substances:
        shared = [t for t in wanted if t in substance.replicas] or list(substance.replicas)
        found[substance.name] = dict.fromkeys(shared, profile.rollouts.replicas)
    return found


def _simulate(
    profile: Profile,
    entry: Entry,
    substance: Substance,
    replicas: Mapping[float, int],
    after: tuple[str, ...],
) -> Task:
    """Dynamics of a material: all temperatures and replicas at once."""
    wanted = profile.rollouts
    command = (
        *("simulate", "--run", ".", *entry.option, "--device", profile.device),
        *("--material", substance.argument, "--temps", _listed(replicas)),
        *("--replicas", f"{wanted.replicas}", "--ps", f"{wanted.ps:g}"),
        *("--stride", f"{wanted.stride}", "--start", wanted.start),
        *("--seed", "1", "--threads", THREADS),
    )
    ramp_ps = 0.0 if wanted.start == "reference" else _RAMP_PS
    n_steps = (wanted.ps + ramp_ps) / (FS_IN_PS * _TIMESTEP_FS)
    n_runs = sum(replicas.values())
    return Task(
        "simulate",
        f"{entry.source}-{substance.name}",
        (command,),
        tuple(_files(f"rollouts/{entry.source}", substance.name, replicas)),
        after=after,
        source=entry.source,
        redo="--update",
        gpu=True,
        parallel=True,
        work={
            "force_field": entry.architecture,
            "steps": n_runs * n_steps,
            "n_atoms": substance.n_atoms,
            "frames": n_runs * n_steps / wanted.stride,
            "vectors": 1,
        },
    )


def _analyze(
    source: str,
    substances: Sequence[Substance],
    runs: Mapping[str, Mapping[float, int]],
    after: tuple[str, ...],
) -> Task:
    """g(r), diffusion, conductivity and paths of a source, held against the reference's."""
    against = () if source == "reference" else ("--against", REFERENCES)
    ask = ("--run", ".", "--source", source)
    commands = (
        ("rdf", *ask, *against, "--threads", THREADS),
        ("msd", *ask),
        ("conductivity", *ask, *against, "--paper"),
        ("path", *ask, *against),
    )
    outputs = [
        f"observables/{source}/{s.name}/{name}.h5"
        for s in substances
        for name in (*(f"rdf-{t:g}K" for t in runs[s.name]), "conductivity")
    ]
    return Task(
        "analyze",
        source,
        commands,
        tuple(outputs),
        after=after,
        source=None if source == "reference" else source,
        parallel=True,
        work={"n_runs": sum(sum(r.values()) for r in runs.values())},
    )


def _files(place: str, material: str, replicas: Mapping[float, int]) -> list[str]:
    return [f"{place}/{material}/{t:g}K-r{i}.h5" for t, n in replicas.items() for i in range(n)]


def _listed(temperatures: Mapping[float, int]) -> str:
    return ",".join(f"{t:g}" for t in temperatures)


def _with_fingerprints(tasks: Sequence[Task]) -> list[Task]:
    """The tasks with hashes of their commands and of all that comes before them."""
    known: dict[str, str] = {}
    found = []
    for task in tasks:
        depends = [
            task.commands,
            task.outputs,
            task.reads,
            [known[before] for before in task.after],
        ]
        known[task.id] = hashlib.sha256(json.dumps(depends).encode()).hexdigest()
        found.append(dataclasses.replace(task, fingerprint=known[task.id]))
    return found
