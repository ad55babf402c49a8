import dataclasses
import re
from pathlib import Path

import pytest
from mdbench_workflows.profile import Profile, profile_names, read_profile

from mdbench.errors import InputError
from mdbench.stages.temperatures import Temperatures


def test_profiles_that_come_with_it() -> None:
    assert profile_names() == ["gpu", "laptop", "paper", "smoke", "published"]
    found = {name: read_profile(name) for name in profile_names()}
    assert all(profile.about for profile in found.values())
    assert found["laptop"].reference.replicas == 12
    assert found["smoke"].one_process_per == "stage"
    assert {found[name].size for name in ("gpu", "paper")} == {"paper"}


def test_the_paper_is_its_protocol() -> None:
    paper = read_profile("paper")
    assert Temperatures.parse(paper.reference.temperatures).values() == (800, 900, 1000, 1100, 1200)
    assert (paper.reference.replicas, paper.reference.ps, paper.reference.stride) == (3, 50.0, 1)
    assert (paper.training.fraction, paper.training.budget) == (1.0, "10h")
    assert (paper.rollouts.replicas, paper.rollouts.ps, paper.rollouts.start) == (
        6,
        50,
        "structure",
    )


def test_a_file(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "models: [schnet-small, 'cgcnn:published']\nreference: {temperatures: 900, ps: 5}"
    )
    found = read_profile(str(path))
    assert found.models == ("schnet-small", "cgcnn:published")
    assert (found.reference.temperatures, found.reference.ps) == ("900", 5.0)
    assert found.training == Profile().training


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modles: all", "unknown key 'modles'; did you mean models?"),
        ("reference: {pss: 5}", "unknown key 'reference.pss'; did you mean ps?"),
        ("reference: {ps: long}", "reference.ps: expected a number above 0, found 'long'"),
        ("reference: {ps: 0}", "reference.ps: expected a number above 0, found 0"),
        ("reference: {replicas: 1.5}", "reference.replicas: expected a whole number"),
        ("reference: {replicas: true}", "reference.replicas: expected a whole number"),
        ("reference: 5", "reference.: expected keys and values, found 5"),
        ("control: maybe", "control: expected true or false"),
        ("size: huge", "size: expected small or paper, found 'huge'"),
        ("rollouts: {start: middle}", "rollouts.start: expected structure or reference"),
        ("[1, 2]", "profile: expected keys and values"),
        ("a: b: c", "no YAML"),
        ("a: !!int 'x'", "no YAML"),
        ("a: !!bool 'x'", "no YAML"),
        ("about: " + "9" * 5000, "no YAML"),
        ("a: 2001-99-99", "no YAML"),
        ("a: &a [x]\nb: [*a, *a]", "an alias (*name): expected plain values"),
        ("a: &a {x: 1}\nb: {<<: *a}", "an alias (*name)"),
        ("[" * 20_000, "lists within lists"),
        ("reference: {ps: 1" + "0" * 400 + "}", "reference.ps: expected a number above 0"),
        ("reference: {ps: .inf}", "reference.ps: expected a number above 0, found inf"),
        ("about: 1" + "0" * 400, "about: expected text"),
        (f"about: [0x{'f' * 5000}]", "about: expected text, found a number of thousands of digits"),
        ("size: " + "x" * 9000, "size: expected small or paper"),
        ("about: !!python/object/apply:os.system [ls]", "no YAML"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, text, message) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_profile(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert message.replace("structure or reference", "reference or structure") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_name() -> None:
    with pytest.raises(InputError, match="did you mean laptop"):
        read_profile("labtop")


def test_every_setting_can_be_written(tmp_path) -> None:
    import yaml

    stored = dataclasses.asdict(read_profile("laptop"))
    path = tmp_path / "p.yaml"
    path.write_text(
        yaml.safe_dump(
            {**stored, "models": list(stored["models"])}
            | {"reference": {**stored["reference"], "materials": ["lgps"]}}
        )
    )
    found = read_profile(str(path))
    assert found.reference.materials == ("lgps",)
    assert found.training == read_profile("laptop").training


def test_the_docs_list_every_key_and_its_default() -> None:
    text = (Path(__file__).parents[2] / "docs/howto/benchmark.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([a-z_.]+)` \|.*\| (.*) \|$", text, re.MULTILINE))
    for field in dataclasses.fields(Profile):
        value = getattr(Profile(), field.name)
        nested = dataclasses.is_dataclass(value)
        known = {f"{field.name}.{k}": v for k, v in vars(value).items()} if nested else {}
        for key, default in (known or {field.name: value}).items():
            words = ", ".join(default) if isinstance(default, tuple) else f"{default}"
            words = words.lower() if isinstance(default, bool) else words.removesuffix(".0")
            expected = {"training.material": "the one with the most runs", "about": "–"}
            assert told.pop(key).replace("`", "") == expected.get(key, words), key
    assert told.keys() == set(profile_names())
