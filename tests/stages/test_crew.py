"""Processes that share runs: the same files as threads make, errors, kills, no orphans."""

import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from ase.calculators.lj import LennardJones

from mdbench.config import SimulateConfig
from mdbench.errors import InputError
from mdbench.md.ase_engine import simulate_ase
from mdbench.md.frames import Recording
from mdbench.md.simulate import simulate as our_engine
from mdbench.models import create, parse_name
from mdbench.models.force_field import ModelForceField
from mdbench.potentials.ase_force_field import AseForceField
from mdbench.potentials.materials import material
from mdbench.potentials.refpot import RefPot
from mdbench.stages import cost, dynamics, simulate
from mdbench.stages.crew import Simulation
from mdbench.stages.crew_processes import recipe_of
from mdbench.stages.run_task import Job
from tests.stages.contents import arrays, files

CALCULATOR = '''
import json
import os
import signal
import time
from pathlib import Path

from ase.calculators.calculator import Calculator, all_changes

from mdbench.potentials.materials import material

REST = material("lgps").positions


class Springs(Calculator):
    """Atoms on springs, that may take their time, fail, or kill the process that asks them."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, fault="none", at=0, pause=0.0):
        super().__init__()
        self.fault, self.at, self.pause = fault, at, pause
        self.calls = 0
        if log := os.environ.get("SPRINGS_LOG"):
            names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
            known = {"pid": os.getpid(), **{n: os.environ.get(n) for n in names}}
            with Path(log).open("a") as file:
                file.write(json.dumps(known) + "\\n")

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        time.sleep(self.pause)
        if self.calls == self.at:
            if self.fault == "raises":
                raise RuntimeError("out of\\nideas")
            if self.fault == "kills":
                os.kill(os.getpid(), signal.SIGKILL)
        pulled = atoms.positions - REST
        self.results = {"energy": 2.5 * (pulled**2).sum(), "forces": -5.0 * pulled}
'''
CONFIG = SimulateConfig(temps="300,400", replicas=2, ps=0.04, ramp_ps=0.01)
N_RUNS = 4


@pytest.fixture
def module(tmp_path, monkeypatch) -> str:
    """The name of a module that makes calculators."""
    name = f"springs_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CALCULATOR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def run(module: str, folder: Path, arguments: str = "", **options):
    config = dataclasses.replace(CONFIG, calculator=f"{module}:Springs", **options)
    config = dataclasses.replace(config, calculator_args=arguments)
    return simulate.run(["lgps"], config, run_folder=folder, threads=2)


def in_processes(monkeypatch) -> None:
    """As if processes started at once."""
    monkeypatch.setattr(cost, "_START_S", -1e9)


@pytest.mark.parametrize("engine", ["torch", pytest.param("ase", marks=pytest.mark.slow)])
def test_processes_change_no_bit_of_a_calculator(module, tmp_path, monkeypatch, engine) -> None:
    run(module, tmp_path / "threads", engine=engine)
    in_processes(monkeypatch)
    monkeypatch.setenv("SPRINGS_LOG", str(tmp_path / "log"))
    before = dict(os.environ)
    made = run(module, tmp_path / "processes", engine=engine).made
    assert dict(os.environ) == before
    known = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    away = [one for one in known if one["pid"] != os.getpid()]
    assert len({one["pid"] for one in away}) == 2
    assert all(list(one.values())[1:] == ["1", "1", "1"] for one in away)
    assert [m.n_frames for m in made] == [20] * N_RUNS
    places = files(tmp_path / "threads")
    assert len(places) == N_RUNS
    assert files(tmp_path / "processes") == places
    for place in places:
        assert arrays(tmp_path / "threads" / place) == arrays(tmp_path / "processes" / place)


def lgps_jobs(folder: Path) -> list[Job]:
    lgps = material("lgps")
    return [Job(lgps, 300.0, r, folder / f"300K-r{r}.h5", "model") for r in range(3)]


def test_processes_change_no_bit_of_a_network(tmp_path, monkeypatch) -> None:
    model = create(parse_name("schnet-small"), seed=0)
    field = ModelForceField(model, "schnet-small with random weights")
    config = dataclasses.replace(CONFIG, temps="300")
    for folder in ("threads", "processes"):
        jobs = lgps_jobs(tmp_path / folder)
        report = dynamics.run_jobs(field, jobs, config, Recording(stresses=True), threads=2)
        assert [m.how for m in report.made] == ["made"] * 3
        assert report.cost is not None
        assert report.cost.kind == folder
        in_processes(monkeypatch)
    for job in lgps_jobs(tmp_path / "threads"):
        assert arrays(job.target) == arrays(tmp_path / "processes" / job.target.name)


@pytest.mark.parametrize(
    "call",
    [4, pytest.param(24, marks=pytest.mark.slow)],
    ids=["while it is timed", "in the process"],
)
def test_an_error_in_a_process_is_the_same_line(module, tmp_path, monkeypatch, call) -> None:
    lines = []
    for folder in ("threads", "processes"):
        with pytest.raises(InputError) as caught:
            run(module, tmp_path / folder, f"fault=raises,at={call}")
        lines.append(str(caught.value))
        in_processes(monkeypatch)
    assert lines[0] == lines[1]
    assert "RuntimeError: out of ideas" in lines[0]
    assert "\n" not in lines[0]


