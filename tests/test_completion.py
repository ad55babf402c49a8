"""What shells are offered, by the variables with which they ask."""

import subprocess
import sys

import pytest
from mdbench_cli import completion
from mdbench_cli.main import run

from mdbench.config import SAMPLINGS
from mdbench.models import MODELS
from tests.test_cli import HEAVY


@pytest.fixture
def offered(capsys, monkeypatch, tmp_path):
    """Asks as a shell does, in an empty folder; what bash would be told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDBENCH_RUN", raising=False)
    monkeypatch.setenv("_MDBENCH_COMPLETE", "bash_complete")

    def ask(line):
        words = line.split(" ")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        assert run([]) == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        kinds = [item.split(",", 1) for item in shown.out.splitlines()]
        return [f"<{kind}>" if kind != "plain" else value for kind, value in kinds]

    return ask


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mdbench con", ["convert", "conductivity"]),
        ("mdbench train --model sch", ["schnet", "schnet-small"]),
        ("mdbench train --model SCN", ["scn", "scn-small"]),
        ("mdbench simulate --calculator s", ["sevennet"]),
        ("mdbench audit --calculator ref", ["refpot"]),
        ("mdbench audit --material li3", ["li3ps4"]),
        ("mdbench simulate --material g", ["gamma-li3ps4"]),
        ("mdbench simulate --engine a", ["ase"]),
        ("mdbench dataset --sampling ", list(SAMPLINGS)),
        ("mdbench benchmark --profile sm", ["smoke"]),
        ("mdbench benchmark --executor ", ["local", "slurm"]),
        ("mdbench benchmark --models schnet,ref", ["schnet,refpot"]),
        ("mdbench rdf --require ", ["stable"]),
        ("mdbench evaluate --model ./a", ["<file>"]),
        ("mdbench evaluate --model nothing", ["<file>"]),
        ("mdbench simulate --material my", ["<file>"]),
        ("mdbench ingest x", ["<file>"]),
        ("mdbench fetch argy", ["argyrodite"]),
        ("mdbench msd tr", ["<file>"]),
    ],
)
def test_words_of_the_package(line, expected, offered):
    assert offered(line) == expected


def test_every_model_is_offered(offered):
    found = offered("mdbench train --model ")
    assert set(found) >= {*MODELS, *(f"{name}-small" for name in MODELS)}


def test_files_of_mdbench(offered, tmp_path):
    for name in ("traj-1.h5", "traj-2.h5", "traj.xyz", "other.h5"):
        (tmp_path / name).touch()
    for line in ("rdf tr", "msd other.h5 tr", "info tr", "rdf other.h5 --against tr"):
        assert offered(f"mdbench {line}") == ["traj-1.h5", "traj-2.h5"]
    assert offered("mdbench evaluate --data oth") == ["other.h5"]
    (tmp_path / "trajectories").mkdir()
    assert offered("mdbench rdf tr") == ["<file>"]  # there is a folder to look into


def test_names_of_a_run_folder(offered, tmp_path, monkeypatch):
    for place in ("models/schnet-small-s0", "rollouts/schnet-small-s0", "reference/mine"):
        (tmp_path / "elsewhere" / place).mkdir(parents=True)
    assert offered("mdbench simulate --model schnet-small-s") == ["<file>"]
    asked = "--run elsewhere"
    assert offered(f"mdbench simulate {asked} --model schnet-small-s") == ["schnet-small-s0"]
    assert offered(f"mdbench train {asked} --model schnet-small-s") == ["<file>"]
    assert offered(f"mdbench rdf {asked} --source ") == ["reference", "schnet-small-s0"]
    assert offered(f"mdbench dataset {asked} --material m") == ["mine"]
    monkeypatch.setenv("MDBENCH_RUN", "elsewhere")
    assert offered("mdbench verdict --source s") == ["schnet-small-s0"]


@pytest.mark.parametrize(
    ("shell", "word", "answer"),
    [
        ("bash", "3", "plain,schnet\nplain,schnet-small\n"),
        ("zsh", "3", "plain\nschnet\n_\nplain\nschnet-small\n_\n"),
        ("fish", "sch", "plain,schnet\nplain,schnet-small\n"),
    ],
)
def test_shells(shell, word, answer, monkeypatch, capsys):
    monkeypatch.setenv("_MDBENCH_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "mdbench train --model sch")
    monkeypatch.setenv("COMP_CWORD", word)
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert shown == answer


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_for_shells(shell, monkeypatch, capsys):
    """That for bash asks the bash that is installed for its version."""
    monkeypatch.setenv("_MDBENCH_COMPLETE", f"{shell}_source")
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert "_MDBENCH_COMPLETE" in shown
    assert "mdbench" in shown


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("mdbench train --model sch", ()),
        ("mdbench benchmark --profile ", ()),
        ("mdbench rdf --source ", ()),
        ("mdbench fetch a", ()),
        ("mdbench simulate --calculator ", ("ase", "numpy", "scipy")),
        ("mdbench simulate --material ", ("ase", "numpy", "scipy")),
    ],
)
def test_nothing_heavy_is_imported_for_an_answer(line, allowed, tmp_path):
    code = (
        "import sys; from mdbench_cli.main import run; run([]);"
        f"print([m for m in {HEAVY} if m in sys.modules and m not in {allowed}], file=sys.stderr)"
    )
    known = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"_MDBENCH_COMPLETE": "bash_complete", **known},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[]\n"


def test_settings_that_are_offered_are_accepted():
    """Words of the completion are those that the settings take."""
    from mdbench import config

    known = {"estimator": config.ESTIMATORS, "smoothing": config.SMOOTHINGS, "sampling": SAMPLINGS}
    for name, accepted in known.items():
        items = completion.SETTINGS[name](None, None, "")
        assert tuple(item.value for item in items) == accepted
    for name in ("split", "engine", "start", "device", "precision"):
        for item in completion.SETTINGS[name](None, None, ""):
            for settings in (config.EvaluateConfig, config.SimulateConfig, config.AuditConfig):
                if name in settings.__dataclass_fields__:
                    settings(**{name: item.value})
