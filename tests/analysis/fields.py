"""A small many-body force field, and the same with one thing wrong."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from mdbench.neighbors import neighbor_list

#: Two elements in a triclinic cell.
NUMBERS = np.array([11, 17, 11, 17, 17, 11, 11, 17])
CELL = np.array([[5.6, 0.0, 0.0], [0.7, 5.4, 0.0], [-0.5, 0.6, 5.8]])
POSITIONS = (
    np.array(
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]]
    )
    / 2.0
) @ CELL


class Field:
    """E = Σ_i c_i (ρ_i + ρ_i²/10 + |v_i|²/2), ρ_i = Σ_j w_j f(r_ij), v_i = Σ_j w_j f(r_ij) d_ij/r.

    |v|² depends on angles; f vanishes at the cutoff with slope and curvature. Hooks for faults are
    the methods `radial`, `directions`, `atoms` and `total`.
    """

    label = "field"
    closest: ClassVar[dict[str, float]] = {}
    cutoff = 4.0
    dtype = torch.float64

    def evaluator(self, systems):
        return Evaluator(self, systems)

    def pairs(self, positions, cells, first_atom):
        """Atoms i and j of each directed edge, and the shift of the latter, Å."""
        found = neighbor_list(positions, cells, self.cutoff, first_atom=first_atom)
        owner = np.repeat(np.arange(len(cells)), np.diff(first_atom))
        i, j = found.pairs.T
        return i, j, np.einsum("ek,ekc->ec", found.cell_shifts, cells[owner[i]])

    def radial(self, r):
        return torch.exp(-0.5 * r) * (1.0 - (r / self.cutoff) ** 2) ** 3

    def directions(self, d, r):
        return d / r[:, None]

    def atoms(self, rho, v, x):
        return rho + 0.1 * rho**2 + 0.5 * (v**2).sum(1)

    def total(self, energies, owner, n_systems):
        return torch.zeros(n_systems, dtype=energies.dtype).index_add(0, owner, energies)

    def forces(self, energies, x, d):
        """By the positions and by the edge vectors, minus the derivative."""
        return torch.autograd.grad(-energies.sum(), (x, d), allow_unused=True)


class Evaluator:
    def __init__(self, field, systems):
        self.field, self.systems = field, systems
        n_atoms, n_systems = len(systems.atomic_numbers), systems.n_systems
        self.energies = np.zeros(n_systems)
        self.forces = np.zeros((n_atoms, 3))
        self.virials = np.zeros((n_systems, 3, 3))
        self.owner = np.repeat(np.arange(n_systems), np.diff(systems.first_atom))

    def evaluate(self, positions, active):
        assert active.all()
        s, field = self.systems, self.field
        i, j, shifts = field.pairs(positions, s.cells, s.first_atom)
        x = torch.tensor(positions, dtype=field.dtype, requires_grad=True)
        d = x[j] - x[i] + torch.tensor(shifts, dtype=field.dtype)
        d.requires_grad_()
        z = torch.tensor(s.atomic_numbers, dtype=field.dtype)
        r = d.norm(dim=1)
        weights = (0.3 + 0.05 * z)[j] * field.radial(r)
        edges = torch.tensor(i)
        rho = torch.zeros_like(z).index_add(0, edges, weights)
        v = torch.zeros_like(x).index_add(0, edges, weights[:, None] * field.directions(d, r))
        energies = torch.sin(z) * field.atoms(rho, v, x)
        energies = field.total(energies, torch.tensor(self.owner), s.n_systems)
        forces, on_edges = field.forces(energies, x, d)
        virials = torch.zeros((s.n_systems, 3, 3), dtype=field.dtype)
        outer = d.detach()[:, :, None] * on_edges[:, None, :]
        virials.index_add_(0, torch.tensor(self.owner)[edges], outer)
        self.energies[:] = energies.detach().numpy()
        self.forces[:] = forces.numpy()
        self.virials[:] = virials.numpy()

    def state(self):
        return {}

    def restore(self, state):
        assert not state


class Single(Field):
    dtype = torch.float32


class MeanReadout(Field):
    """As published for three of the benchmark's models: forces of a doubled cell are halved."""

    def total(self, energies, owner, n_systems):
        return super().total(energies, owner, n_systems) / torch.bincount(owner)


class DetachedAngles(Field):
    """Angles without gradient: forces are not the slope of the energy."""

    def directions(self, d, r):
        return super().directions(d, r).detach()


class BiasedVectors(Field):
    """A bias on vector channels."""

    def atoms(self, rho, v, x):
        return super().atoms(rho, v + torch.tensor([0.1, 0.0, 0.2], dtype=v.dtype), x)