@pytest.mark.slow
def test_what_knows_no_input_error_is_a_bug(tmp_path, monkeypatch) -> None:
    in_processes(monkeypatch)
    with pytest.raises(ZeroDivisionError):
        dynamics.run_jobs(
            AseForceField(LennardJones, "none"),
            lgps_jobs(tmp_path),
            CONFIG,
            Recording(),
            threads=2,
            remake=_division,
        )


def _division() -> AseForceField:
    raise ZeroDivisionError


@pytest.mark.slow
def test_another_force_field_than_was_asked_for_is_refused(tmp_path, monkeypatch) -> None:
    in_processes(monkeypatch)
    with pytest.raises(InputError, match="has changed: expected none, found another"):
        dynamics.run_jobs(
            AseForceField(LennardJones, "none"), lgps_jobs(tmp_path), CONFIG, Recording(),
            threads=2, remake=_another,
        )  # fmt: skip
    assert not files(tmp_path)


def _another() -> AseForceField:
    return AseForceField(LennardJones, "another")


def test_a_killed_process_is_an_error(module, tmp_path, monkeypatch) -> None:
    """The calculator kills it, after more calls than are timed."""
    in_processes(monkeypatch)
    with pytest.raises(InputError, match=r"ended without a word.*the same command goes on"):
        run(module, tmp_path / "run", "fault=kills,at=24")
    left = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    assert not [command for command in left if "resource_tracker" not in command]


@pytest.mark.parametrize(
    ("field", "engine", "travels"),
    [
        (lambda: RefPot(), our_engine, False),
        (lambda: AseForceField(LennardJones, "x"), our_engine, True),
        (lambda: AseForceField(LennardJones, "x"), simulate_ase, True),
        (lambda: AseForceField(LennardJones, "x"), lambda: None, False),
    ],
    ids=["releases the lock", "calculator", "engine of ASE", "other engine"],
)
def test_what_may_leave_this_process(field, engine, travels) -> None:
    simulation = Simulation(field(), dynamics.md_settings(CONFIG), Recording(), engine)
    recipe = recipe_of(simulation, _another)
    assert (recipe is not None) == travels
    assert recipe_of(simulation, None) is None


def test_networks_travel_as_they_are() -> None:
    import torch

    field = ModelForceField(create(parse_name("cgcnn-small"), seed=3), "network")
    recipe = recipe_of(
        Simulation(field, dynamics.md_settings(CONFIG), Recording(), our_engine), None
    )
    assert recipe is not None
    again = pickle.loads(pickle.dumps(recipe)).simulation.force_field
    for one, other in zip(field.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not any(parameter.is_shared() for parameter in field.model.parameters())
    assert not again.model.training
    field.device = torch.device("cuda")
    assert recipe_of(Simulation(field, recipe.settings, Recording(), our_engine), None) is None


COMMAND = (
    "from mdbench.stages import cost; cost._START_S = -1e9;"
    "from mdbench_cli.main import main; main()"
)


def start(folder: Path) -> subprocess.Popen[str]:
    """Two runs of three chunks each, in two processes."""
    options = (
        *("--temps", "300", "--replicas", "2", "--ps", "3", "--ramp-ps", "0", "--threads", "2"),
        *("--calculator", "springs:Springs", "--calculator-args", "pause=0.001", "--quiet"),
    )
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "simulate", "--run", str(folder), *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(folder: Path) -> str:
    process = start(folder)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, dict[str, bytes]]:
    """Contents of the files of two runs that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "springs.py").write_text(CALCULATOR)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        finish(folder / "run")
    return {place: arrays(folder / "run" / place) for place in files(folder / "run")}


@pytest.mark.parametrize(
    ("how", "to_all"),
    [
        pytest.param(signal.SIGINT, True, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, False, marks=pytest.mark.slow),
    ],
    ids=["Ctrl-C", "SIGINT", "SIGTERM", "SIGKILL"],
)
def test_workers_end_with_whoever_started_them(whole, tmp_path, monkeypatch, how, to_all) -> None:
    (tmp_path / "springs.py").write_text(CALCULATOR)
    monkeypatch.chdir(tmp_path)
    process = start(tmp_path / "run")
    while len(list((tmp_path / "run").rglob("*.state"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    if to_all:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    _, err = process.communicate()
    assert "Traceback" not in err
    assert process.returncode == (130 if how is signal.SIGINT else -how)
    _, alive = psutil.wait_procs(workers, timeout=10.0)
    assert not alive
    assert not [name for name in files(tmp_path / "run") if name.endswith(".h5")]
    assert "resumed" in finish(tmp_path / "run")
    assert files(tmp_path / "run") == set(whole)
    for place, expected in whole.items():
        assert arrays(tmp_path / "run" / place) == expected
