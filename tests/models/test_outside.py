"""Models of other packages by name, and the ones that are none."""

import json
import re

import pytest
import torch
from mdbench_cli.main import run

from mdbench.errors import InputError
from mdbench.models import (
    MODELS,
    ModelName,
    arguments_of,
    create,
    is_model,
    model_class,
    package_of,
    parse_name,
)
from tests.installed import GROUP, PLUGIN, install, install_my_model, visible

HEAD = (PLUGIN / "my_model.py").read_text()


def variant(body, base="MyModel"):
    """Code of a model that is one of ours but for its body."""
    return f"{HEAD}\nimport torch\nclass Other({base}):\n    {body}\n"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages, and a current folder without any run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDBENCH_RUN", raising=False)
    folder = tmp_path / "site"
    with visible(folder):
        yield folder


@pytest.mark.parametrize("text", ["my-model", "MyModel", "my_model-small", "MY-MODEL-SMALL"])
def test_names_of_other_packages(site, text):
    install_my_model(site)
    size = "small" if "small" in text.lower() else "paper"
    assert parse_name(text) == ModelName("my-model", size)
    assert is_model(text)
    assert is_model(f"{text}:published")


def test_the_model_is_made_as_ours_are(site):
    install_my_model(site)
    name = parse_name("my-model-small")
    assert package_of("my-model").origin == "my-model 1.0"
    assert package_of("schnet") is None
    cls = model_class("my-model")
    assert arguments_of(name) == cls.SMALL
    model, same, other = (create(name, seed=seed) for seed in (3, 3, 4))
    assert type(model) is cls
    assert not model.training
    assert (model.dtype, model.cutoff) == (torch.float32, 4.0)
    weights, copy, changed = (m.elements.weight for m in (model, same, other))
    assert torch.equal(weights, copy)
    assert not torch.equal(weights, changed)
    assert create(name, cutoff=3.0).cutoff == 3.0
    with pytest.raises(InputError, match="no hyper-parameter 'cutof'"):
        create(name, cutof=3.0)
    with pytest.raises(InputError, match="no published variant"):
        parse_name("my-model:published")


def test_a_small_size_need_not_be(site):
    code = variant("def __init_subclass__(cls): pass").replace("SMALL: ClassVar = {", "NOTHING = {")
    install(site, "larger", {"larger": "larger:Other"}, code)
    assert create(parse_name("larger")).cutoff == 6.0
    with pytest.raises(InputError, match=r"'larger-small': no small size: expected larger$"):
        create(parse_name("larger-small"))


def test_unknown_names_get_near_ones_of_other_packages(site):
    install_my_model(site)
    with pytest.raises(InputError, match=r"leftnet, my-model, each .* did you mean my-model\?"):
        parse_name("my-modle")
    assert not is_model("my-modle")


