"""Small force fields with known answers, and structures for them."""

from dataclasses import dataclass, field

import numpy as np
import torch

from mdbench.compiled import compiled
from mdbench.md.state import Run

#: A triclinic cell of 5 primitive fcc cells a side, sheared, for argon.
SHEAR = np.array([[0.0, 2.65, 2.65], [2.65, 0.0, 2.65], [2.65, 2.65, 0.0]])


class Evaluated:
    """Arrays of an evaluator."""

    def __init__(self, systems):
        self.systems = systems
        n_atoms, n_systems = len(systems.atomic_numbers), systems.n_systems
        self.energies = np.zeros(n_systems)
        self.forces = np.zeros((n_atoms, 3))
        self.virials = np.zeros((n_systems, 3, 3))

    def state(self):
        return {}

    def restore(self, state):
        assert not state


@dataclass(frozen=True)
class Free:
    """No forces."""

    label: str = "free"
    closest: dict[str, float] = field(default_factory=dict, hash=False)

    def evaluator(self, systems):
        return FreeEvaluator(systems)


class FreeEvaluator(Evaluated):
    def evaluate(self, positions, active):
        pass


@dataclass(frozen=True)
class Springs:
    """Springs between atoms i and i + 1, i + 2 … of a ring, of d = u_i − u_j.

    ½ k d² + ½ q (d_x² d_y² + d_y² d_z² + d_z² d_x²), which is chaotic. u is the displacement from
    `grid`; anchors pull every atom back in the same way, with ½ a u² in place of ½ k d².
    """

    k: float = 2.0
    q: float = 0.0
    anchor: float = 0.0
    label: str = "springs"
    strides: tuple[int, ...] = (1, 2, 5)
    closest: dict[str, float] = field(default_factory=dict, hash=False)

    def bonds(self, n_atoms):
        pairs = {
            tuple(sorted((i, (i + s) % n_atoms))) for i in range(n_atoms) for s in self.strides
        }
        return np.array([p for p in sorted(pairs) if p[0] != p[1]], dtype=np.int64).reshape(-1, 2)

    def evaluator(self, systems):
        return SpringEvaluator(systems, self)


class SpringEvaluator(Evaluated):
    def __init__(self, systems, springs):
        super().__init__(systems)
        self.springs = springs
        sizes = np.diff(systems.first_atom)
        self.reference = np.concatenate([grid(n) for n in sizes])
        bonds = [springs.bonds(n) + f for n, f in zip(sizes, systems.first_atom, strict=False)]
        self.bonds = np.concatenate(bonds)
        self.first_bond = np.cumsum([0, *(len(b) for b in bonds)])

    def evaluate(self, positions, active):
        s = self.springs
        _springs(
            positions,
            self.reference,
            self.bonds,
            self.first_bond,
            self.systems.first_atom,
            active,
            (s.k, s.q, s.anchor),
            self.energies,
            self.forces,
        )


@compiled
def _springs(x, x0, bonds, first_bond, first_atom, active, constants, energies, forces):
    k, q, anchor = constants
    d, pull = np.empty(3), np.empty(3)
    for s in range(len(active)):
        if not active[s]:
            continue
        energy = 0.0
        for a in range(first_atom[s], first_atom[s + 1]):
            for c in range(3):
                d[c] = x[a, c] - x0[a, c]
            energy += _spring(d, anchor, q if anchor else 0.0, pull)
            for c in range(3):
                forces[a, c] = -pull[c]
        for b in range(first_bond[s], first_bond[s + 1]):
            i, j = bonds[b, 0], bonds[b, 1]
            for c in range(3):
                d[c] = x[i, c] - x0[i, c] - x[j, c] + x0[j, c]
            energy += _spring(d, k, q, pull)
            for c in range(3):
                forces[i, c] -= pull[c]
                forces[j, c] += pull[c]
        energies[s] = energy


@compiled
def _spring(d, k, q, pull):
    total = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    energy = 0.5 * k * total
    for c in range(3):
        others = total - d[c] * d[c]
        energy += 0.25 * q * d[c] * d[c] * others
        pull[c] = (k + q * others) * d[c]
    return energy


class TorchSprings:
    """The same on a torch device."""

    label = "springs"

    def __init__(self, springs, device="cpu"):
        self.springs, self.device, self.closest = springs, device, springs.closest

    def evaluator(self, systems):
        return TorchSpringEvaluator(SpringEvaluator(systems, self.springs), self.device)


class TorchSpringEvaluator:
    def __init__(self, twin, device):
        self.springs = twin.springs
        to = {"device": device}
        systems = twin.systems
        owner = np.repeat(np.arange(systems.n_systems), np.diff(systems.first_atom))
        self.owner = torch.tensor(owner, **to)
        self.reference = torch.tensor(twin.reference, **to)
        self.bonds = torch.tensor(twin.bonds, **to)
        self.energies = torch.zeros(systems.n_systems, dtype=torch.float64, **to)
        self.forces = torch.zeros_like(self.reference)
        self.virials = torch.zeros((systems.n_systems, 3, 3), dtype=torch.float64, **to)

    def evaluate(self, positions, active):
        s, u = self.springs, positions - self.reference
        i, j = self.bonds[:, 0], self.bonds[:, 1]
        own, pull = _torch_spring(u, s.anchor, s.q if s.anchor else 0.0)
        shared, push = _torch_spring(u[i] - u[j], s.k, s.q)
        forces = (-pull).index_add(0, i, -push).index_add(0, j, push)
        energies = torch.zeros_like(self.energies).index_add(0, self.owner, own)
        energies = energies.index_add(0, self.owner[i], shared)
        self.energies.copy_(torch.where(active, energies, self.energies))
        self.forces.copy_(torch.where(active[self.owner, None], forces, self.forces))

    def state(self):
        return {}

    def restore(self, state):
        assert not state


