"""Checkpoints: the way there and back, and what strangers may send."""

import hashlib
import json
import shutil
from contextlib import suppress

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from mdbench.errors import InputError
from mdbench.graph import build_graph
from mdbench.models import MODELS, arguments_of, create, model_class, parse_name
from mdbench.training.checkpoint import (
    Checkpoint,
    all_arguments,
    load_checkpoint,
    pair_names,
    save_checkpoint,
)
from tests.training.little import CELL, NUMBERS, SITES


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a checkpoint."""
    name = parse_name("schnet-small")
    model = create(name, seed=3)
    model.energy_scale.fill_(0.9)
    model.energy_shifts[16] = -4.0
    folder = tmp_path_factory.mktemp("made") / "schnet-small-s3"
    arguments = all_arguments(model_class(name.architecture), arguments_of(name))
    closest = {"Li-S": 2.1, "S-S": 3.0}
    checkpoint = Checkpoint(
        model, name.text, 3, arguments, ("Li", "S"), closest, {"n_steps": 7, "budget_s": 1.5}
    )
    save_checkpoint(folder, checkpoint)
    return folder, checkpoint


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "copy")


def rewrite(folder, **changes):
    """Other entries of model.json; None removes one."""
    path = folder / "model.json"
    about = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in about.items() if v is not None}))


def reweigh(folder, change):
    """Other tensors, with the right checksum."""
    about = json.loads((folder / "model.json").read_text())
    tensors = load_checkpoint(folder).model.state_dict()
    change(tensors)
    content = save({k: v.contiguous() for k, v in tensors.items()})
    (folder / "model.safetensors").write_bytes(content)
    rewrite(folder, **about | {"sha256": hashlib.sha256(content).hexdigest()})


def refused(folder, *words):
    with pytest.raises(InputError) as caught:
        load_checkpoint(folder)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_the_way_there_and_back(made):
    folder, known = made
    for path in (folder, folder / "model.json"):
        found = load_checkpoint(path)
        for field in ("name", "seed", "arguments", "elements", "closest", "training"):
            assert getattr(found, field) == getattr(known, field)
        assert not found.model.training
        graph = build_graph(NUMBERS, SITES @ CELL, CELL, found.model.cutoff)
        for ours, theirs in zip(
            known.model.predict(graph), found.model.predict(graph), strict=True
        ):
            assert torch.equal(ours, theirs)
    assert {p.name for p in folder.iterdir()} == {"model.json", "model.safetensors"}
    assert known.arguments["n_channels"] == 32
    assert known.arguments["max_neighbors"] == 500


def test_loading_leaves_random_numbers_alone(made):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    load_checkpoint(made[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_pairs_that_never_met_have_no_distance():
    closest = [1.5, 2.0, float("inf"), 3.0]
    assert pair_names(["S", "Li"], closest) == {"S-S": 1.5, "Li-S": 2.0, "Li-Li": 3.0}


def test_nothing_there(tmp_path):
    refused(tmp_path / "none", "no checkpoint")
    refused(tmp_path, "model.json", "no such file")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "no checkpoint", "a folder")


ABOUT: dict = {
    "another kind": ({"kind": "dataset"}, "no checkpoint of mdbench"),
    "another schema": ({"schema": 2}, "schema 2", "train again"),
    "unknown model": ({"name": "schnett-small"}, "did you mean schnet"),
    "no name": ({"name": None}, "name"),
    "a name of numbers": ({"name": 3}, "name"),
    "no arguments": ({"arguments": {}}, "hyper-parameters"),
    "no elements": ({"elements": []}, "elements"),
    "elements": ({"elements": ["Li", "Xx"]}, "elements"),
    "unhashable elements": ({"elements": [["Li"]]}, "elements"),
    "closest": ({"closest": {"S-Li": 2.0}}, "S-Li"),
    "closest of nothing": ({"closest": {"Li-S": 0.0}}, "Li-S"),
    "closest text": ({"closest": {"Li-S": "2"}}, "Li-S"),
    "seed": ({"seed": "0"}, "seed"),
    "training": ({"training": []}, "training"),
    "checksum": ({"sha256": "0" * 64}, "damaged", "sha256 0000"),
    "no checksum": ({"sha256": None}, "sha256"),
}


@pytest.mark.parametrize("case", ABOUT.values(), ids=ABOUT)
def test_what_the_description_may_not_say(folder, case):
    changes, *words = case
    rewrite(folder, **changes)
    refused(folder, *words)


ARGUMENTS = {
    "wide": {"n_channels": 10**9},
    "deep": {"n_layers": 10**9},
    "many elements": {"n_elements": 10**12},
    "negative": {"n_layers": -1},
    "real": {"n_channels": 32.5},
    "true": {"n_channels": True},
    "text": {"cutoff": "5"},
    "nothing": {"cutoff": None},
    "infinite": {"cutoff": float("inf")},
    "nan": {"cutoff": float("nan")},
    "no such envelope": {"envelope": "__import__('os').system('true')"},
    "one function": {"n_basis": 1},
    "another width": {"n_channels": 64},
    "unknown": {"n_heads": 3},
}


@pytest.mark.parametrize("change", ARGUMENTS.values(), ids=ARGUMENTS)
def test_hyper_parameters_of_strangers(folder, change):
    """Refused before memory is taken: 10^9 channels would be 4 EB."""
    known = json.loads((folder / "model.json").read_text())["arguments"]
    rewrite(folder, arguments=known | change)
    refused(folder, "n_layers" if "n_heads" in change else "")


def without(tensors):
    tensors.pop("readout.0.weight")


def with_more(tensors):
    tensors["more"] = torch.zeros(3)


def of_another_shape(tensors):
    tensors["readout.0.weight"] = torch.zeros(16, 33)


def of_another_type(tensors):
    tensors["readout.0.weight"] = torch.zeros(16, 32, dtype=torch.float16)


def not_finite(tensors):
    tensors["readout.0.weight"] = torch.full((16, 32), torch.nan)


def without_scale(tensors):
    tensors["energy_scale"] = torch.zeros(())


@pytest.mark.parametrize(
    "change, words",
    [
        (without, "lack 'readout.0.weight'"),
        (with_more, "have 'more'"),
        (of_another_shape, "(16, 33)"),
        (of_another_type, "float16"),
        (not_finite, "readout.0.weight has NaN or inf"),
        (without_scale, "energy_scale"),
    ],
)
def test_weights_of_another_model(folder, change, words):
    reweigh(folder, change)
    refused(folder, "model.safetensors", words)


@pytest.mark.parametrize(
    "content", [b"", b"abc", b"\xff" * 64, (2**62).to_bytes(8, "little") + b"{}" * 40]
)
def test_weights_that_are_none(folder, content):
    """With the right checksum, so that the content is looked at."""
    (folder / "model.safetensors").write_bytes(content)
    rewrite(folder, sha256=hashlib.sha256(content).hexdigest())
    refused(folder, "model.safetensors", "safetensors")


def test_deep_json(folder):
    (folder / "model.json").write_text("[" * 200_000)
    refused(folder, "damaged or no JSON")


def test_large_json(folder):
    (folder / "model.json").write_text(" " * (2 << 20))
    refused(folder, "too large")


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(["model.json", "model.safetensors"]),
    place=st.floats(0.0, 1.0, exclude_max=True),
    bit=st.integers(0, 7),
    cut=st.booleans(),
    honest=st.booleans(),
)
def test_damage_is_one_line_or_harmless(made, folder, name, place, bit, cut, honest):
    """Cut or with a flipped bit; `honest`: with the checksum of the damaged weights."""
    for file in made[0].iterdir():
        shutil.copy(file, folder)
    path = folder / name
    content = bytearray(path.read_bytes())
    at = int(place * len(content))
    if cut:
        del content[at:]
    else:
        content[at] ^= 1 << bit
    path.write_bytes(content)
    if honest and name == "model.safetensors":
        rewrite(folder, sha256=hashlib.sha256(content).hexdigest())
    with suppress(InputError):
        model = load_checkpoint(folder).model
        assert all(torch.isfinite(v).all() for v in model.state_dict().values())


@pytest.mark.parametrize("text", [*MODELS, *(f"{model}-small" for model in MODELS)])
def test_every_model_can_be_kept(text, tmp_path):
    names = [parse_name(text)]
    if model_class(names[0].architecture).PUBLISHED:
        names.append(parse_name(f"{text}:published"))
    for name in names:
        model, cls = create(name, seed=1), model_class(name.architecture)
        arguments = all_arguments(cls, arguments_of(name))
        save_checkpoint(tmp_path, Checkpoint(model, name.text, 1, arguments, ("Li",), {}, {}))
        found = load_checkpoint(tmp_path).model.state_dict()
        assert all(torch.equal(v, found[k]) for k, v in model.state_dict().items())
