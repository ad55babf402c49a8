"""The command line itself: help, what it imports, how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import fields
from pathlib import Path

import click
import pytest
from mdbench_cli.main import COMMANDS, cli, main, run

from mdbench.config import (
    AuditConfig,
    ConductivityConfig,
    ConvertConfig,
    DatasetConfig,
    EvaluateConfig,
    FetchConfig,
    IngestConfig,
    MsdConfig,
    PathConfig,
    PlanConfig,
    RdfConfig,
    ReferenceConfig,
    SimulateConfig,
    TrainConfig,
)
from mdbench.store import write_trajectory
from mdbench.version import __version__
from tests.pipeline.little import little_run
from tests.stages.little import at, write_run

COMMON = {"--quiet", "--debug", "--help"}
DYNAMICS = {"--material", "--run", "--threads", "--force", "--update", "--json"}
RESULTS = {"--json", "--csv", "--plot", "--output", "--force", "--run"}


def flags(config) -> set[str]:
    return {f.metadata["flag"] or "--" + f.name.replace("_", "-") for f in fields(config)}


OPTIONS = {
    "fetch": flags(FetchConfig) | {"--output", "--from", "--dry-run", "--json", "--force"},
    "ingest": flags(IngestConfig) | {"--output", "--force"},
    "info": {"--json", "--csv"},
    "convert": flags(ConvertConfig) | {"--output", "--force"},
    "reference": flags(ReferenceConfig) | DYNAMICS,
    "dataset": flags(DatasetConfig)
    | {"--data", "--material", "--run", "--output", "--force", "--json", "--csv"},
    "train": flags(TrainConfig) | {"--material", "--data", "--run", "--plot", "--force", "--json"},
    "evaluate": flags(EvaluateConfig) | RESULTS | {"--data", "--threads"},
    "audit": flags(AuditConfig)
    | {"--model", "--calculator", "--calculator-args", "--run", "--require", "--json"}
    | {"--csv", "--output", "--threads", "--force"},
    "simulate": flags(SimulateConfig) | DYNAMICS,
    "rdf": flags(RdfConfig) | RESULTS | {"--source", "--against", "--require"},
    "msd": flags(MsdConfig) | RESULTS | {"--source"},
    "conductivity": flags(ConductivityConfig) | RESULTS | {"--source", "--against"},
    "path": flags(PathConfig) | RESULTS | {"--source", "--against", "--density"},
    "plan": flags(PlanConfig) | {"--json", "--csv", "--run"},
    "verdict": {"--run", "--source", "--json", "--csv", "--require", "--force"},
    "report": {"--output", "--force"},
    "benchmark": {
        *("--profile", "--data", "--models", "--run", "--executor", "--cores", "--dry-run"),
    },
    "models": {"--json", "--csv"},
    "selftest": {"--seed", "--json", "--csv"},
}


def python(code: str, *args: object, **kwargs) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True, text=True, check=False, **kwargs,
    )  # fmt: skip


def test_every_command_is_tested() -> None:
    assert set(OPTIONS) == set(COMMANDS)


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_option(name, flag, capsys) -> None:
    assert run([name, flag]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith(f"Usage: mdbench {name} ")
    listed = set(re.findall(r"^ +(?:-\w, )?(--[a-z0-9-]+)", shown.out, re.MULTILINE))
    assert listed >= OPTIONS.get(name, set()) | {"--help"}
    if OPTIONS.get(name):
        assert listed == OPTIONS[name] | COMMON


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text_and_only_one_default(name) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_help_of_the_group(capsys) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z]", shown, re.MULTILINE)
    assert run([]) == 0
    assert capsys.readouterr().out == shown


HEAVY = ("torch", "pymatgen", "matplotlib", "h5py", "numba", "ase", "scipy", "pandas")


@pytest.mark.parametrize("args", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(args) -> None:
    code = (
        "import sys; from mdbench_cli.main import run; status = run(sys.argv[1:]);"
        f"print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr); sys.exit(status)"
    )
    done = python(code, *args)
    assert done.returncode == 0
    assert done.stderr == "[]\n"
    assert done.stdout.startswith("Usage: mdbench")


def test_version(capsys) -> None:
    assert run(["--version"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"mdbench {__version__}, torch ")
    assert ", h5py " in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["ingst"], ["unknown command 'ingst'", "did you mean ingest?"]),
        (["INFO", "x.h5"], ["unknown command 'INFO'", "did you mean info?"]),
        (["xyzzy"], ["unknown command 'xyzzy'", "known: "]),
        (["ingest"], ["SOURCES", "mdbench ingest --help"]),
        (["ingest", "a.xyz"], ["--output", "mdbench ingest --help"]),
        (["ingest", "a", "-o", "b", "--temprature", "3"], ["--temprature", "--temperature"]),
        (["info"], ["FILE"]),
        (["info", "a", "b"], ["b"]),
        (["convert", "a.h5"], ["--output"]),
        (["conductivty"], ["did you mean conductivity"]),
        (["conductivity", "a.h5", "--temp", "800"], ["--temp", "--temps"]),
        (["msd", "a.h5", "--charge", "1"], ["--charge"]),
        (["plan", "a.h5", "--plot", "a.png"], ["--plot"]),
        (["conductivity", "a.h5", "--against"], ["--against"]),
        (["simulate"], ["--calculator NAME"]),
        (["simulate", "--calculator", "refpot", "--engine", "gromacs"], ["--engine", "lammps"]),
        (["reference", "--start", "reference"], ["--start"]),
        (["reference", "--temps", "0"], ["--temps", "above 0 and below 1e6 K"]),
        (["reference", "--material", "lgsp"], ["did you mean lgps"]),
        (["reference", "--ensemble", "nosehover"], ["did you mean nose-hoover"]),
        (["reference", "--calculator", "refpto"], ["did you mean refpot"]),
        (["reference", "--threads", "0"], ["--threads"]),
        (["--nonsense"], ["--nonsense"]),
    ],
)
def test_usage(args, words, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(args) == 2
    assert not list(tmp_path.iterdir())
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("mdbench: error: ")
    assert shown.err.count("\n") == 1
    for word in words:
        assert word in shown.err


def test_debug_shows_the_traceback(tmp_path) -> None:
    code = "from mdbench_cli.main import main; main()"
    plain = python(code, "info", tmp_path / "none.h5")
    assert plain.returncode == 2
    assert plain.stderr == f"mdbench: error: {tmp_path / 'none.h5'}: no such file\n"
    shown = python(code, "info", tmp_path / "none.h5", "--debug")
    assert shown.returncode != 0
    assert "Traceback (most recent call last)" in shown.stderr
    assert "InputError" in shown.stderr


def test_a_bug_is_called_a_bug(monkeypatch, capsys, tmp_path) -> None:
    """What is not the user's to mend has a status of its own."""

    def broken(path, **_):
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("mdbench.stages.info.run", broken)
    assert run(["info", "a.h5"]) == 70
    shown = capsys.readouterr().err
    assert shown.startswith("mdbench: internal error, please report it: ZeroDivisionError: two")
    assert "--debug" in shown
    with pytest.raises(ZeroDivisionError):
        run(["info", "a.h5", "--debug"])