def _torch_spring(d, k, q):
    squares = d**2
    others = squares.sum(1, keepdim=True) - squares
    return (0.5 * k * squares + 0.25 * q * squares * others).sum(1), (k + q * others) * d


@dataclass(frozen=True)
class LennardJones:
    """Argon, cut off smoothly, minimum image, with a pair list in an order of its own.

    Pairs are summed in the order of their distances when the list was built, so that the forces
    depend on when that was in their last bits.
    """

    epsilon: float = 0.0104
    sigma: float = 3.4
    cutoff: float = 5.0
    skin: float = 0.4
    label: str = "argon"
    closest: dict[str, float] = field(default_factory=dict, hash=False)
    builds: list[int] = field(default_factory=list)

    def evaluator(self, systems):
        return LennardJonesEvaluator(systems, self)


class LennardJonesEvaluator(Evaluated):
    def __init__(self, systems, field):
        super().__init__(systems)
        self.field = field
        self.reference = np.full_like(self.forces, np.inf)
        self.pairs = [np.empty((0, 2), dtype=np.int64)] * systems.n_systems

    def evaluate(self, positions, active):
        f = self.field
        for s, cell in enumerate(self.systems.cells):
            if not active[s]:
                continue
            atoms = slice(*self.systems.first_atom[s : s + 2])
            x, reference = positions[atoms], self.reference[atoms]
            moved = np.linalg.norm(x - reference, axis=1).max()
            if not moved <= 0.5 * f.skin:
                reference[:] = x
                self._build(s, x, cell)
                f.builds.append(s)
            self.energies[s] = _lennard_jones(
                x,
                cell,
                np.linalg.inv(cell),
                self.pairs[s],
                (f.epsilon, f.sigma, f.cutoff),
                self.forces[atoms],
                self.virials[s],
            )

    def _build(self, s, x, cell):
        i, j = np.triu_indices(len(x), 1)
        d = (x[j] - x[i]) @ np.linalg.inv(cell)
        r = np.linalg.norm((d - np.rint(d)) @ cell, axis=1)
        order = np.argsort(r, kind="stable")
        order = order[: np.searchsorted(r[order], self.field.cutoff + self.field.skin)]
        self.pairs[s] = np.stack([i[order], j[order]], axis=1)

    def state(self):
        return {"reference": self.reference}

    def restore(self, state):
        self.reference[:] = state["reference"]
        for s, cell in enumerate(self.systems.cells):
            atoms = slice(*self.systems.first_atom[s : s + 2])
            if np.isfinite(self.reference[atoms]).all():
                self._build(s, self.reference[atoms], cell)


@compiled
def _lennard_jones(x, cell, inverse, pairs, constants, forces, virial):
    epsilon, sigma, cutoff = constants
    forces[:] = 0.0
    virial[:] = 0.0
    d, energy = np.empty(3), 0.0
    for p in range(len(pairs)):
        i, j = pairs[p]
        for k in range(3):
            scaled = 0.0
            for c in range(3):
                scaled += (x[i, c] - x[j, c]) * inverse[c, k]
            d[k] = scaled - np.rint(scaled)
        d = d @ cell
        r = np.sqrt((d * d).sum())
        if r >= cutoff:
            continue
        six = (sigma / r) ** 6
        t = (r / cutoff) ** 2
        switch, slope = (1 - t) ** 3, -6 * (1 - t) ** 2 * r / cutoff**2
        bare = 4 * epsilon * (six * six - six)
        energy += bare * switch
        push = 24 * epsilon * (2 * six * six - six) / r * switch - bare * slope
        for k in range(3):
            forces[i, k] += push * d[k] / r
            forces[j, k] -= push * d[k] / r
            for c in range(3):
                virial[k, c] += push * d[k] * d[c] / r
    return energy


def grid(n_atoms):
    """(n_atoms, 3) Å, places 3 Å apart."""
    side = int(np.ceil(n_atoms ** (1 / 3)))
    places = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1)
    return 3.0 * places.reshape(-1, 3)[:n_atoms] + 1.0


def crystal(n_atoms, temperature_k=300.0, *, replica=0, numbers=(3, 16, 15), material="crystal"):
    """Atoms on `grid`, of several elements in turn."""
    side = 3.0 * int(np.ceil(n_atoms ** (1 / 3)))
    return Run(
        material=material,
        atomic_numbers=np.resize(numbers, n_atoms),
        positions=grid(n_atoms),
        cell=np.eye(3) * side,
        temperature_k=temperature_k,
        replica=replica,
    )


def argon(temperature_k=60.0, *, replica=0, cells=4):
    """Argon in a triclinic cell of so many primitive fcc cells a side."""
    scaled = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return Run(
        material="argon",
        atomic_numbers=np.full(cells**3, 18),
        positions=scaled @ SHEAR,
        cell=cells * SHEAR,
        temperature_k=temperature_k,
        replica=replica,
    )


def together(chunks):
    """All frames of each run, their end reasons, and the last snapshot."""
    chunks = list(chunks)
    runs = []
    for s in range(len(chunks[-1].frames)):
        parts = [chunk.frames[s] for chunk in chunks]
        runs.append(
            {
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in vars(parts[0])
                if getattr(parts[0], name) is not None
            }
        )
    return runs, chunks[-1].end_reasons, chunks[-1].snapshot
