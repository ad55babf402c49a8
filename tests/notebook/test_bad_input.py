"""What a notebook hears of bad input: one line."""

import pytest

import mdbench
from mdbench import InputError
from tests.notebook.test_numbers import silent
from tests.stages.little import at, run_of


@pytest.fixture(scope="module")
def run():
    return run_of(n_frames=120)


@pytest.mark.parametrize(
    "function", [mdbench.radial_distribution, mdbench.diffusion, mdbench.conductivity]
)
def test_no_trajectories(function):
    with pytest.raises(InputError, match=r"expected .*rajector.* found none"):
        function([])
    with pytest.raises(InputError, match=r"run 1: expected a Trajectory, found str; .*read_traj"):
        function(["traj.h5"])


def test_replicas_have_the_same_atoms(run):
    with pytest.raises(InputError, match="run 2: replica with other atoms: expected those of"):
        mdbench.diffusion([run, run.select("Li")])


def test_replicas_have_one_temperature(run):
    hot = run_of(at(900.0), n_frames=120)
    with pytest.raises(InputError, match=r"run 2: temperatures contradict .*800.*found 900"):
        mdbench.diffusion([run, hot])
    with pytest.raises(InputError, match=r"900 K, run 1: temperatures contradict"):
        mdbench.conductivity({900: run})


def test_conductivity_needs_temperatures(run):
    with pytest.raises(InputError, match=r"run 2: temperature unknown; .*conductivity\(\{800"):
        mdbench.conductivity([run, silent(run)])


def test_the_same_run_twice(run):
    for ask in (mdbench.diffusion, lambda runs: mdbench.stability(runs, run)):
        with pytest.raises(InputError, match="the same frames twice"):
            ask([run, run])


def test_a_reference_has_the_same_temperature(run):
    with pytest.raises(InputError, match="no reference of this temperature"):
        mdbench.stability(run, run_of(at(900.0), n_frames=120))


def test_errors_name_the_run(run):
    with pytest.raises(InputError, match=r"^run 1: no frames left after equilibration"):
        mdbench.diffusion(run, skip_ps=1e6)
    still = mdbench.Trajectory(run.positions, run.cells, run.atomic_numbers, 0.0 * run.times_ps)
    with pytest.raises(InputError, match=r"^run 1: no time axis"):
        mdbench.diffusion(still)


def test_settings_are_checked(run):
    with pytest.raises(InputError, match="--estimator: expected gls or pymatgen"):
        mdbench.diffusion(run, estimator="ols")
    with pytest.raises(InputError, match="--dr"):
        mdbench.stability(run, run, dr=-1.0)
