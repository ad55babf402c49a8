"""Records of tasks as strangers could have written them."""

import dataclasses
import json

import pytest

from mdbench.errors import InputError
from mdbench.records import Record, read_record, write_record

RECORD = Record(
    "train", "a-s0", "a-s0", [["train", "--model", "a"]], "failed", "why", "2026-01-01T00:00Z",
    1.0, 2, None, "h", "a CPU", "f",
)  # fmt: skip


def test_a_record_comes_back(tmp_path):
    path = tmp_path / "jobs/train/a-s0.json"
    write_record(path, RECORD)
    assert read_record(path) == RECORD


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "x"}, {"state": []}, {"name": 1}, {"stage": None}, {"host": {}},
        {"source": ["a"]}, {"message": 5}, {"commands": "train"}, {"commands": [7]},
        {"commands": [[None]]},
        {"seconds": "1"}, {"cpu_s": float("nan")}, {"gpu_s": float("inf")}, {"gpu_s": 10**400},
        {"seconds": True}, {"other": 1},
    ],
)  # fmt: skip
def test_values_of_other_types_are_damage(tmp_path, changed):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(dataclasses.asdict(RECORD) | changed))
    with pytest.raises(InputError, match="damaged record of a task") as caught:
        read_record(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[", "7", "[" * 100_000, '{"a": ' * 5000])
def test_what_is_no_record(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError, match="damaged record of a task"):
        read_record(path)
