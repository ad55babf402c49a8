"""The workflow as `make benchmark` starts it, without running a job."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
TEMPERATURES = (800, 900, 1000, 1100, 1200)
N_MODELS = 3


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> str:
    pytest.importorskip("snakemake")
    folder = tmp_path_factory.mktemp("workflow")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", HOME / "workflows/Snakefile"),
            *("--directory", folder, "--cores", "2", "--dry-run", "--printshellcmds"),
            *("--config", "run=some run"),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (folder / "some run").exists()
    return done.stdout + done.stderr


def test_jobs_of_each_rule(planned) -> None:
    counts = {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", planned, re.MULTILINE)}
    # of the three materials, and of the samples
    assert counts["reference"] == 3
    assert counts["simulate_perfect"] == 1
    assert counts["dataset"] == 3
    assert counts["train"] == counts["audit"] == counts["simulate_model"] == N_MODELS
    assert counts["evaluate"] == counts["evaluate_near"] == N_MODELS
    assert counts["rdf_reference"] == 3 * len(TEMPERATURES) + 1
    assert counts["conductivity_reference"] == 4
    assert counts["report"] == counts["all"] == 1
    assert counts["total"] == sum(n for name, n in counts.items() if name != "total")


def test_dynamics_are_those_that_the_analysis_reads(planned) -> None:
    commands = [line.strip() for line in planned.splitlines() if "mdbench" in line]
    made = [line for line in commands if re.search(r"mdbench'? (reference|simulate) ", line)]
    assert len(made) == 4 + N_MODELS
    for name in ("schnet-small", "cgcnn-small", "dimenet++-small"):
        (line,) = (x for x in commands if f" train --model {name} " in x)
        assert "--data 'some run/dataset/lgps.h5'" in line
        (line,) = (x for x in made if f"--model 'some run/models/{name}-s0'" in x)
        assert "--material lgps --material li3ps4 --material li4ges4 --start reference" in line
    for material in ("lgps", "li3ps4", "li4ges4"):
        (line,) = (x for x in made if f"reference --material {material} " in x)
        assert f"--temps {','.join(map(str, TEMPERATURES))}" in line
        assert "--run 'some run'" in line
    for t in TEMPERATURES:
        (line,) = (x for x in commands if f"rdf-reference-lgps-{t}K.png" in x)
        assert f"'some run/reference/lgps/{t}K-r0.h5'" in line
        (line,) = (x for x in commands if f"rdf-refpot-lgps-{t}K.png" in x)
        assert f"--against 'some run/reference/lgps/{t}K-r2.h5'" in line
