"""`mdbench audit`: its table, its JSON, its file, its exit status."""

import json

import numpy as np
import pytest
from mdbench_cli.main import run
from numpy.testing import assert_allclose

from mdbench.analysis.audit import CHECKS
from mdbench.errors import InputError
from mdbench.stages.force_fields import _trained
from mdbench.store import read_result

REFPOT = ["audit", "--calculator", "refpot", "--material", "gamma-li3ps4"]

MODULE = """
from ase.calculators.lj import LennardJones

def plain():
    return LennardJones(sigma=2.0, epsilon=0.1, rc=5.0)

def smooth():
    return LennardJones(sigma=2.0, epsilon=0.1, rc=5.0, ro=4.0, smooth=True)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDBENCH_RUN", raising=False)
    return tmp_path


def document(args, capsys, status=0):
    assert run([*args, "--json"]) == status
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 1
    return json.loads(shown.out)


def test_json(folder, capsys):
    found = document(REFPOT, capsys)
    assert [check["name"] for check in found["checks"]] == list(CHECKS)
    for check in found["checks"]:
        assert {"name", "deviation", "tolerance", "claimed", "passed"} <= set(check)
        assert check["claimed"]
        assert check["passed"]
        assert check["deviation"] <= check["tolerance"]
    assert (found["source"], found["precision"], found["passed"]) == ("refpot", "double", True)
    assert not list(folder.iterdir())


def test_the_table_says_what_was_done(capsys):
    assert run(REFPOT) == 0
    shown = capsys.readouterr()
    for name in CHECKS:
        assert name in shown.out
    assert "all atoms moved together" in shown.out
    assert shown.out.endswith("10 of 10 claims hold\n")
    assert "synthetic data" in shown.err


def test_a_claim_that_does_not_hold_is_explained(folder, capsys):
    (folder / "little.py").write_text(MODULE)
    args = ["audit", "--calculator", "little:plain", "--material", "gamma-li3ps4"]
    assert run([*args, "--require", "claimed"]) == 1
    shown = capsys.readouterr().out
    assert "FAILED" in shown
    line = next(line for line in shown.splitlines() if line.startswith("cutoff_smoothness: "))
    assert "jump" in line
    assert "9 of 10 claims hold" in shown
    smooth = ["audit", "--calculator", "little:smooth", "--material", "gamma-li3ps4"]
    assert run([*smooth, "--require", "claimed"]) == 0
    assert "the curvature of the energy jumps" in capsys.readouterr().out


def test_a_material_of_the_reference(folder, capsys):
    """A crystal that nobody knows by name is that of the run folder's own trajectories."""
    reference = ["reference", "--material", "gamma-li3ps4", "--temps", "800", "--replicas", "1"]
    assert run([*reference, "--ps", "0.01", "--ramp-ps", "0", "--run", "mine", "--quiet"]) == 0
    (folder / "mine/reference/gamma-li3ps4").rename(folder / "mine/reference/my-crystal")
    capsys.readouterr()
    ours = ["audit", "--calculator", "refpot", "--material", "my-crystal", "--run"]
    found = document([*ours, "mine"], capsys)
    assert found["material"] == "my-crystal"
    assert found["passed"]
    assert run([*ours, "other"]) == 2
    assert "one in reference/ of the run folder" in capsys.readouterr().err


def test_a_run_folder_keeps_it(folder, capsys):
    first = document([*REFPOT, "--run", "mine"], capsys)
    path = folder / "mine/audit/refpot.h5"
    stored = read_result(path, "audit")
    assert stored.attributes["source"] == "refpot"
    np.testing.assert_array_equal(
        stored.datasets["deviation"], [check["deviation"] for check in first["checks"]]
    )
    written = path.stat().st_mtime_ns
    assert document([*REFPOT, "--run", "mine"], capsys) == first
    assert path.stat().st_mtime_ns == written
    assert run([*REFPOT, "--run", "mine", "--seed", "1"]) == 2
    assert "--force" in capsys.readouterr().err
    other = document([*REFPOT, "--run", "mine", "--seed", "1", "--force"], capsys)
    assert other["checks"][0]["deviation"] != first["checks"][0]["deviation"]
    assert run(["info", str(path)]) == 0
    assert "audit" in capsys.readouterr().out


def test_an_output_that_exists_is_refused(folder, capsys):
    assert run([*REFPOT, "-o", "audit.h5"]) == 0
    assert (folder / "audit.h5").is_file()
    assert not (folder / "run").exists()
    assert run([*REFPOT, "-o", "audit.h5"]) == 2
    assert run([*REFPOT, "-o", "audit.h5", "--force", "--quiet"]) == 0


def test_a_damaged_file_is_one_line(folder, capsys):
    assert run([*REFPOT, "--run", "mine"]) == 0
    path = folder / "mine/audit/refpot.h5"
    content = bytearray(path.read_bytes())
    path.write_bytes(content[: len(content) // 2])
    capsys.readouterr()
    assert run([*REFPOT, "--run", "mine"]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "refpot.h5" in shown


def test_dynamics(capsys):
    found = document([*REFPOT, "--dynamics", "--ps", "0.1"], capsys)
    assert [check["name"] for check in found["checks"]] == [*CHECKS, "nve_drift", "echo"]
    assert found["passed"]
    assert [drift["timestep_fs"] for drift in found["drifts"]] == [1.0, 2.0]
    expected = ns_per_day(found["steps_per_s"])
    assert_allclose(found["ns_per_day"], expected, rtol=1e-12, atol=0)
    assert run([*REFPOT, "--dynamics", "--ps", "0.1"]) == 0
    shown = capsys.readouterr().out
    assert "ns/day" in shown
    assert "12 of 12 claims hold" in shown


def ns_per_day(steps_per_s):
    """ns/day at 2 fs."""
    return steps_per_s * 2.0 * 1e-3 * 1e-3 * 86_400.0


def test_an_untrained_model(capsys):
    found = document(["audit", "--model", "schnet-small", "--material", "gamma-li3ps4"], capsys)
    assert found["passed"]
    assert "random weights" in found["force_field"]


def _is_trained(name, folder):
    try:
        return _trained(name, folder) is not None
    except InputError:  # no name of a model, or a path
        return False


def test_which_models_a_run_folder_has(folder):
    """The small size of an architecture is another model, and so is its published variant."""
    for name in ("schnet-small-s0", "dimenet++@published-s2"):
        (folder / "models" / name).mkdir(parents=True)
    names = ("schnet-small", "schnet-small-s0", "dimenet++:published")
    assert all(_is_trained(name, folder) for name in names)
    others = ("schnet", "dimenet++", "schnet-small-s1", "run/models/schnet-small-s0")
    assert not any(_is_trained(name, folder) for name in others)


@pytest.mark.parametrize(
    "args, word",
    [
        (["audit"], "--calculator"),
        (["audit", "--calculator", "refpto"], "did you mean refpot"),
        (["audit", "--calculator", "refpot", "--material", "lgsp"], "did you mean lgps"),
        (["audit", "--calculator", "refpot", "--seed", "-1"], "--seed"),
        (["audit", "--calculator", "refpot", "--ps", "0"], "--ps"),
        (["audit", "--calculator", "refpot", "--precision", "half"], "--precision"),
        (["audit", "--calculator", "ase.calculators.emt:EMT"], "No EMT-potential"),
    ],
)
def test_bad_input_is_one_line(args, word, folder, capsys):
    assert run(args) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert word in shown.err
    assert not list(folder.iterdir())
