"""Normalization and loss against sums that are written out."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mdbench.errors import InputError
from mdbench.models import create, parse_name
from mdbench.models.base import Prediction
from mdbench.training.loss import loss_of, normalization, normalize, shift_correction
from mdbench.training.settings import DEFAULT, PAPER
from tests.training.little import frame_set, samples

OTHER = np.array([3, 16, 16, 16])


@pytest.fixture(scope="module")
def two():
    return [samples(6), samples(3, seed=1, numbers=OTHER)]


def test_scale_is_the_rms_of_force_components(two):
    forces = np.concatenate([part.forces.ravel() for part in two])
    scale, _ = normalization(two, 100)
    assert_allclose(scale, np.sqrt(np.mean(forces**2)), rtol=1e-12, atol=0)


def test_shifts_are_least_squares_over_all_frames(two):
    counts, energies = [], []
    for part in two:
        for energy in part.energies:
            counts.append([(part.atomic_numbers == z).sum() for z in range(100)])
            energies.append(energy)
    expected = np.linalg.pinv(np.array(counts, dtype=float)) @ energies
    shifts = normalization(two, 100).energy_shifts
    assert_allclose(shifts[[3, 16]], expected[[3, 16]], rtol=1e-9, atol=0)
    assert (np.abs(shifts[[0, 1, 15, 17]]) < 1e-12).all()


def test_one_composition_gives_the_smallest_shifts(two):
    """Li2S2: both elements take the same."""
    shifts = normalization(two[:1], 100).energy_shifts
    mean = two[0].energies.mean() / 4.0
    assert_allclose(shifts[[3, 16]], [mean, mean], rtol=1e-9, atol=0)


def test_forces_of_nothing(two):
    still = type(two[0])(**{**vars(two[0]), "forces": np.zeros((6, 4, 3))})
    with pytest.raises(InputError, match=r"^forces of the training frames: .*found all 0"):
        normalization([still], 100)


@pytest.mark.parametrize("settings", [DEFAULT, PAPER], ids=["ours", "paper"])
def test_loss_is_the_sum_written_out(two, settings):
    data = frame_set(two)
    model = create(parse_name("schnet-small"))
    normalize(model, normalization(two, 100))
    batch = data.batch([0, 7, 8])
    made = model.predict(batch.graph)
    total = 0.0
    for s in range(3):
        error = float(made.energies[s] - batch.energies[s]) / float(model.energy_scale)
        total += (error / (4 if settings.per_atom else 1)) ** 2 / 3
    for component in (made.forces - batch.forces).double().flatten().tolist():
        total += 1000.0 * (component / float(model.energy_scale)) ** 2 / 36
    n = {"n_systems": 3, "n_atoms": 12}
    found = loss_of(made, batch, settings, model.energy_scale, **n)
    assert_allclose(float(found), total, rtol=1e-5, atol=0)
    pieces = [data.batch([k]) for k in (0, 7, 8)]
    added = [
        float(loss_of(model.predict(b.graph), b, settings, model.energy_scale, **n)) for b in pieces
    ]
    assert_allclose(sum(added), total, rtol=1e-5, atol=0)


def test_correction_takes_the_mean_error_away(two):
    batch = frame_set(two[:1]).batch([0, 1, 2])
    rng = np.random.default_rng(0)
    wrong = batch.energies + torch.tensor(rng.normal(3.0, 1.0, 3))
    made = Prediction(wrong, batch.forces, torch.zeros(3, 3, 3))
    change = shift_correction(made, batch, 100) / 3
    corrected = wrong + 2 * change[3] + 2 * change[16]
    assert abs(float((corrected - batch.energies).mean())) < 1e-5
    assert not change[[0, 2, 4, 15]].any()
    other = frame_set(two).batch([7])  # LiS3: three times as much from sulfur
    made = Prediction(other.energies - 1.0, other.forces, torch.zeros(1, 3, 3))
    change = shift_correction(made, other, 100)
    assert_allclose(change[[3, 16]], [0.1, 0.3], rtol=1e-5, atol=0)
