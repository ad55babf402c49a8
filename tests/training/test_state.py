"""States of trainings that damage made something else."""

import json

import numpy as np
import pytest

from mdbench.errors import InputError
from mdbench.training.state import read_state
from mdbench.training.tensor_files import packed
from tests.fuzz import seeds
from tests.fuzz.readers import read_training_state


@pytest.mark.parametrize("counters", [7, None, "x", [1]])
def test_counters_that_are_none(tmp_path, counters):
    path = tmp_path / "training.state"
    path.write_bytes(packed({}, {"schema": 1, "settings": {}, "counters": counters}))
    with pytest.raises(InputError, match="the training of another version") as caught:
        read_state(path, {})
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [{"elapsed_s": np.nan}, {"elapsed_s": -1.0}, {"elapsed_s": np.inf}, {"step": -3},
     {"norm": 10**400}],
)  # fmt: skip
@pytest.mark.slow
def test_time_and_steps_that_no_training_takes(tmp_path, changed):
    """With a time that is no number a budget would never be spent."""
    path = tmp_path / "training.state"
    content = seeds.training_state()[0]["training.state"]
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    known = json.loads(header["__metadata__"]["mdbench"])
    known["counters"] |= changed
    header["__metadata__"]["mdbench"] = json.dumps(known)
    text = json.dumps(header).encode()
    path.write_bytes(content)
    read_training_state(path, 0)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    with pytest.raises(InputError, match="damaged state of a training"):
        read_training_state(path, 0)
