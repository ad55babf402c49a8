"""The checks that authors of models run: what they say, and what they need."""

import inspect
import subprocess
import sys
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from torch import nn

from mdbench import testing
from mdbench.analysis.audit import Claims
from mdbench.errors import InputError
from mdbench.models.leftnet import LeftNet
from mdbench.models.schnet import SchNet
from mdbench.potentials.refpot import RefPot
from mdbench.testing import (
    CHECKS,
    EXACT,
    check_calculator,
    check_class,
    check_force_field,
    check_model,
    random_weights,
)
from mdbench.testing.systems import random_system

LITTLE = {"cutoff": 5.0, "n_channels": 8, "n_filters": 8, "n_layers": 1, "n_basis": 16}


class Little(SchNet):
    """SchNet, with a fault that is asked for."""

    SMALL: ClassVar = {}

    def __init__(self, *, fault: str = "", n_channels: int = 8, n_elements: int = 100) -> None:
        known: dict[str, Any] = LITTLE | {"n_channels": n_channels}
        super().__init__(**known, n_elements=n_elements)
        self.fault = fault
        self.unused = nn.Parameter(torch.ones(2)) if fault == "dead" else None

    def forward(self, graph):
        energies = super().forward(graph)
        if self.fault == "biased":
            along = graph.edge_vectors[:, 0] * (1.0 - graph.edge_lengths / 5.0).clamp(min=0.0) ** 4
            energies = energies.index_add(0, graph.system_index[graph.edge_index[0]], along**2)
        return energies


def little(**options):
    torch.manual_seed(0)
    return Little(**options)


def test_a_sound_model_passes():
    check_model(random_weights(little()))
    check_model(random_weights(little()).double(), EXACT)


def test_a_model_with_direct_forces_passes():
    torch.manual_seed(0)
    check_model(random_weights(LeftNet(**LeftNet.SMALL)).double(), CHECKS[:6])


def test_every_broken_rule_has_its_line():
    model = random_weights(little(fault="biased")).double()
    with pytest.raises(AssertionError) as caught:
        check_model(model)
    lines = str(caught.value).removeprefix("Little: ").splitlines()
    assert {line.partition(": ")[0] for line in lines} == {
        "proper_rotation", "reflection", "few_atoms"
    }  # fmt: skip
    assert "energies when the system is rotated differ by " in lines[0]
    assert " is allowed" in lines[0]


def test_dead_weights_are_named():
    with pytest.raises(AssertionError, match=r"all_weights_learn: weights without effect: unused$"):
        check_model(random_weights(little(fault="dead")))


def test_frozen_weights_need_not_learn():
    model = random_weights(little(fault="dead"))
    model.unused.requires_grad_(False)
    check_model(model, EXACT)


def test_exact_checks_take_single_precision():
    model = random_weights(little())
    for check in EXACT:
        check(model)
    assert model.dtype == torch.float32


def test_a_table_of_few_elements_is_said():
    with pytest.raises(AssertionError, match="atomic numbers end at 11, checks need some up to"):
        CHECKS[0](random_weights(little(n_elements=12)))


def test_the_model_is_left_as_it_was():
    model = little().train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    check_model(model, CHECKS[:3])
    assert model.training
    changed = random_weights(model, seed=4)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not changed.training
    for name, p in changed.named_parameters():
        assert not (p == state[name]).any()
    again = random_weights(model, seed=4).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in changed.state_dict().items())


def test_all_checks_are_listed_and_say_what_they_ask():
    assert CHECKS[-len(EXACT) :] == EXACT
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS) == 22
    assert all(inspect.getdoc(check) for check in CHECKS)
    assert set(testing.__all__) <= set(vars(testing))


class TestCheckClass:
    def test_a_sound_class(self):
        check_class(Little)
        check_class(SchNet)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"source": ""}, r"Changed: Changed\.source: expected where"),
            ({"SMALL": {"width": 3}}, "no hyper-parameter 'width'"),
            ({"tolerances": {"rotations": 0.1}}, "tolerance of a check: found rotations"),
        ],
    )
    def test_a_faulty_one(self, changes, message):
        changed = type("Changed", (Little,), changes)
        with pytest.raises(AssertionError, match=message):
            check_class(changed)

    def test_no_model_at_all(self):
        with pytest.raises(AssertionError, match="found EMT"):
            check_class(EMT)


def lennard_jones(**options):
    return LennardJones(sigma=2.3, epsilon=0.1, rc=5.0, **options)


def copper():
    return bulk("Cu", cubic=True).repeat((2, 1, 1))


QUICK = ("translation", "permutation", "extensivity", "determinism", "conservativeness")


def test_a_calculator_of_ase():
    check_calculator(EMT, copper(), checks=QUICK)
    check_calculator(lambda: lennard_jones(ro=4.0, smooth=True), copper(), checks=QUICK)


def test_a_calculator_that_jumps():
    with pytest.raises(AssertionError, match=r"cutoff_smoothness: .* jump"):
        check_calculator(lennard_jones, copper(), checks=("cutoff_smoothness",))


def test_a_calculator_with_wrong_forces():
    class Wrong(EMT):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results["forces"] = 0.5 * self.results["forces"]

    with pytest.raises(AssertionError, match="conservativeness: "):
        check_calculator(Wrong, copper(), checks=("translation", "conservativeness"))
    unclaimed = Claims(conservative=False)
    check_calculator(Wrong, copper(), unclaimed, checks=("translation", "conservativeness"))


def test_a_force_field_of_the_engine():
    system = random_system(0)
    numbers = np.where(np.arange(len(system.numbers)) < 4, 3, 16)
    check_force_field(RefPot(), numbers, system.positions, system.cell, checks=QUICK[:3])
    with pytest.raises(InputError, match="no_such_check"):
        check_force_field(
            RefPot(), numbers, system.positions, system.cell, checks=("no_such_check",)
        )


def test_neither_pytest_nor_files_are_needed():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('pytest', 'ase', 'h5py', 'numba')));"
        "import mdbench.testing as t; from mdbench.models.schnet import SchNet;"
        f"t.check_model(t.random_weights(SchNet(**{LITTLE!r})), t.CHECKS[:2])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
