"""What other packages offer by name: found without imports, refused in one line."""

import sys

import pytest

from mdbench.errors import InputError
from mdbench.plugins import Plugin, offers, plain
from tests.installed import GROUP, install, visible

LOUD = "raise SystemExit('imported')"


def found(*folders, taken=("schnet",), group=GROUP):
    with visible(*folders):
        return offers(group, taken)


def test_names_are_read_without_an_import(tmp_path):
    install(tmp_path, "loud-one", {"loud": "loud_one:Model"}, LOUD, version="2.5rc1")
    known = found(tmp_path)
    assert known.usable["loud"] == Plugin("loud", "loud_one:Model", GROUP, "loud-one", "2.5rc1")
    assert known.usable["loud"].origin == "loud-one 2.5rc1"
    assert known.names == ["loud"]
    assert known.notes == []
    assert "loud_one" not in sys.modules
    assert found(tmp_path, group="mdbench.calculators").names == []


@pytest.mark.parametrize("text", ["my-net", "MyNet", "my_net", " my-Net "])
def test_however_a_name_is_written(tmp_path, text):
    known = found(install(tmp_path, "a", {"my-net": "a:b"}))
    assert known.find(text) is known.usable["mynet"]
    assert known.find("mynetwork") is None


def test_a_name_of_ours_stays_ours(tmp_path):
    known = found(install(tmp_path, "thief", {"SchNet": "a:b", "honest": "a:c"}))
    assert known.names == ["honest"]
    assert known.notes == ["thief 1.0: 'SchNet' is a name of mdbench's own"]
    assert known.find("schnet") is None


def test_two_packages_with_one_name(tmp_path):
    install(tmp_path, "one", {"net": "a:b", "other": "a:c"})
    install(tmp_path, "two", {"NET": "a:b"}, version="3")
    known = found(tmp_path)
    assert known.names == ["other"]
    with pytest.raises(InputError, match=r"offered twice, by (one 1.0|two 3) and (one 1.0|two 3)"):
        known.find("net")
    assert len(known.notes) == 1


def test_one_package_that_is_there_twice_is_one(tmp_path):
    first = install(tmp_path / "first", "my-pack", {"net": "a:b"}, version="2")
    second = install(tmp_path / "second", "my_pack", {"net": "a:b", "old": "a:c"})
    known = found(first, second)
    assert known.names == ["net"]
    assert known.usable["net"].version == "2"
    assert known.notes == []


@pytest.mark.parametrize(
    "name",
    [
        *("Net", "net:x", "ne/t", "../net", "net small", "net-small", "3net", "net-s0"),
        *("my-s1-net", "-net", "net--x", "n" * 41, "nét", "net.x"),
    ],
)
def test_names_that_cannot_be_words_and_paths(tmp_path, name):
    known = found(install(tmp_path, "a", {name: "a:b"}))
    assert known.names == []
    (note,) = known.notes
    assert note.startswith(f"a 1.0: the name {name!r}: expected lowercase letters")


@pytest.mark.parametrize("target", ["a", "a:", ":b", "a b:c", "a:b.", "os; x:y"])
def test_targets_that_are_none(tmp_path, target):
    known = found(install(tmp_path, "a", {"net": target}))
    assert known.names == []
    with pytest.raises(InputError, match=r"a 1\.0: net: expected PACKAGE:NAME, found"):
        known.find("net")


@pytest.mark.parametrize(
    "text", ["[mdbench.models]\nno sign of equality\n", "[mdbench.models\nnet = a:b\n", "\x00\xff"]
)
def test_damaged_packages_do_not_matter_to_others(tmp_path, text):
    install(tmp_path, "damaged", {})
    (tmp_path / "damaged-1.0.dist-info/entry_points.txt").write_text(text)
    nameless = tmp_path / "nameless-1.0.dist-info"
    nameless.mkdir()
    (nameless / "entry_points.txt").write_text(f"[{GROUP}]\nlost = a:b\n")
    install(tmp_path, "sound", {"net": "a:b"})
    assert "net" in found(tmp_path).names


def test_what_is_printed_on_import_is_no_result(tmp_path, capsys):
    install(
        tmp_path,
        "talker",
        {"net": "talker:Model.inner"},
        "print('hello')\nclass Model:\n  inner = 3",
    )
    with visible(tmp_path):
        assert offers(GROUP, ()).usable["net"].load("model net") == 3
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (LOUD, "SystemExit: imported"),
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named"),
        ("x = 1", "AttributeError: module 'broken' has no attribute 'Model'"),
        ("raise ValueError('a\\n' * 900)", "ValueError: a a a"),
        ("def f(:", "SyntaxError: "),
        (None, "ModuleNotFoundError: No module named 'broken'"),
    ],
)
def test_a_package_that_cannot_be_imported(tmp_path, code, message):
    install(tmp_path, "broken", {"net": "broken:Model"}, code)
    with visible(tmp_path):
        plugin = offers(GROUP, ()).usable["net"]
        with pytest.raises(InputError) as caught:
            plugin.load("model net")
    said = str(caught.value)
    assert said.startswith("broken 1.0: model net: importing broken:Model failed: found ")
    assert message in said
    assert "\n" not in said
    assert len(said) < 400
    assert said.endswith("that is for broken to mend")


def test_plain_names():
    assert plain("Dime_Net-plusplus") == plain("dimenet++") == "dimenet++"
