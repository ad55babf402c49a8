"""Samples, and the hashes that tell frames apart."""

import hashlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mdbench.errors import InputError
from mdbench.samples import Samples, frame_hashes, label_hashes

N_FRAMES, N_ATOMS = 5, 3


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "atomic_numbers": np.array([3, 15, 16], dtype=np.int32),
        "positions": rng.normal(size=(N_FRAMES, N_ATOMS, 3)).astype(np.float32),
        "cells": np.tile(np.diag([5.0, 6.0, 7.0]), (N_FRAMES, 1, 1)),
        "energies": rng.normal(size=N_FRAMES),
        "forces": rng.normal(size=(N_FRAMES, N_ATOMS, 3)),
        "temperatures_k": np.full(N_FRAMES, 800.0),
        "runs": np.array([0, 0, 1, 1, 1]),
        "frames": np.array([3, 7, 0, 1, 2]),
    }


def test_samples_are_frozen_and_in_double_precision():
    samples = Samples("lgps", **arrays())
    assert (len(samples), samples.n_atoms) == (N_FRAMES, N_ATOMS)
    assert samples.positions.dtype == np.float64
    assert samples.atomic_numbers.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        samples.forces[0] = 0.0


@pytest.mark.parametrize("index", [[4, 0, 2], [True, False, False, True, True], []])
def test_a_selection_keeps_its_order(index):
    known = arrays()
    chosen = Samples("lgps", **known).select(index)
    assert chosen.material == "lgps"
    rows = [k for k in range(N_FRAMES) if index[k]] if True in index else list(index)
    for name, values in known.items():
        expected = values if name == "atomic_numbers" else values[np.array(rows, dtype=int)]
        assert_array_equal(getattr(chosen, name), expected)


@pytest.mark.parametrize("name", sorted(arrays()))
def test_shapes_that_do_not_fit_are_refused(name):
    known = arrays()
    known[name] = known[name][:-1]
    with pytest.raises(InputError, match="expected shape"):
        Samples("lgps", **known)


@pytest.mark.parametrize("name", ["positions", "cells", "energies", "forces"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(name, value):
    known = arrays()
    known[name][3] = value
    with pytest.raises(InputError, match=f"{name} of sample 3: expected finite"):
        Samples("lgps", **known)


def test_an_unknown_temperature_is_no_error():
    known = arrays()
    known["temperatures_k"][:2] = np.nan
    assert np.isnan(Samples("lgps", **known).temperatures_k).sum() == 2


def test_no_atoms_are_refused():
    known = arrays()
    known["positions"] = known["positions"][:, :0]
    with pytest.raises(InputError, match="at least one atom"):
        Samples("lgps", **known)
    known["positions"] = np.zeros((4, 3))
    with pytest.raises(InputError, match=r"expected \(frames, atoms, 3\)"):
        Samples("lgps", **known)


def test_hashes_by_their_definition():
    known = arrays()
    numbers, positions, cells = (known[n] for n in ("atomic_numbers", "positions", "cells"))
    for frame, found in enumerate(frame_hashes(numbers, positions, cells)):
        content = b"".join(
            np.array(values, dtype=kind).tobytes()
            for values, kind in ((numbers, "<i8"), (positions[frame], "<f4"), (cells[frame], "<f4"))
        )
        assert int(found) == int.from_bytes(hashlib.sha256(content).digest()[:8], "little")
    for frame, found in enumerate(label_hashes(known["energies"], known["forces"])):
        energy = np.array(known["energies"][frame], dtype="<f8").tobytes()
        content = energy + known["forces"][frame].astype("<f4").tobytes()
        assert int(found) == int.from_bytes(hashlib.sha256(content).digest()[:8], "little")


def test_hashes_do_not_depend_on_precision_or_layout():
    known = arrays()
    numbers, positions, cells = (known[n] for n in ("atomic_numbers", "positions", "cells"))
    expected = frame_hashes(numbers, positions, cells)
    assert_array_equal(frame_hashes(numbers, positions.astype(np.float64), cells), expected)
    strided = np.asfortranarray(positions)[::2]
    assert_array_equal(frame_hashes(numbers.tolist(), strided, cells[::2]), expected[::2])


@pytest.mark.parametrize("name", ["atomic_numbers", "positions", "cells"])
def test_any_change_shows_in_the_hash(name):
    known = arrays()
    before = frame_hashes(known["atomic_numbers"], known["positions"], known["cells"])
    known[name].reshape(-1)[0] += 1
    after = frame_hashes(known["atomic_numbers"], known["positions"], known["cells"])
    assert before[0] != after[0]
    assert (before[1:] == after[1:]).all() == (name != "atomic_numbers")


def test_frames_without_number_have_no_hashes():
    found = frame_hashes([3], np.empty((0, 1, 3)), np.empty((0, 3, 3)))
    assert (found.shape, found.dtype) == ((0,), np.uint64)
