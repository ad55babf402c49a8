"""What --model and --calculator name."""

import shutil

import pytest

from mdbench.errors import InputError
from mdbench.models import arguments_of, create, model_class, parse_name
from mdbench.stages.force_fields import resolve, torch_device
from mdbench.training.checkpoint import Checkpoint, all_arguments, save_checkpoint


def checkpoint(run, name, seed=0):
    """An untrained model in the run folder."""
    known = parse_name(name)
    arguments = all_arguments(model_class(known.architecture), arguments_of(known))
    model = create(known, seed=seed)
    folder = run / "models" / f"{known.folder}-s{seed}"
    save_checkpoint(
        folder, Checkpoint(model, known.text, seed, arguments, ("Li", "S"), {"Li-S": 2.0}, {})
    )
    return folder


def test_a_checkpoint_by_path_file_and_name(tmp_path):
    folder = checkpoint(tmp_path, "cgcnn-small:published")
    expected = resolve(model=str(folder), calculator=None)
    assert expected.source == "cgcnn-small@published-s0"
    assert expected.force_field.closest == {"Li-S": 2.0}
    assert expected.inputs[0].kind == "checkpoint"
    for name in (
        folder / "model.json",
        folder / "model.safetensors",
        "cgcnn-small:published",
        "cgcnn-small@published-s0",
    ):
        found = resolve(model=str(name), calculator=None, run_folder=tmp_path)
        assert (found.source, found.inputs) == (expected.source, expected.inputs)
        assert found.force_field.label == expected.force_field.label


def test_a_name_means_its_own_size_and_one_seed(tmp_path):
    checkpoint(tmp_path, "schnet-small")
    with pytest.raises(InputError, match="no trained schnet;"):
        resolve(model="schnet", calculator=None, run_folder=tmp_path)
    checkpoint(tmp_path, "schnet-small", seed=1)
    with pytest.raises(InputError, match="several seeds"):
        resolve(model="schnet-small", calculator=None, run_folder=tmp_path)
    found = resolve(model="schnet-small-s1", calculator=None, run_folder=tmp_path)
    assert found.source == "schnet-small-s1"


def test_weights_tell_models_of_one_name_apart(tmp_path):
    folder = checkpoint(tmp_path, "schnet-small")
    first = resolve(model=str(folder), calculator=None).force_field.label
    shutil.rmtree(folder)
    moved = checkpoint(tmp_path / "other", "schnet-small", seed=3)
    moved.rename(folder)
    assert resolve(model=str(folder), calculator=None).force_field.label != first


def test_untrained_models_and_calculators(tmp_path):
    found = resolve(model="schnet-small", calculator=None, untrained=True, seed=4)
    assert found.source == "schnet-small-s4-untrained"
    assert not found.force_field.closest
    assert resolve(model=None, calculator="refpot").source == "refpot"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "found neither"),
        ({"model": "schnet", "calculator": "refpot"}, "found both"),
        ({"model": "schnet", "calculator_args": "a=1"}, "--calculator-args"),
        ({"model": "schnet", "untrained": True, "device": "tpu"}, "auto, cpu or cuda"),
        ({"model": "no/such/folder"}, "no checkpoint"),
        ({"model": "skynet"}, "did you mean schnet"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path):
    with pytest.raises(InputError, match=message) as raised:
        resolve(**({"model": None, "calculator": None, "run_folder": tmp_path} | arguments))
    assert "\n" not in str(raised.value)


def test_devices():
    assert torch_device("cpu") == "cpu"
    assert torch_device("auto") in ("cpu", "cuda")
