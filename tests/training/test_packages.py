"""Checkpoints of models of other packages, and what strangers may say of a package."""

import json
import sys

import pytest
from mdbench_cli.main import run

from mdbench.errors import InputError
from mdbench.models import ModelName, arguments_of, create, model_class, parse_name
from mdbench.stages.force_fields import resolve
from mdbench.training.checkpoint import Checkpoint, all_arguments, load_checkpoint, save_checkpoint
from mdbench.training.packages import stated_claims, stated_model
from tests.installed import install, install_my_model, visible


def write(folder, text="my-model-small"):
    """A checkpoint of a model, in the folder models/ of a run folder."""
    name = parse_name(text)
    arguments = all_arguments(model_class(name.architecture), arguments_of(name))
    model = create(name, seed=5)
    target = folder / "models" / f"{name.folder}-s5"
    save_checkpoint(target, Checkpoint(model, text, 5, arguments, ("Li",), {}, {}))
    return target


def rewrite(folder, **changes):
    path = folder / "model.json"
    about = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in about.items() if v is not None}))


@pytest.fixture
def site(tmp_path):
    """The installed package."""
    return install_my_model(tmp_path / "site")


@pytest.fixture
def folder(site, tmp_path):
    """A checkpoint of its model."""
    with visible(site):
        return write(tmp_path)


PACKAGE = {"name": "my-model", "version": "1.0", "symmetry": "E(3)", "conservative": True}


def test_what_a_checkpoint_states(folder, tmp_path):
    about = json.loads((folder / "model.json").read_text())
    assert about["package"] == PACKAGE
    assert {path.name for path in folder.iterdir()} == {"model.json", "model.safetensors"}
    ours = json.loads((write(tmp_path, "schnet-small") / "model.json").read_text())
    assert "package" not in ours


def test_the_way_there_and_back(folder, site):
    with visible(site):
        found = load_checkpoint(folder)
        made = create(parse_name("my-model-small"), seed=5)
    assert (found.name, found.package) == ("my-model-small", "my-model 1.0")
    for name, tensor in made.state_dict().items():
        assert found.model.state_dict()[name].equal(tensor)


def test_another_version_is_in_the_label(folder, tmp_path):
    with visible(install_my_model(tmp_path / "later", "1.1")):
        found = resolve(model=str(folder), calculator=None, device="cpu")
    assert found.force_field.label.endswith(" (my-model 1.1, trained with 1.0)")
    assert found.source == "my-model-small-s5"


def test_random_weights_name_the_package_too(site):
    with visible(site):
        found = resolve(model="my-model", calculator=None, untrained=True, device="cpu")
    assert found.force_field.label == "my-model with random weights, seed 0 (my-model 1.0)"


@pytest.mark.parametrize("by_name", [False, True])
def test_where_the_package_is_not_installed(folder, tmp_path, monkeypatch, capsys, by_name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MDBENCH_RUN", str(tmp_path))
    model = "my-model-small" if by_name else str(folder)
    assert run(["simulate", "--model", model, "--material", "lgps"]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert "model my-model-small: expected the package my-model (1.0 trained it)" in shown.err
    assert shown.err.endswith("install my-model if you trust it\n")


def test_what_is_known_without_the_package(folder):
    about = json.loads((folder / "model.json").read_text())
    assert stated_model(about) == ModelName("my-model", "small")
    assert stated_claims(about) == ("E(3)", True)


def test_another_package_with_that_name(folder, tmp_path):
    site = install(tmp_path / "other", "other", {"my-model": "other:Model"}, "raise SystemExit")
    with (
        visible(site),
        pytest.raises(InputError, match=r"the package my-model .* found other 1\.0"),
    ):
        load_checkpoint(folder)
    assert "other" not in sys.modules


def test_the_package_need_not_be_written_alike(folder, site):
    rewrite(folder, package=PACKAGE | {"name": "My_Model"})
    with visible(site):
        assert load_checkpoint(folder).package == "my-model 1.0"


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (None, "expected the package that it is from, found none"),
        ("my-model", "package: expected its name, version"),
        ({}, "package: expected its name"),
        (PACKAGE | {"name": "my-model; rm"}, "package: expected its name"),
        (PACKAGE | {"name": "a\nb"}, "package: expected its name"),
        (PACKAGE | {"version": "1 \x1b[2J"}, "package: expected its name"),
        (PACKAGE | {"version": 1}, "package: expected its name"),
        (PACKAGE | {"symmetry": "all"}, "package: expected its name"),
        (PACKAGE | {"conservative": 1}, "package: expected its name"),
        (PACKAGE | {"name": "os"}, r"the package os \(1.0 trained it\), found my-model 1.0"),
    ],
)
def test_what_strangers_say_of_a_package(folder, site, package, message):
    rewrite(folder, package=package)
    with visible(site), pytest.raises(InputError, match=message) as caught:
        load_checkpoint(folder)
    assert "model.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", ["loud", "loud:Model", "loud.Model", "../loud", "os:system"])
def test_no_module_is_imported_because_a_file_says_so(folder, tmp_path, name):
    """What is importable but offered by nobody stays alone."""
    (tmp_path / "loud.py").write_text("raise SystemExit('imported')")
    rewrite(folder, name=name, package=PACKAGE | {"name": "loud"})
    with visible(tmp_path), pytest.raises(InputError):
        load_checkpoint(folder)
    assert "loud" not in sys.modules


def test_a_model_of_ours_that_is_said_to_be_anothers(tmp_path):
    folder = write(tmp_path, "schnet-small")
    rewrite(folder, package=PACKAGE)
    with pytest.raises(InputError, match="found one of mdbench itself"):
        load_checkpoint(folder)
