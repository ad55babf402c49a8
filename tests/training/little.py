"""Small data that a network can learn, and a clock that counts steps."""

import numpy as np
import torch

from mdbench.graph import build_graph
from mdbench.models import create, parse_name
from mdbench.samples import Samples
from mdbench.training.batches import FrameSet

CELL = np.array([[4.3, 0.0, 0.0], [0.4, 4.1, 0.0], [-0.3, 0.5, 4.6]])
SITES = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]])
NUMBERS = np.array([3, 3, 16, 16])


def teacher():
    """A network of other weights: what it says can be learned."""
    model = create(parse_name("schnet-small"), seed=11, n_channels=8, n_filters=8, n_layers=1)
    model.energy_scale.fill_(2.0)
    model.energy_shifts[3], model.energy_shifts[16] = -1.0, -4.0
    return model


def samples(n=24, seed=0, *, numbers=NUMBERS, material="salt"):
    """Distorted crystals of four atoms with the teacher's energies and forces."""
    rng = np.random.default_rng(seed)
    positions = SITES @ CELL + rng.normal(0.0, 0.15, (n, 4, 3))
    model = teacher()
    energies, forces = [], []
    for x in positions:
        made = model.predict(build_graph(numbers, x, CELL, model.cutoff))
        energies.append(float(made.energies[0]))
        forces.append(made.forces.numpy())
    return Samples(
        material=material,
        atomic_numbers=numbers,
        positions=positions,
        cells=np.tile(CELL, (n, 1, 1)),
        energies=np.array(energies),
        forces=np.array(forces),
        temperatures_k=np.resize([300.0, 400.0, 500.0], n),
        runs=np.arange(n) % 2,
        frames=np.arange(n),
    )


def frame_set(parts, **kwargs):
    """Frames as schnet-small wants them."""
    return FrameSet(parts, 5.0, 500, device=torch.device("cpu"), **kwargs)


class Steps:
    """A clock that a step moves by one second; it stops the training after `last` steps."""

    def __init__(self, last=None):
        self.n, self.last = 0, last

    def clock(self):
        return float(self.n)

    def stop(self):
        self.n += 1
        return self.n == self.last
