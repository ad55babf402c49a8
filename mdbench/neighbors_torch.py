"""The pairs of `neighbors` on any torch device, many systems at once, without numba.

Atoms are sorted into the boxes of a grid, one grid for each system, and each atom is held against
those in the boxes around it: cost linear in the number of atoms.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mdbench.errors import InputError

#: More boxes around an atom than this are a mistake, not a question.
_MOST_BOXES = 1e6
#: By how much bounds are widened, so that rounding loses no pair; its distance then decides.
_MARGIN = 1e-9


class EdgeList(NamedTuple):
    """Pairs of atoms that are closer than a cutoff, as tensors.

    Attributes:
        edge_index: (2, n_edges) atoms i and j, counted through all systems.
        cell_shifts: (n_edges, 3) whole lattice vectors S: the edge's vector is
            x[j] + S @ cell − x[i].
    """

    edge_index: Tensor
    cell_shifts: Tensor


class _Grid(NamedTuple):
    """Atoms in the boxes of each system's grid.

    Attributes:
        shape: (n_systems, 3) boxes along the lattice vectors.
        places: (n_atoms, 3) the box of each atom.
        first_box: (n_systems,) where the boxes of a system begin in the list of all boxes.
        starts: (n_boxes + 1,) where the atoms of a box begin in `atoms`.
        atoms: (n_atoms,) all atoms, box by box.
    """

    shape: Tensor
    places: Tensor
    first_box: Tensor
    starts: Tensor
    atoms: Tensor


def neighbor_list(
    positions: Tensor, cells: Tensor, first_atom: Tensor, cutoff: float, *, half: bool = False
) -> EdgeList:
    """All pairs of atoms closer than the cutoff: the same ones in the same order as `neighbors`.

    Args:
        positions: (n_atoms, 3) Å, float64, wrapped or not.
        cells: (n_systems, 3, 3) Å, row vectors.
        first_atom: (n_systems + 1,) where each system's atoms begin, and the end of the last one.
        cutoff: Å; a pair at exactly this distance is none.
        half: Each unordered pair once, with i < j, or i = j and the first shift that is not 0
            above 0; else each pair in both directions.

    Raises:
        InputError: Positions that are not finite, a cell without volume, a senseless cutoff.
    """
    _check(positions, cells, cutoff)
    cells = cells.to(positions)
    device = positions.device
    sizes = first_atom.diff()
    system = torch.repeat_interleave(torch.arange(len(cells), device=device), sizes)
    inverses = torch.linalg.inv(cells)
    heights = 1.0 / torch.linalg.vector_norm(inverses, dim=1)  # (S, 3)
    fractions = torch.einsum("ak,akm->am", positions, inverses[system])
    wraps = fractions.floor()
    grid = _grid(fractions - wraps, heights, system, sizes, cutoff)
    reach = (cutoff * grid.shape / heights + _MARGIN).ceil().long()  # (S, 3)
    i, j, turns = _candidates(grid, reach, system, half)
    shifts = turns - wraps.long()[j] + wraps.long()[i]
    edges = _edge_vectors(positions, cells[system[i]], i, j, shifts)
    close = (edges * edges).sum(dim=1) < cutoff * cutoff
    close &= _counted(i, j, shifts, half)
    i, j, turns, shifts = i[close], j[close], turns[close], shifts[close]
    order = _order(i, j, turns, len(positions))
    return EdgeList(torch.stack((i[order], j[order])), shifts[order])


def moved_too_far(positions: Tensor, reference: Tensor, skin: float) -> Tensor:
    """() whether an atom has moved by more than half the skin, so that pairs may lack.

    Args:
        positions: (n_atoms, 3) Å, not wrapped in between.
        reference: (n_atoms, 3) Å, where the list was built.
        skin: Å, by how much the list reaches beyond the cutoff.
    """
    return ((positions - reference).square().sum(dim=1) > 0.25 * skin * skin).any()


def _check(positions: Tensor, cells: Tensor, cutoff: float) -> None:
    if not (math.isfinite(cutoff) and cutoff > 0.0):
        raise InputError("cutoff", expected="a length above 0 A", found=f"{cutoff:g}")
    if positions.ndim != 2 or positions.shape[1] != 3 or not bool(positions.isfinite().all()):
        raise InputError("positions", expected="finite, (atoms, 3)", found=tuple(positions.shape))
    lengths = torch.linalg.vector_norm(cells, dim=2).prod(dim=1)
    flat = ~(torch.linalg.det(cells).abs() > 1e-6 * lengths)
    if bool(flat.any()):
        system = int(flat.nonzero()[0, 0])
        raise InputError(
            f"cell of system {system}",
            expected="three lattice vectors that span a volume",
            found=cells[system].tolist(),
        )


def _grid(wrapped: Tensor, heights: Tensor, system: Tensor, sizes: Tensor, cutoff: float) -> _Grid:
    """Boxes of about half the cutoff, no more than about one for each atom."""
    boxes = (2.0 * heights / cutoff - _MARGIN).clamp(min=1.0)
    crowd = (boxes.prod(dim=1) / sizes.clamp(min=1)).clamp(min=1.0)
    shape = (boxes / crowd[:, None] ** (1.0 / 3.0)).clamp(min=1.0).long()
    n_boxes = shape.prod(dim=1)
    first_box = n_boxes.cumsum(0) - n_boxes
    places = torch.minimum((wrapped * shape[system]).long(), shape[system] - 1)
    box = first_box[system] + _flat(places, shape[system])
    starts = torch.zeros(int(n_boxes.sum()) + 1, dtype=torch.long, device=box.device)
    starts[1:] = torch.bincount(box, minlength=len(starts) - 1).cumsum(0)
    return _Grid(shape, places, first_box, starts, torch.argsort(box, stable=True))


def _flat(places: Tensor, shape: Tensor) -> Tensor:
    """(…,) the number of a box within its grid."""
    return (places[..., 0] * shape[..., 1] + places[..., 1]) * shape[..., 2] + places[..., 2]


def _candidates(
    grid: _Grid, reach: Tensor, system: Tensor, half: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Atoms i and j whose boxes are near each other, and by which images of the wrapped cell."""
    most = reach.amax(dim=0)
    if float((2.0 * most + 1.0).prod()) > _MOST_BOXES:
        raise InputError(
            "cutoff",
            expected=f"at most {_MOST_BOXES:.0e} periodic images of a pair within it",
            found=f"{most.tolist()} along the lattice vectors",
            remedy="lower the cutoff",
        )
    steps = [torch.arange(-int(m), int(m) + 1, device=reach.device) for m in most]
    offsets = torch.cartesian_prod(*steps)  # (B, 3)
    of_system = (offsets.abs() <= reach[:, None]).all(dim=2)  # (S, B)
    atom, step = of_system[system].nonzero(as_tuple=True)
    shape = grid.shape[system[atom]]
    place = grid.places[atom] + offsets[step]
    turns = torch.div(place, shape, rounding_mode="floor")
    box = grid.first_box[system[atom]] + _flat(place - turns * shape, shape)
    counts = grid.starts[box + 1] - grid.starts[box]
    which = torch.repeat_interleave(torch.arange(len(box), device=box.device), counts)
    within = torch.arange(len(which), device=box.device) - (counts.cumsum(0) - counts)[which]
    i, j = atom[which], grid.atoms[grid.starts[box[which]] + within]
    kept = (i <= j) | (not half)
    return i[kept], j[kept], turns[which[kept]]


