import pytest

from mdbench.models import MODELS, model_class
from mdbench.reporting.published import (
    AIMD_NS_PER_DAY,
    TABLE_1,
    aimd_minus_log10,
    in_table_2,
    published_model,
)


@pytest.mark.parametrize("architecture", MODELS)
def test_the_classes_of_models_say_the_same(architecture):
    """Both were written down by themselves."""
    cls, found = model_class(architecture), published_model(architecture)
    assert found is not None
    assert found.symmetry == cls.paper_symmetry
    assert found.parameters_in_millions == round(cls.paper_parameters / 1e6, 2)


def test_eleven_models_each_once():
    assert len(TABLE_1) == len({each.name for each in TABLE_1}) == 11


def test_the_order_of_speeds_and_of_sizes_is_that_of_the_table():
    """Fastest and smallest first."""
    speeds = " ".join(m.name for m in sorted(TABLE_1, key=lambda m: -m.ns_per_day))
    assert speeds == (
        "CGCNN DeeperGATGNN ForceNet SchNet LeftNet GNS-TAT eSCN DimeNet++ Equiformer SCN DimeNet"
    )
    sizes = " ".join(m.name for m in sorted(TABLE_1, key=lambda m: m.parameters_in_millions))
    assert sizes == (
        "DeeperGATGNN CGCNN SchNet DimeNet DimeNet++ GNS-TAT LeftNet Equiformer ForceNet SCN eSCN"
    )
    epochs = " ".join(m.name for m in sorted(TABLE_1, key=lambda m: -m.n_epochs))
    assert epochs == (
        "CGCNN SchNet GNS-TAT LeftNet ForceNet DeeperGATGNN DimeNet++ Equiformer DimeNet SCN eSCN"
    )
    assert min(m.ns_per_day for m in TABLE_1) > AIMD_NS_PER_DAY


@pytest.mark.parametrize(
    "name, found",
    [
        ("schnet", "SchNet"),
        ("dimenet++", "DimeNet++"),
        ("dimenet", "DimeNet"),
        ("gns_tat", "GNS-TAT"),
        ("gnstat", "GNS-TAT"),
        ("cgcnn:published", "CGCNN"),
        ("cgcnn@published", "CGCNN"),
    ],
)
def test_architectures_are_found_by_their_names(name, found):
    assert published_model(name).name == found


@pytest.mark.parametrize("name", ["schnet-small", "cgcnn-small:published", "refpot", "chgnet", ""])
def test_other_force_fields_have_no_row(name):
    assert published_model(name) is None


def test_what_is_not_at_hand_is_none():
    assert aimd_minus_log10("LGPS") == -1.41
    assert [aimd_minus_log10(name) for name in ("li3ps4", "li4ges4", "mine")] == [None] * 3
    assert [in_table_2(name) for name in ("lgps", "Li3PS4", "mine")] == [True, True, False]