def test_they_are_listed_with_dashes(site, capsys):
    install_my_model(site)
    assert run(["models"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    row = next(line for line in shown.out.splitlines() if line.startswith("my-model "))
    assert row.split() == [
        "my-model", "E(3)", "conservative", "11,969", "-", "-", "2,225", "-"
    ]  # fmt: skip
    assert "my-model: https://example.org/my-model. Of my-model 1.0." in shown.out


def test_the_list_as_json(site, capsys):
    install_my_model(site)
    install(site, "broken", {"broken": "broken:Model"}, "import nothing_of_that_name")
    install(site, "thief", {"scn": "thief:Model"}, "raise RuntimeError")
    assert run(["models", "--json"]) == 0
    shown = capsys.readouterr()
    entries = json.loads(shown.out)
    assert [entry["name"] for entry in entries] == [*MODELS, "my-model"]
    assert [entry["package"] for entry in entries] == [None] * len(MODELS) + ["my-model 1.0"]
    assert entries[-1]["paper_parameters"] is None
    notes = shown.err.splitlines()
    assert len(notes) == 2
    assert "note: thief 1.0: 'scn' is a name of mdbench's own" in notes
    assert "note: broken 1.0: model broken: importing broken:Model failed" in shown.err


#: Faults of a class, and what is said of each.
FAULTS = {
    "no class": (
        "Other = 3",
        "expected a subclass of mdbench.models.base.EnergyModel, found a int",
    ),
    "another class": ("class Other: pass", "EnergyModel, found Other"),
    "a function": ("def Other(): pass", "EnergyModel, found a function"),
    "abstract": (
        "from mdbench.models.base import DirectModel\nclass Other(DirectModel):\n  source = 'x'",
        "Other lacks heads()",
    ),
    "no source": (HEAD.replace("    source =", "    paper =") + "Other = MyModel", "found none"),
    "empty source": (variant("source = ''"), "Other.source: expected where the architecture"),
    "symmetry": (variant("symmetry = 'SO(2)'"), "one of E(3), SE(3), T(3), found 'SO(2)'"),
    "sizes": (variant("SMALL = 3"), "Other.SMALL: expected hyper-parameters by name, found int"),
    "a size": (variant("SMALL = {'width': 3}"), "Other.SMALL: no hyper-parameter 'width'"),
    "a negative one": (variant("SMALL = {'cutoff': -4.0}"), "cutoff: expected zero or more"),
    "a list": (variant("PUBLISHED = {'cutoff': [4.0]}"), "True or False, found list"),
    "any keywords": (
        variant("def __init__(self, **options): super().__init__(**options)"),
        "Other(**options): expected hyper-parameters by name, each with a default",
    ),
    "no default": (
        variant("def __init__(self, width): super().__init__()"),
        "hyper-parameter width: expected a default, found none",
    ),
    "nan": (
        variant("def __init__(self, width=float('nan')): super().__init__()"),
        "default of width: expected zero or more, and finite, found nan",
    ),
    "not made": (
        variant(
            "SMALL = {}\n    def __init__(self, width=3): super().__init__(); self.x = [][width]"
        ),
        "model faulty cannot be made: found IndexError: list index out of range",
    ),
    "no memory": (
        variant("SMALL = {}\n    def __init__(self): super().__init__(); self.energy_scale.item()"),
        "model faulty cannot be made: found ",
    ),
    "shared weights": (
        variant(
            "SMALL = {}\n    def __init__(self): super().__init__(); self.x = self.filters.weight"
        ),
        "its weights x and filters.weight are one",
    ),
    "not computed": (
        variant("def forward(self, graph): return graph.no_such_thing"),
        "model faulty cannot compute two atoms: found AttributeError",
    ),
    "one energy for all": (
        variant("def forward(self, graph): return super().forward(graph).sum()"),
        "energies of two atoms: expected shape (1,), found ()",
    ),
    "not finite": (
        variant("def forward(self, graph): return super().forward(graph) / 0.0"),
        "energies of two atoms: expected finite numbers",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_one_line(site, fault, capsys):
    code, message = FAULTS[fault]
    install(site, "faulty", {"faulty": "faulty:Other"}, code, version="0.3")
    for arguments in (
        ["audit", "--model", "faulty"],
        ["train", "--budget", "1s", "--model", "faulty"],
    ):
        assert run(arguments) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("mdbench: error: faulty 0.3: model faulty")
        assert shown.err.count("\n") == 1
        assert message in shown.err
    with pytest.raises(InputError, match=re.escape(message)):
        create(parse_name("faulty"))
    assert type(create(parse_name("schnet-small"))).__name__ == "SchNet"


def test_a_name_of_two_packages_cannot_be_asked_for(site, capsys):
    install_my_model(site)
    install(site, "copy-of-it", {"my_model": "copy_of_it:Model"}, "raise RuntimeError")
    assert is_model("my-model")
    for arguments in (["audit", "--model", "my-model"], ["benchmark", "--models", "my-model"]):
        assert run([*arguments]) == 2
        assert "offered twice, by" in capsys.readouterr().err
    assert run(["models"]) == 0
    shown = capsys.readouterr()
    assert "offered twice" in shown.err
    assert "my-model" not in shown.out


def test_who_takes_a_name_of_ours_gets_nothing(site):
    install(site, "thief", {"schnet": "thief:Model", "all": "thief:Model"}, "raise RuntimeError")
    assert model_class("schnet").__module__ == "mdbench.models.schnet"
    assert package_of("schnet") is None
    assert not is_model("all")


def test_groups_are_told_apart(site):
    install(site, "potential", {"my-model": "a:b"}, group="mdbench.calculators")
    assert GROUP != "mdbench.calculators"
    assert not is_model("my-model")
