"""`refpot-v1` on any torch device: the twin of the machine code, many systems at once.

The same formulas (`refpot`), written as whole-tensor operations over the edges; forces and
virials are derivatives by the edge vectors, taken by autograd. In float64 it agrees with the
machine code to rounding, but not to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from mdbench.neighbors_torch import moved_too_far, neighbor_list
from mdbench.potentials.base import Systems
from mdbench.potentials.refpot import PARAMETERS, Parameters, RefPot, species_of


class _Edges(NamedTuple):
    """Pairs within cutoff and skin, and what does not change while their list lasts.

    Attributes:
        i: (E,) atoms …
        j: (E,) … and their neighbors.
        shifts: (E, 3) Å, S @ cell.
        system: (E,)
        terms: (8, E) the columns of `Tables.kinds`.
        bonds: (B,) those edges that may be bonds …
        signs: (B, 1) … 1 where the center comes first, else −1.
        angles: (2, T) pairs of `bonds` with the same center.
    """

    i: Tensor
    j: Tensor
    shifts: Tensor
    system: Tensor
    terms: Tensor
    bonds: Tensor
    signs: Tensor
    angles: Tensor


class RefPotTorch:
    """The embedded reference potential on tensors.

    Args:
        parameters: Other numbers in the same formulas.
        skin: By how much the neighbor list reaches beyond the cutoff, Å.
        device: Where to compute.
    """

    def __init__(
        self,
        parameters: Parameters = PARAMETERS,
        *,
        skin: float = 1.0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.parameters = parameters
        self.skin = skin
        self.device = torch.device(device)
        self.label = RefPot(parameters).label
        self.closest: Mapping[str, float] = {}

    def evaluator(self, systems: Systems) -> RefPotTorchEvaluator:
        """An evaluator for these systems; one neighbor list serves all.

        Raises:
            InputError: An element other than Ge, Li, P and S.
        """
        return RefPotTorchEvaluator(systems, self.parameters, self.skin, self.device)


class RefPotTorchEvaluator:
    """Energies, forces and virials of some systems: `base.Evaluator`, with tensors for arrays."""

    def __init__(
        self, systems: Systems, parameters: Parameters, skin: float, device: torch.device
    ) -> None:
        tables = parameters.tables(skin)
        self._parameters, self._skin = parameters, skin
        self._cells = torch.tensor(systems.cells, dtype=torch.float64, device=device)
        self._sizes = torch.tensor(systems.first_atom, device=device).diff()
        self._species = torch.tensor(species_of(systems.atomic_numbers), device=device)
        self._kinds = torch.tensor(tables.kinds, device=device)
        self._kind_of = torch.tensor(tables.kind_of, device=device)
        n_systems, n_atoms = systems.n_systems, len(systems.atomic_numbers)
        self._owner = torch.repeat_interleave(torch.arange(n_systems, device=device), self._sizes)
        self.energies = self._cells.new_zeros(n_systems)
        self.forces = self._cells.new_zeros(n_atoms, 3)
        self.virials = self._cells.new_zeros(n_systems, 3, 3)
        self._reference = self._cells.new_full((n_atoms, 3), torch.nan)
        self._edges: _Edges | None = None

    def evaluate(self, positions: Tensor, active: Tensor) -> None:
        """Computes energies, forces and virials in place.

        A system with positions that are not finite gets NaN.

        Args:
            positions: (n_atoms, 3) Å, float64, wrapped or not.
            active: (n_systems,) the others keep what they have.
        """
        usable = active & (self._per_system((~positions.isfinite()).any(dim=1).double()) == 0.0)
        x = torch.where(usable[self._owner, None], positions.detach(), self._reference)
        if self._edges is None or bool(self._is_outdated(x)):
            self._reference, self._edges = x, self._list(x)
        edges = self._edges
        vectors = (x[edges.j] + edges.shifts - x[edges.i]).requires_grad_()
        with torch.enable_grad():
            energies = self._energies(vectors, edges)
            (gradient,) = torch.autograd.grad(energies.sum(), vectors)
        forces = torch.zeros_like(x)
        forces.index_add_(0, edges.i, gradient)
        forces.index_add_(0, edges.j, gradient, alpha=-1.0)
        products = vectors.detach()[:, :, None] * gradient[:, None]  # (E, 3, 3)
        virials = torch.zeros_like(self.virials).index_add_(0, edges.system, products, alpha=-1.0)
        self._keep(energies.detach(), forces, virials, active, usable)

    def state(self) -> dict[str, NDArray[Any]]:
        """Where the neighbor list was built, and for which systems."""
        missing = self._per_system(self._reference.isnan().any(dim=1).double()) > 0.0
        return {
            "list_positions": self._reference.nan_to_num().cpu().numpy(),
            "has_list": (~missing).cpu().numpy(),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Builds the list where it was built then."""
        positions = torch.as_tensor(state["list_positions"]).to(self._reference)
        has_list = torch.as_tensor(state["has_list"], device=positions.device)
        self._reference = torch.where(has_list[self._owner, None], positions, torch.nan)
        self._edges = self._list(self._reference)

    def _per_system(self, values: Tensor) -> Tensor:
        """(n_systems,) sums of (n_atoms,) values."""
        return values.new_zeros(len(self._cells)).index_add_(0, self._owner, values)

    def _is_outdated(self, x: Tensor) -> Tensor:
        """() whether pairs may lack, or a system has no list yet."""
        is_new = (self._reference.isnan() & x.isfinite()).any()
        return is_new | moved_too_far(x, self._reference, self._skin)

    def _keep(
        self, energies: Tensor, forces: Tensor, virials: Tensor, active: Tensor, usable: Tensor
    ) -> None:
        """Puts the results of the active systems in place."""
        lost = active & ~usable
        for old, new, of_system in (
            (self.energies, energies, slice(None)),
            (self.forces, forces, self._owner),
            (self.virials, virials, slice(None)),
        ):
            shape = (-1, *[1] * (old.ndim - 1))
            torch.where(usable[of_system].view(shape), new, old, out=old)
            old.masked_fill_(lost[of_system].view(shape), torch.nan)

    def _list(self, x: Tensor) -> _Edges:
        """The edges at (n_atoms, 3) positions in Å; systems with NaN have none."""
        cutoff, reach = self._parameters.cutoff, self._parameters.angle_reach
        bad = self._per_system(x.isnan().any(dim=1).double()) > 0.0
        kept = (~bad[self._owner]).nonzero()[:, 0]
        first_atom = torch.cat((self._sizes.new_zeros(1), self._sizes[~bad].cumsum(0)))
        found = neighbor_list(
            x[kept], self._cells[~bad], first_atom, cutoff + self._skin, half=True
        )
        i, j = kept[found.edge_index]
        shifts = torch.einsum("ek,ekm->em", found.cell_shifts.to(x), self._cells[self._owner[i]])
        terms = self._kinds[self._kind_of[self._species[i], self._species[j]]].T
        near = torch.linalg.vector_norm(x[j] + shifts - x[i], dim=1)
        near_enough = near < max(self._parameters.switch[1], reach) + self._skin
        bonds = ((terms[4] != 0.0) & near_enough).nonzero()[:, 0]
        first_is_center = self._species[i[bonds]] < self._species[j[bonds]]
        centers = torch.where(first_is_center, i[bonds], j[bonds])
        order = torch.argsort(centers, stable=True)
        return _Edges(
            i=i,
            j=j,
            shifts=shifts,
            system=self._owner[i],
            terms=terms.contiguous(),
            bonds=bonds[order],
            signs=torch.where(first_is_center, 1.0, -1.0)[order, None].to(x),
            angles=_pairs_of_equals(centers[order]),
        )

    def _energies(self, vectors: Tensor, edges: _Edges) -> Tensor:
        """(n_systems,) eV of the edges' (E, 3) vectors in Å."""
        rc = self._parameters.cutoff
        charge, strength, length, dispersion, depth, steepness, rest, angle = edges.terms
        r = torch.linalg.vector_norm(vectors, dim=1)
        x = r - rc
        pair = charge * (
            1.0 / r - 15.0 / (8.0 * rc) + 5.0 * r**2 / (4.0 * rc**3) - 3.0 * r**4 / (8.0 * rc**5)
        )
        t = x / length
        pair = pair + strength * (
            torch.exp(-r / length) - torch.exp(-rc / length) * (1.0 - t + 0.5 * t * t)
        )
        pair = pair - dispersion * (r**-6 - rc**-6 + 6.0 * x * rc**-7 - 21.0 * x**2 * rc**-8)
        pair = torch.where(r < rc, pair, 0.0)
        energies = vectors.new_zeros(len(self._cells)).index_add(0, edges.system, pair)

        r = r[edges.bonds]
        low, high = self._parameters.switch
        t = ((r - low) / (high - low)).clamp(0.0, 1.0)
        switch = 1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t**2)
        decay = torch.exp(-steepness[edges.bonds] * (r - rest[edges.bonds]))
        bond = depth[edges.bonds] * decay * (decay - 2.0) * switch
        energies = energies.index_add(0, edges.system[edges.bonds], bond)

        gap = r - self._parameters.angle_reach
        inside = gap < 0.0
        h = torch.where(inside, torch.exp(1.0 / torch.where(inside, gap, -1.0)), 0.0)
        directions = edges.signs * vectors[edges.bonds] / r[:, None]
        a, b = edges.angles
        cosines = (directions[a] * directions[b]).sum(dim=1)
        bend = angle[edges.bonds[a]] * h[a] * h[b] * (cosines + 1.0 / 3.0) ** 2
        return energies.index_add(0, edges.system[edges.bonds[a]], bend)


def _pairs_of_equals(values: Tensor) -> Tensor:
    """(2, n_pairs) places a < b of equal values in a sorted (n,) tensor."""
    _, counts = torch.unique_consecutive(values, return_counts=True)
    places = torch.arange(len(values), device=values.device)
    later = torch.repeat_interleave(counts.cumsum(0), counts) - places - 1
    a = torch.repeat_interleave(places, later)
    within = torch.arange(len(a), device=a.device) - (later.cumsum(0) - later)[a]
    return torch.stack((a, a + 1 + within))