def test_interrupted(monkeypatch, capsys) -> None:
    def stopped(path, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mdbench.stages.info.run", stopped)
    assert run(["info", "a.h5"]) == 130
    assert "mdbench: interrupted\n" in capsys.readouterr().err


def test_main_exits_with_the_status(capsys) -> None:
    for args, status in ((["--help"], 0), (["ingst"], 2)):
        with pytest.raises(SystemExit) as caught:
            main(args)
        assert caught.value.code == status


@pytest.fixture
def trajectory(tmp_path):
    path = tmp_path / "run.h5"
    write_trajectory(path, little_run())
    return path


def test_results_go_to_stdout(trajectory, capsys) -> None:
    assert run(["info", str(trajectory), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["frames"] == 20
    assert shown.err == ""


@pytest.mark.parametrize("args", [["info"], ["info", "--json"], ["rdf", "--json"]])
def test_a_reader_that_goes_away(args, trajectory) -> None:
    """As in `mdbench info traj.h5 | head -0`: no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", "from mdbench_cli.main import main; main()", *args, str(trajectory)],
        stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.returncode == 0


def test_the_console_script(tmp_path) -> None:
    """The installed command, in a folder that has nothing to do with the project."""
    script = Path(sys.executable).with_name("mdbench")
    if not script.exists():
        pytest.skip("mdbench is not installed as a command here")
    done = subprocess.run(
        [script, "info", "none.h5"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mdbench: error: none.h5: no such file\n"


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """A folder that holds `run` with trajectories at three temperatures and one too cold."""
    for t in (700, 800, 1000, 1200):
        write_run(tmp_path / f"run/reference/walkers/{t}K-r0.h5", at(float(t)), t)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDBENCH_RUN", raising=False)
    return tmp_path


def test_conductivity_as_it_is_typed(run_folder) -> None:
    """The line of the brief, in a process of its own."""
    code = "from mdbench_cli.main import main; main()"
    done = python(code, "conductivity", "--temps", "800-1200", cwd=run_folder)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(\d+) ", done.stdout, re.MULTILINE)
    assert rows == ["800", "1000", "1200"]
    assert "sigma at 300 K" in done.stdout
    assert "note: run folder run: 4 trajectories" in done.stderr
    assert all(line.startswith("note: ") for line in done.stderr.splitlines())
    assert (run_folder / "run/observables/reference/walkers/conductivity.h5").is_file()


TRANSPORT = (
    ["msd"],
    ["msd", "--temps", "1000"],
    ["conductivity", "--temps", "800-1200"],
    ["conductivity", "--paper", "--at", "298"],
)


@pytest.mark.parametrize("args", TRANSPORT, ids=" ".join)
def test_json_is_one_document_and_nothing_else(args, run_folder, capsys) -> None:
    assert run([*args, "--json"]) == 0
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert shown.out.count("\n") == 1
    assert document["groups"][0]["source"] == "reference"
    if args[0] == "conductivity" and len(args) == 3:
        assert run(["plan", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["groups"][0]["material"] == "walkers"


@pytest.mark.parametrize("args", TRANSPORT, ids=" ".join)
def test_quiet_leaves_the_result(args, run_folder, capsys) -> None:
    assert run([*args, "--quiet"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "walkers" in shown.out


WRONG = {
    "no folder": ["--run", "nowhere"],
    "no file": ["none.h5"],
    "no match": ["none-*.h5"],
    "no such temperature": ["--temps", "300"],
    "temperatures of words": ["--temps", "hot"],
    "skip": ["--skip-ps", "1000"],
    "mobile": ["--mobile", "Na"],
    "stride": ["--stride", "0"],
    "too few frames": ["--stride", "20"],
    "estimator": ["--estimator", "best"],
    "figure": ["--plot", "figure.doc"],
    "folder that is a file": ["--csv", "file/table.csv"],
    "a folder as output": ["-o", "run"],
}


@pytest.mark.parametrize("command", ["msd", "conductivity"])
@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG)
def test_bad_input_is_one_line_and_nothing_is_written(command, options, run_folder, capsys) -> None:
    (run_folder / "file").write_text("")
    before = {*run_folder.rglob("*")}
    assert run([command, *options]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("mdbench: error: ")
    assert shown.err.count("\n") == 1
    assert {*run_folder.rglob("*")} == before


def test_ctrl_c_where_python_cannot_raise(monkeypatch, capsys) -> None:
    """A callback of a weak reference only prints what is raised in it, and the command goes on."""

    class Held:
        pass

    def interrupted(*_: object, **__: object) -> None:
        held = Held()
        kept = weakref.ref(held, lambda _: signal.raise_signal(signal.SIGINT))
        del held
        assert kept() is None
        time.sleep(30)

    monkeypatch.setattr(cli, "main", interrupted)
    assert run(["selftest"]) == 130
    assert capsys.readouterr().err == "mdbench: interrupted\n"