def _edge_vectors(positions: Tensor, cells: Tensor, i: Tensor, j: Tensor, shifts: Tensor) -> Tensor:
    """(n_edges, 3) Å, rounded as the CPU kernel rounds, so that both keep the same pairs."""
    s = shifts.to(positions)
    moved = s[:, :1] * cells[:, 0] + s[:, 1:2] * cells[:, 1] + s[:, 2:] * cells[:, 2]
    return positions[j] + moved - positions[i]


def _counted(i: Tensor, j: Tensor, shifts: Tensor, half: bool) -> Tensor:
    """(n_edges,) whether the list holds this direction; never an atom with itself."""
    a, b, c = shifts.unbind(dim=1)
    if not half:
        return (i != j) | (a != 0) | (b != 0) | (c != 0)
    above = (a > 0) | ((a == 0) & ((b > 0) | ((b == 0) & (c > 0))))
    return (i < j) | ((i == j) & above)


def _order(i: Tensor, j: Tensor, turns: Tensor, n_atoms: int) -> Tensor:
    """(n_edges,) the edges sorted by i, j and image."""
    if not len(i):
        return i
    lowest = turns.amin(dim=0)
    a, b, c = (turns - lowest).unbind(dim=1)
    span = turns.amax(dim=0) - lowest + 1
    image = (a * span[1] + b) * span[2] + c
    return torch.argsort((i * n_atoms + j) * span.prod() + image)