class ChiralEvaluator(Evaluator):
    """With three vectors an atom, and their determinant in the energy."""

    def evaluate(self, positions, active):
        s, field = self.systems, self.field
        i, j, shifts = field.pairs(positions, s.cells, s.first_atom)
        x = torch.tensor(positions, requires_grad=True)
        d = x[j] - x[i] + torch.tensor(shifts)
        r, edges = d.norm(dim=1), torch.tensor(i)
        weights = field.radial(r) * torch.tensor(0.3 + 0.05 * s.atomic_numbers)[j]
        v = torch.zeros((len(x), 3, 3), dtype=x.dtype)
        v = v.index_add(0, edges, weights[:, None, None] * field.directions(d, r))
        energies = (v**2).sum((1, 2)) + 50.0 * torch.linalg.det(v)
        total = field.total(energies, torch.tensor(self.owner), s.n_systems)
        (gradient,) = torch.autograd.grad(total.sum(), x)
        self.energies[:] = total.detach().numpy()
        self.forces[:] = -gradient.numpy()
        self.virials[:] = np.nan


class Chiral(Field):
    """A term that changes its sign in a mirror: the triple product of three sums of vectors."""

    def directions(self, d, r):
        return torch.stack([d / r[:, None] ** n for n in (1, 2, 3)], dim=2)  # (E, 3, 3)

    def evaluator(self, systems):
        return ChiralEvaluator(self, systems)


class EnergyJump(Field):
    """No envelope."""

    def radial(self, r):
        return 0.1 * torch.exp(-0.5 * r)


class ForceJump(Field):
    """The energy is continuous at the cutoff, forces are not."""

    def radial(self, r):
        return torch.exp(-0.5 * r) * (1.0 - r / self.cutoff)


class CurvatureJump(Field):
    """Energy and forces are continuous at the cutoff, the slope of forces is not."""

    def radial(self, r):
        return torch.exp(-0.5 * r) * (1.0 - r / self.cutoff) ** 2


class SmallJump(Field):
    """A jump of a millionth of the energy of a pair, which no scan sees."""

    def radial(self, r):
        return super().radial(r) + 1e-6


class NearestNeighbors(Field):
    """The six nearest neighbors of each atom: a jump where two of them change places."""

    def pairs(self, positions, cells, first_atom):
        i, j, shifts = super().pairs(positions, cells, first_atom)
        r = np.linalg.norm(positions[j] - positions[i] + shifts, axis=1)
        order = np.lexsort((r, i))
        rank = np.arange(len(i)) - np.searchsorted(i[order], i[order])
        kept = np.sort(order[rank < 6])
        return i[kept], j[kept], shifts[kept]


class UnwrappedImages(Field):
    """Images in two layers of cells around the atoms as they are given."""

    def pairs(self, positions, cells, first_atom):
        found = []
        steps = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)
        for s, cell in enumerate(cells):
            x = positions[first_atom[s] : first_atom[s + 1]]
            for shift in steps @ cell:
                r = np.linalg.norm(x[None] + shift - x[:, None], axis=2)
                i, j = np.nonzero((r < self.cutoff) & (r > 1e-9))
                found.append((i + first_atom[s], j + first_atom[s], np.tile(shift, (len(i), 1))))
        i, j, shifts = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.argsort(i, kind="stable")
        return i[order], j[order], shifts[order]


class Dropout(Field):
    """Training mode: a part of the atoms is left out, others at every call."""

    def atoms(self, rho, v, x):
        return torch.nn.functional.dropout(super().atoms(rho, v, x), 0.5)


class BatchStatistics(Field):
    """Energies of atoms over their standard deviation in the whole batch."""

    def atoms(self, rho, v, x):
        energies = super().atoms(rho, v, x)
        return energies / energies.std(correction=0)


class InOrder(Field):
    """Every other atom of the file counts more."""

    def atoms(self, rho, v, x):
        return super().atoms(rho, v, x) * (1.0 + 0.1 * (torch.arange(len(rho)) % 2))


class AbsolutePositions(Field):
    """Frames of positions as they are given."""

    def atoms(self, rho, v, x):
        return super().atoms(rho, v, x) * (1.0 + 0.1 * torch.tanh(0.01 * (x**2).sum(1)))


class StaleList(Field):
    """A neighbor list that is never built again."""

    def evaluator(self, systems):
        field = Field()
        field.known = None

        def pairs(*where):
            field.known = field.known or Field.pairs(field, *where)
            return field.known

        field.pairs = pairs
        return Evaluator(field, systems)


class WrongVirial(Field):
    """Stress of the other sign."""

    def forces(self, energies, x, d):
        on_atoms, on_edges = super().forces(energies, x, d)
        return on_atoms, -on_edges


class DirectForces(Field):
    """Forces that turn about the sum of the directions to the neighbors, which no energy does."""

    def atoms(self, rho, v, x):
        self.axes = v.detach()
        return super().atoms(rho, v, x)

    def forces(self, energies, x, d):
        on_atoms, on_edges = super().forces(energies, x, d)
        return on_atoms + 0.1 * self.axes, on_edges


class NotANumber(Field):
    def forces(self, energies, x, d):
        on_atoms, on_edges = super().forces(energies, x, d)
        return on_atoms * torch.nan, on_edges
