"""Every model in every size and variant keeps the contract, but for the faults that are meant."""

import numpy as np
import pytest
import torch

from mdbench.models import MODELS, create, model_class, parse_name
from mdbench.models.base import DirectModel
from mdbench.potentials.materials import material
from mdbench.testing import CHECKS, EXACT, random_weights
from mdbench.testing.systems import System, accuracy, assert_near, graph, predict

#: What the variant that does as the published code does must break, and nothing else.
FAULTS = {
    "cgcnn": {
        "edges_beyond_the_cutoff",
        "extensivity",
        "smooth_at_the_cutoff",
        "no_leak_in_training",
        "training_is_evaluation",
        "few_atoms",  # in a dimer all edges are alike, so nothing is left
    },
    "dimenet++": {"forces_are_derivatives", "virials_are_derivatives"},
    "gns-tat": {
        "edges_beyond_the_cutoff",
        "extensivity",
        "proper_rotation",
        "reflection",
        "few_atoms",  # biases point somewhere
        "smooth_at_the_cutoff",
        "all_weights_learn",  # weights on the vectors before the first layer, which are zero
    },
    "dimenet": {"forces_are_derivatives", "virials_are_derivatives"},
    "deepergatgnn": {
        "edges_beyond_the_cutoff",
        "extensivity",
        "smooth_at_the_cutoff",
        "no_leak_in_training",
        "training_is_evaluation",
        "few_atoms",  # as CGCNN's
        "virials_are_derivatives",  # not where features bend
    },
    "equiformer": {"edges_beyond_the_cutoff", "reflection", "smooth_at_the_cutoff"},
}
#: Of these, those that are asked in single precision, too.
ROUGH = [check for check in CHECKS if check not in EXACT]
CORRECTED = [f"{name}-small" for name in MODELS]
NAMES = CORRECTED + [f"{name}-small:published" for name in MODELS if model_class(name).PUBLISHED]
#: Models that can do without their head for forces.
GRADIENT = [
    name
    for name in CORRECTED
    if issubclass(model_class(parse_name(name).architecture), DirectModel)
]


def any_weights(name, dtype, **overrides):
    """A model whose weights are all of them random, also those that start at 0 or 1."""
    return random_weights(create(parse_name(name), seed=0, **overrides)).to(dtype)


def keeps(check, name, dtype):
    parsed = parse_name(name)
    model = any_weights(name, dtype)
    if parsed.variant and check.__name__ in FAULTS[parsed.architecture]:
        with pytest.raises(AssertionError):
            check(model)
    else:
        check(model)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check, name):
    keeps(check, name, torch.float64)


@pytest.mark.parametrize("name", CORRECTED)
@pytest.mark.parametrize("check", ROUGH, ids=lambda check: check.__name__)
def test_contract_in_single_precision(check, name):
    keeps(check, name, torch.float32)


@pytest.mark.parametrize("name", GRADIENT)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract_of_gradient_forces(check, name):
    model = any_weights(name, torch.float64, forces="gradient")
    assert model.conservative
    check(model)


def test_all_faults_are_looked_for():
    assert set(FAULTS) == {name for name in MODELS if model_class(name).PUBLISHED}
    assert set().union(*FAULTS.values()) <= {check.__name__ for check in CHECKS}


def lgps(seed):
    """The crystal, displaced and strained."""
    rng, crystal = np.random.default_rng(seed), material("lgps")
    change = np.eye(3) + rng.uniform(-0.04, 0.04, (3, 3))
    noise = rng.normal(0.0, 0.1, crystal.positions.shape)
    return System(crystal.atomic_numbers, crystal.positions @ change + noise, crystal.cell @ change)


@pytest.mark.parametrize("name", MODELS)
def test_full_width(name):
    """Published sizes have the published count, or say why not, and work on a real crystal."""
    model = any_weights(name, torch.float32)
    counted = model.n_parameters == model.paper_parameters
    assert counted is not bool(model.remark)
    system = lgps(0)
    single = predict(model, system)
    double = predict(model.double(), system)
    for one, other in zip(single, double, strict=True):
        assert_near(one, other, 1e-4)
    if model.conservative:
        assert_near(double[1].sum(axis=0), np.zeros(3), accuracy(model), np.abs(double[1]).max())


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_is_enough(name):
    system = lgps(1)
    found = [predict(any_weights(name, dtype), system) for dtype in (torch.float32, torch.float64)]
    for one, other in zip(*found, strict=True):
        assert_near(one, other, 1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_weights_come_from_the_seed(name):
    one, same, other = (create(parse_name(name), seed=seed) for seed in (3, 3, 4))
    for a, b in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    system = lgps(2)
    assert np.abs(predict(one, system)[1] - predict(other, system)[1]).max() > 0.0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_computes_the_same(name):
    model = any_weights(name, torch.float64)
    inputs = graph(model, lgps(3), lgps(4))
    expected = model.predict(inputs)
    found = model.to("cuda").predict(inputs.to("cuda", torch.float64))
    for one, other in zip(found, expected, strict=True):
        assert_near(one.cpu(), other, 1e-9)
