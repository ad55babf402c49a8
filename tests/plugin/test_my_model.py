import pytest
import torch
from my_model import MyModel

from mdbench.testing import CHECKS, check_class, random_weights


def test_the_class() -> None:
    check_class(MyModel)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check, dtype) -> None:
    torch.manual_seed(0)
    check(random_weights(MyModel(**MyModel.SMALL)).to(dtype))
