"""Where jobs run other than on this machine's cores, and what they ask a cluster for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from mdbench.errors import InputError, located, suggest
from mdbench.records import PLACE
from mdbench.units import MINUTE_IN_S

from .batches import Batch
from .machine import available_cores
from .plan import STAGES, Task
from .yaml_text import plain_yaml

#: Longest time of one task, minutes. A training takes as long as its budget, and `train`.
_RUNTIME = {
    "ingest": 120,
    "reference": 480,
    "dataset": 60,
    "train": 10,
    "evaluate": 240,
    "audit": 120,
    "simulate": 1440,
    "analyze": 240,
}
#: Memory, MB.
_MEM_MB = dict.fromkeys(STAGES, 4000) | {"train": 16000, "evaluate": 16000, "simulate": 16000}
#: Lists and mappings within each other; a config.yaml has two or three.
_DEEPEST = 20
#: Settings of ours below `config:` in an executor's config.yaml.
_NAMES = ("gpu_model", "gpu_partition")
_KEYS = (
    *("gpus", *_NAMES),
    *(f"{resource}_{stage}" for resource in ("runtime", "mem_mb") for stage in STAGES),
)


@dataclass(frozen=True)
class Executor:
    """A folder that says Snakemake how to run jobs.

    Attributes:
        folder: With a config.yaml of Snakemake, a "profile" in its words.
        kind: Snakemake's executor, as "slurm"; "local" where it names none.
        settings: All that stands in config.yaml.
    """

    folder: Path
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def options(self, run_folder: Path, cores: int | None) -> list[str]:
        """Of Snakemake's command line.

        Args:
            run_folder: The run folder.
            cores: CPU cores of this machine or, on a cluster, of a job; None: as in config.yaml.
        """
        found = ["--profile", str(self.folder)]
        if self.kind == "local":
            most = cores or self.settings.get("cores", available_cores())
            return [*found, "--cores", f"{most}"]
        most = cores or self.settings.get("max-threads", 1)
        found += ["--max-threads", f"{most}"]
        if self.kind == "slurm":
            found += ["--slurm-jobname-prefix", job_prefix(run_folder)]
            found += ["--slurm-logdir", str(run_folder.resolve() / PLACE / "slurm")]
        return found


def job_prefix(run_folder: Path) -> str:
    """What names of a run folder's jobs in a queue begin with."""
    return f"mdbench-{hashlib.sha256(str(run_folder.resolve()).encode()).hexdigest()[:12]}"


def read_executor(name: str) -> Executor | None:
    """Where jobs run; None: this machine.

    Args:
        name: local, slurm, or a folder with a config.yaml of Snakemake.

    Raises:
        InputError: There is no such folder, or what its config.yaml says cannot be used.
    """
    if name == "local":
        return None
    shipped = files(__package__).joinpath("executors")
    known = sorted(place.name for place in shipped.iterdir())
    place = Path(str(shipped.joinpath(name))) if name in known else Path(name)
    path = place / "config.yaml"
    if not path.is_file():
        raise InputError(
            f"executor {name!r}",
            expected=f"local, {', '.join(known)}, or a folder with a config.yaml of Snakemake",
            remedy=suggest(name, ["local", *known]),
        )
    with located(path):
        settings = _settings(path.read_text(encoding="utf-8", errors="replace"))
    return Executor(place.resolve(), str(settings.get("executor", "local")), settings)


def threads(batch: Batch, cores: int | None, most: int | None) -> int:
    """Threads of a batch.

    Args:
        batch: Tasks that one job runs.
        cores: Of this machine, on which jobs run side by side.
        most: On a cluster: of a job, which has its cores for itself.
    """
    if most is not None:
        return most if batch.share > 0.0 else 1
    return max(1, int(batch.share * (cores or 1)))


def asked(
    batch: Batch, tasks: Sequence[Task], config: Mapping[str, Any], device: str
) -> dict[str, Any]:
    """Resources of Snakemake that a batch asks for.

    Time and memory grow with each attempt, since a job that was ended for want of them goes on
    where it was.

    Args:
        batch: Tasks that one job runs.
        tasks: All tasks of the benchmark.
        config: What stands below `config:` in the executor's config.yaml.
        device: As in the profile: without `gpus` a GPU is asked for where it is "cuda".
    """
    members = [task for task in tasks if task.id in batch.tasks]
    minutes = sum(_minutes(task, config) for task in members)
    memory = max(int(config.get(f"mem_mb_{t.stage}", _MEM_MB[t.stage])) for t in members)
    found: dict[str, Any] = {"runtime": _growing(minutes), "mem_mb": _growing(memory)}
    n_gpus = int(config.get("gpus", 1 if device == "cuda" else 0))
    if batch.gpu and n_gpus > 0:
        found["gpu"] = n_gpus
        if "gpu_model" in config:
            found["gpu_model"] = str(config["gpu_model"])
        if "gpu_partition" in config:
            found["slurm_partition"] = str(config["gpu_partition"])
    return found


def _minutes(task: Task, config: Mapping[str, Any]) -> int:
    beside = round(float(task.work.get("budget_s", 0.0)) / MINUTE_IN_S)
    return beside + int(config.get(f"runtime_{task.stage}", _RUNTIME[task.stage]))


def _growing(amount: int) -> Callable[[Any, int], int]:
    """Of Snakemake's form: what an attempt gets, counted from 1."""

    def amount_of(wildcards: Any, attempt: int) -> int:
        return amount * attempt

    return amount_of


def _settings(text: str) -> dict[str, Any]:
    """A config.yaml of Snakemake; what stands there for us is checked."""
    stored = plain_yaml(text, deepest=_DEEPEST, expected="keys and values")
    if not isinstance(stored, dict):
        raise InputError("keys and values are expected", found=repr(stored)[:80])
    own = stored.get("config") or []
    if not isinstance(own, dict | list):
        raise InputError("config", expected="a list of key=value", found=repr(own)[:80])
    pairs = own.items() if isinstance(own, dict) else (_pair(str(word)) for word in own)
    for key, value in pairs:
        if key not in _KEYS:
            raise InputError(f"unknown key {key!r} below config", remedy=suggest(str(key), _KEYS))
        if key not in _NAMES and not str(value).isdecimal():
            raise InputError(str(key), expected="a whole number", found=repr(value))
    return stored


def _pair(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key, value
