"""What an evaluation takes of memory: counted, the same each time, enough for what happens."""

import gc

import numpy as np
import pytest
import torch

from mdbench.graph import build_graph
from mdbench.models import MODELS, create, parse_name
from mdbench.models.memory import bytes_per_edge, most_bytes
from mdbench.testing.systems import graph, random_system


def small(name):
    return create(parse_name(f"{name}-small"), seed=0).eval().requires_grad_(False)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_same_each_time(name):
    """Else batches would be cut differently when a simulation is gone on with."""
    model = small(name)
    found = bytes_per_edge(model)
    graph(model, random_system(0))
    assert bytes_per_edge(model) == found > 0.0


@pytest.mark.parametrize("name", ["leftnet", "forcenet"])
def test_tensors_are_counted_while_they_are_alive(name):
    """At least those of the result, and no more than torch has allocated in all."""
    model = small(name)
    crystal = build_graph(
        np.full(64, 3), 2.6 * np.array(list(np.ndindex(4, 4, 4)), float), 10.4 * np.eye(3), 5.0
    )
    least = model.predict(crystal).forces.nbytes
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        model.predict(crystal)
    every = sum(max(0, event.cpu_memory_usage) for event in profile.function_events)
    assert least < most_bytes(model, crystal) <= every


def test_what_is_gone_does_not_count():
    class Chain(torch.nn.Module):
        def predict(self, graph):
            x = graph
            for _ in range(10):
                x = torch.sin(x)

    gc.collect()
    x = torch.zeros(1_000)
    assert most_bytes(Chain(), x) == 2 * x.nbytes
