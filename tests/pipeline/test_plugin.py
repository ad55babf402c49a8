"""A model from another package, from its installation to the report."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mdbench_cli.main import run
from mdbench_workflows.entries import read_entries

from mdbench.errors import InputError
from mdbench.stages.report_models import read_models
from tests.installed import GROUP, PLUGIN, install, install_my_model, visible
from tests.stages.test_train import write_data

ROOT = PLUGIN.parent.parent
PAGE = ROOT / "docs/howto/my-model.md"
NAME = "my-model-small"
SOURCE = f"{NAME}-s0"


def mdbench(*arguments: object, folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own, with packages on its path."""
    code = "from mdbench_cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(path), str(ROOT)))},
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


TRAIN = ["train", "--material", "salt", "--model", NAME, "--budget", "1s"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the package of the documentation."""
    return install_my_model(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def trained(site, tmp_path_factory):
    """A run folder with a model of the package, trained for some steps."""
    folder = write_data(tmp_path_factory.mktemp("run"))
    with visible(site):
        assert run([*TRAIN, "--run", str(folder)]) == 0
    return folder


def asked(arguments, capsys):
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_documentation_shows_this_package():
    text = PAGE.read_text()
    for name, form in (("my_model.py", "python"), ("pyproject.toml", "toml")):
        assert f"```{form}\n{(PLUGIN / name).read_text()}```" in text
    test = (PLUGIN / "test_my_model.py").read_text()
    assert f'```python title="test_my_model.py"\n{test}```' in text


def test_it_trains(trained):
    about = json.loads((trained / "models" / SOURCE / "model.json").read_text())
    assert about["package"]["name"] == "my-model"
    assert about["training"]["n_steps"] > 0
    assert about["training"]["settings"]["package"] == "my-model 1.0"


def test_it_is_evaluated_audited_simulated_and_reported(trained, site, capsys):
    folder, place = trained, ["--run", str(trained)]
    with visible(site):
        found = asked(["evaluate", *place, "--model", NAME], capsys)
        assert found["forces"]["mae"]["value"] > 0.0
        found = asked(
            ["audit", *place, "--model", NAME, "--material", "salt", "--require", "claimed"], capsys
        )
        assert found["passed"]
        assert re.search(r"weights [0-9a-f]{8} \(my-model 1\.0\)$", found["force_field"])
        length = ["--temps", "100", "--replicas", "1", "--ps", "0.04", "--ramp-ps", "0"]
        asked(["simulate", *place, "--model", NAME, "--material", "salt", *length], capsys)
    models, _ = read_models(folder)  # without the package
    assert [(m.source, m.symmetry, m.conservative) for m in models.trained] == [
        (SOURCE, "E(3)", True)
    ]
    assert [audit.source for audit in models.audits] == [SOURCE]
    with pytest.raises(InputError, match="the package my-model"):
        read_entries([str(folder / "models" / SOURCE)], size="small", seed=0)


def test_another_version_does_not_go_on(trained, tmp_path, capsys):
    with visible(install_my_model(tmp_path / "later", "1.1")):
        assert run([*TRAIN, "--run", str(trained)]) == 2
    said = capsys.readouterr().err
    assert "package = my-model 1.0, not my-model 1.1; --force trains anew" in said


def test_it_stands_in_a_benchmark(trained, site, tmp_path, capsys):
    potential = install(
        tmp_path / "more",
        "my-potential",
        {"my-potential": "my_potential:make"},
        group="mdbench.calculators",
    )
    names = ["My_Model-small", "my-potential", str(trained / "models" / SOURCE)]
    with visible(site, potential):
        model, calculator, checkpoint = read_entries(names, size="small", seed=3)
        with pytest.raises(InputError, match=r"did you mean my-model-small"):
            read_entries(["my-modl-small"], size="small", seed=3)
        assert "my-model" not in {e.architecture for e in read_entries(["all"], size="x", seed=0)}
        target = tmp_path / "bench"
        ask = ["benchmark", "--profile", "smoke", "--dry-run", "--run", str(target)]
        assert run([*ask, "--models", NAME]) == 0
    assert f"mdbench train --run . --model {NAME} " in capsys.readouterr().out
    assert (model.kind, model.source) == ("trained", "my-model-small-s3")
    assert (model.package, model.architecture) == ("my-model 1.0", NAME)
    assert calculator.option == ("--calculator", "my-potential")
    assert (checkpoint.kind, checkpoint.source) == ("checkpoint", SOURCE)
    with pytest.raises(InputError, match="force field 'my-model-small'"):
        read_entries([NAME], size="small", seed=3)


def test_a_broken_package_is_said_before_a_benchmark(tmp_path, capsys):
    site = install(tmp_path / "site", "broken", {"broken": "broken:Model"}, "raise SystemExit")
    ask = ["benchmark", "--profile", "smoke", "--dry-run", "--run", str(tmp_path / "run")]
    with visible(site):
        assert run([*ask, "--models", "broken,schnet-small"]) == 2
        assert "broken 1.0: model broken: importing" in capsys.readouterr().err
        assert run([*ask, "--models", "schnet-small"]) == 0


def test_nothing_is_imported_for_those_who_do_not_ask(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "import pathlib; pathlib.Path('imported').touch()\nraise SystemExit"
    site = install(tmp_path / "site", "loud", {"loud": "loud:Model"}, code)
    done = mdbench("--help", folder=tmp_path, path=site)
    assert (done.returncode, done.stderr) == (0, "")
    with visible(site):
        assert run(["train", "--budget", "1s", "--model", "loudd"]) == 2
        assert "did you mean loud?" in capsys.readouterr().err
        assert "loud" not in sys.modules
    assert not (tmp_path / "imported").exists()


@pytest.mark.slow
def test_pip_installs_it(tmp_path):
    """With the real tools: wheel, metadata, entry point."""
    target = tmp_path / "target"
    source = tmp_path / "source"
    source.mkdir()
    for name in ("my_model.py", "pyproject.toml"):
        (source / name).write_text((PLUGIN / name).read_text())
    options = ("--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--target", target)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *map(str, options), str(source)], check=True
    )
    done = mdbench("models", "--json", folder=tmp_path, path=target)
    assert (done.returncode, done.stderr) == (0, "")
    (entry,) = [each for each in json.loads(done.stdout) if each["package"]]
    assert (entry["name"], entry["package"]) == ("my-model", "my-model 1.0")
    done = mdbench("audit", "--model", NAME, "--require", "claimed", folder=tmp_path, path=target)
    assert done.returncode == 0, done.stderr
    assert GROUP in (target / "my_model-1.0.dist-info/entry_points.txt").read_text()
