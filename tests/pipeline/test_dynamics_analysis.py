"""From a crystal's name to its conductivity: the analyses on runs that the engine made."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Two calculators hold, the third one fails in its first picoseconds.
CALCULATOR = """
from mdbench.md.ase_calculator import MdbenchCalculator
from mdbench.potentials.refpot import RefPot

lasting = []


class Shaky(MdbenchCalculator):
    def __init__(self):
        super().__init__(RefPot())
        self.calls = 0

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.calls += 1
        if self.calls == 100:  # no short trial
            lasting.append(self)
        if lasting[2:3] == [self] and self.calls > 280:
            self.results["forces"] = self.results["forces"] + float("nan")
"""
SIZE = ("--replicas", 3, "--ps", 2, "--ramp-ps", 0.5, "--stride", 5, "--threads", 1, "--quiet")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Iterator[Path]:
    """LGPS by the reference at 800 and 1000 K, by it again, and by a model that may explode."""
    from mdbench_cli.main import run

    folder = tmp_path_factory.mktemp("shaky")
    (folder / "shaky_model.py").write_text(CALCULATOR)
    place = ("--material", "lgps", "--run", folder / "run", *SIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for command in (
            ("reference", "--temps", "800,1000", *place),
            ("simulate", "--calculator", "refpot", "--seed", 1, "--temps", "800-1000:200", *place),
            ("simulate", "--calculator", "shaky_model:Shaky", "--temps", 800, *place),
        ):
            assert run([str(word) for word in command]) == 0
    yield folder / "run"
    shutil.rmtree(folder)


def groups(outcome) -> dict[tuple[str, float], dict]:
    assert outcome.status == 0, outcome.err
    found = json.loads(outcome.out)["groups"]
    return {(group["source"], group.get("temperature_k", 0.0)): group for group in found}


def test_replicas_hold_against_each_other(run_folder, mdbench) -> None:
    place = run_folder / "reference/lgps"
    outcome = mdbench(
        *("rdf", place / "800K-r0.h5", "--against", place / "800K-r1.h5"),
        *("--against", place / "800K-r2.h5", "--json"),
    )
    found = groups(outcome)["reference", 800.0]
    mae, floor = found["comparison"]["rdf_mae"], found["comparison"]["noise_floor"]
    assert 0.0 < mae < 0.1
    assert 0.0 < floor["expected"] < floor["q95"] < 0.1
    assert found["comparison"]["failure_mode"] is None
    assert found["comparison"]["verdict"] != "unstable"
    # tetrahedra: four S at each P and Ge, at their bond length
    peak = max(zip(found["g"]["P-S"], found["r"], strict=True))[1]
    assert 1.9 < peak < 2.2


def test_a_replica_that_exploded_is_named(run_folder, mdbench) -> None:
    outcome = mdbench(
        *("rdf", run_folder / "rollouts/shaky_model.Shaky/lgps/800K-r*.h5"),
        *("--against", run_folder / "reference/lgps/800K-r*.h5", "--json", "--require", "stable"),
    )
    assert outcome.status == 1
    (found,) = json.loads(outcome.out)["groups"]
    assert found["comparison"]["failure_mode"] == "exploded"
    assert found["comparison"]["verdict"] == "unstable"
    assert "forces or energy not finite" in json.dumps(found["comparison"]["evidence"])


@pytest.mark.parametrize("estimator", ["gls", "pymatgen"])
def test_msd_of_a_run_folder(run_folder, mdbench, estimator) -> None:
    outcome = mdbench("msd", "--run", run_folder, "--json", "--estimator", estimator, "--force")
    found = groups(outcome)
    assert set(found) == {
        *((source, t) for source in ("reference", "refpot") for t in (800.0, 1000.0)),
        ("shaky_model.Shaky", 800.0),
    }
    for (source, _), group in found.items():
        assert group["species"] == "Li"
        assert len(group["runs"]) == (2 if source == "shaky_model.Shaky" else 3)
        estimate = group["diffusivity"]
        bound = estimate["high"] if estimate["value"] is None else estimate["value"]
        assert 1e-7 < bound < 1e-2
        assert group["framework_drift"] < 1.0
    assert "left out: 800K-r2.h5" in outcome.err
    assert "forces or energy not finite" in outcome.err
    assert "synthetic-refpot-v1" in outcome.err


def test_conductivity_of_a_run_folder(run_folder, mdbench) -> None:
    outcome = mdbench("conductivity", "--temps", "800-1200", "--run", run_folder, "--json")
    assert outcome.status == 0, outcome.err
    found = {group["source"]: group for group in json.loads(outcome.out)["groups"]}
    assert set(found) == {"reference", "refpot", "shaky_model.Shaky"}
    for source in ("reference", "refpot"):
        assert [t["temperature_k"] for t in found[source]["temperatures"]] == [800.0, 1000.0]
    assert [t["temperature_k"] for t in found["shaky_model.Shaky"]["temperatures"]] == [800.0]
    assert found["shaky_model.Shaky"]["arrhenius"] is None
    # without the run that exploded, as of the two that lasted
    place = run_folder / "rollouts/shaky_model.Shaky/lgps"
    lasted = json.loads(mdbench("msd", *(place / f"800K-r{r}.h5" for r in (0, 1)), "--json").out)
    (point,) = found["shaky_model.Shaky"]["temperatures"]
    assert point["diffusivity"] == lasted["diffusivity"]


def test_a_temperature_without_any_run_that_lasted(run_folder, mdbench, tmp_path) -> None:
    """All replicas exploded: the other temperatures stand."""
    folder = Path(shutil.copytree(run_folder / "reference", tmp_path / "run/reference")).parent
    blown = run_folder / "rollouts/shaky_model.Shaky/lgps/800K-r2.h5"
    for replica in range(3):
        shutil.copy(blown, folder / f"reference/lgps/800K-r{replica}.h5")
    outcome = mdbench("conductivity", "--run", folder, "--json")
    assert outcome.status == 0, outcome.err
    (found,) = json.loads(outcome.out)["groups"]
    assert found["arrhenius"] is None
    assert "exploded" in outcome.err
    lone = mdbench("msd", *(folder / f"reference/lgps/800K-r{r}.h5" for r in range(3)))
    assert (lone.status, lone.out) == (2, "")
    assert "exploded: forces or energy not finite" in lone.err
    assert lone.err.count("\n") == 1


def test_info_and_convert(run_folder, mdbench, tmp_path) -> None:
    path = run_folder / "reference/lgps/800K-r0.h5"
    known = json.loads(mdbench("info", path, "--json").out)
    assert (known["material"], known["frames"], known["temperature_k"]) == ("lgps", 200, 800.0)
    assert "not DFT" in known["potential"]
    assert mdbench("convert", path, "-o", tmp_path / "out.extxyz", "--stride", 100).status == 0
    assert (tmp_path / "out.extxyz").read_text().count("Lattice") == 2
