import dataclasses

import pytest
from mdbench_cli.main import COMMANDS
from mdbench_workflows.batches import batches
from mdbench_workflows.entries import control, read_entries
from mdbench_workflows.plan import STAGES, make_plan
from mdbench_workflows.profile import Profile, Reference, Rollouts, Training, read_profile

from mdbench.errors import InputError

SMALL = Profile(
    reference=Reference(materials=("lgps", "li3ps4"), temperatures="800,1000", replicas=2, ps=5.0),
    training=Training(material="lgps", fraction=0.1, budget="5s"),
    rollouts=Rollouts(temperatures="800,1200", replicas=3, ps=1.0),
)


def plan(profile=SMALL, names=("schnet-small", "cgcnn-small:published", "my:Calc")):
    entries = [*read_entries(names, size="small", seed=0), control("refpot")]
    return make_plan(profile, entries)


def by_id(tasks):
    return {task.id: task for task in tasks}


def test_every_task_comes_after_what_it_needs() -> None:
    tasks = plan()
    place = {task.id: n for n, task in enumerate(tasks)}
    assert len(place) == len(tasks)
    assert all(place[before] < place[task.id] for task in tasks for before in task.after)
    assert [s for s in STAGES if any(t.stage == s for t in tasks)] == [
        s for s in STAGES if s != "ingest"
    ]


def test_what_is_read_is_made_before() -> None:
    """Each path of the run folder in a command is an output of a task before it."""
    tasks = by_id(plan())
    for task in tasks.values():
        made = {name for before in task.after for name in tasks[before].outputs}
        made |= {name.rpartition("/")[0] for name in made}
        words = [word for command in task.commands for word in command]
        read = [w for w in words if w.startswith(("models/", "dataset/"))]
        assert set(read) <= made, task.id


def test_outputs_are_made_once() -> None:
    outputs = [name for task in plan() for name in task.outputs]
    assert len(set(outputs)) == len(outputs)


def test_commands_are_known() -> None:
    assert {command[0] for task in plan() for command in task.commands} <= set(COMMANDS)


def test_rollouts_at_temperatures_that_the_reference_has() -> None:
    (simulate,) = (t for t in plan() if t.id == "simulate/refpot-lgps")
    assert simulate.outputs == tuple(f"rollouts/refpot/lgps/800K-r{i}.h5" for i in range(3))
    assert simulate.after == ("reference/lgps",)
    assert "analyze/reference" not in simulate.after
    (command,) = simulate.commands
    assert command[command.index("--temps") + 1] == "800"


def test_what_is_not_trained_is_not_waited_for() -> None:
    tasks = by_id(plan())
    assert "train/my.Calc" not in tasks
    assert tasks["audit/my.Calc"].after == ()
    assert tasks["audit/schnet-small-s0"].after == ("train/schnet-small-s0",)
    assert "evaluate/refpot" not in tasks  # it is the reference
    assert "evaluate/my.Calc" in tasks


def test_only_what_depends_on_a_setting_changes() -> None:
    before = by_id(plan())

    def changed(profile):
        return {name for name, task in by_id(plan(profile)).items()
                if task.fingerprint != before[name].fingerprint}  # fmt: skip

    assert changed(SMALL) == set()
    rollouts = dataclasses.replace(SMALL.rollouts, ps=2.0)
    assert {name.partition("/")[0] for name in changed(
        dataclasses.replace(SMALL, rollouts=rollouts)
    )} == {"simulate", "analyze"}  # fmt: skip
    training = dataclasses.replace(SMALL.training, budget="6s")
    found = changed(dataclasses.replace(SMALL, training=training))
    assert found == {
        f"{stage}/{source}{what}"
        for stage in ("train", "evaluate", "audit", "simulate", "analyze")
        for source in ("schnet-small-s0", "cgcnn-small@published-s0")
        for what in (("-lgps", "-li3ps4") if stage == "simulate" else ("",))
    }


def test_an_unknown_material_to_train_on() -> None:
    training = dataclasses.replace(SMALL.training, material="li3ps")
    with pytest.raises(InputError, match="did you mean li3ps4"):
        plan(dataclasses.replace(SMALL, training=training))


def test_batches() -> None:
    tasks = plan()
    alone = batches(tasks, "task")
    assert [batch.tasks for batch in alone] == [(task.id,) for task in tasks]
    stages = batches(tasks, "stage")
    assert len(stages) == len(STAGES) - 1 + 1  # none ingests; the reference is analyzed by itself
    for found in (alone, stages):
        assert sorted(r for b in found for r in b.records) == sorted(t.record for t in tasks)
        assert len({batch.name for batch in found}) == len(found)
        assert all(not set(batch.records) & set(batch.needs) for batch in found)
    assert all(batch.share == 1.0 for batch in stages if batch.name.startswith("simulate"))
    assert all(batch.share == 0.25 for batch in alone if batch.name.startswith("simulate"))
    assert {batch.share for batch in alone if batch.name.startswith("train")} == {0.0}
    priority = {batch.tasks[0]: batch.priority for batch in alone}
    assert priority["reference/li3ps4"] > priority["train/schnet-small-s0"]
    slow, fast = "simulate/schnet-small-s0-lgps", "simulate/schnet-small-s0-li3ps4"
    assert priority["simulate/my.Calc-lgps"] > priority[slow] > priority[fast]
    done: set[str] = set()  # no two batches wait for each other
    for batch in stages:
        assert set(batch.needs) <= done
        done |= set(batch.records)


def test_shipped_profiles_make_plans() -> None:
    for name in ("smoke", "laptop", "gpu", "paper"):
        profile = read_profile(name)
        entries = read_entries(profile.models, size=profile.size, seed=0)
        assert make_plan(profile, entries)
