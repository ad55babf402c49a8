import pytest
from mdbench_workflows.entries import control, read_entries

from mdbench.errors import InputError
from mdbench.models import MODELS


def entries(*texts):
    return read_entries(texts, size="small", seed=3)


def test_kinds() -> None:
    found = entries("SchNet", "cgcnn:published", "chgnet", "my_module:Calc")
    assert [e.kind for e in found] == ["trained", "trained", "calculator", "calculator"]
    assert [e.source for e in found] == [
        "schnet-s3", "cgcnn@published-s3", "chgnet", "my_module.Calc"
    ]  # fmt: skip
    assert [e.option for e in found[1:3]] == [
        ("--model", "models/cgcnn@published-s3"), ("--calculator", "chgnet")
    ]  # fmt: skip
    assert [e.architecture for e in found] == ["schnet", "cgcnn", "chgnet", "my_module:Calc"]


def test_all_are_all_of_that_size() -> None:
    assert [e.name for e in entries("all")] == [f"{name}-small" for name in MODELS]
    assert [e.architecture for e in entries("all")] == [f"{name}-small" for name in MODELS]


def test_pairs_are_the_models_with_a_published_variant() -> None:
    found = [e.name for e in entries("pairs")]
    assert found[:2] == ["cgcnn-small", "cgcnn-small:published"]
    assert "schnet-small" not in found
    assert found[1::2] == [f"{name}:published" for name in found[::2]]


def test_the_control() -> None:
    assert control("refpot").control
    assert control("refpot").option == ("--calculator", "refpot")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["shnet"], "did you mean schnet"),
        (["schnet", "SCHNET"], "twice"),
        ([], "no force fields"),
        (["schnet:published"], "no published variant"),
        (["cgcnn:publisht"], "cgcnn:published"),
        (["no/such/model.json"], "model.json"),
    ],
)
def test_refused(texts, message) -> None:
    with pytest.raises(InputError, match=message):
        entries(*texts)
