"""A model as a force field of the MD engine: batched, with neighbor lists that last some steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdbench.errors import InputError
from mdbench.graph import AtomGraph, ListedEdges, edge_list
from mdbench.models.base import EnergyModel
from mdbench.models.memory import bytes_per_edge
from mdbench.neighbors_torch import moved_too_far
from mdbench.potentials.base import Systems

#: What systems may take that are computed at once: on a CPU, where more are no faster, since they
#: leave its cache; and of a GPU's memory.
_CPU_BYTES, _GPU_SHARE = 1 << 25, 0.4


class ModelForceField:
    """A model, trained or not, for the MD engine.

    The model is taken over: in evaluation mode, without gradients by its weights.

    Args:
        model: In the precision in which it is to run.
        label: As provenance states it.
        closest: Smallest distance of each pair of elements in the training data, Å.
        elements: Those of the training data; by default all in the model's table.
        device: Where to compute.
        skin: By how much neighbor lists reach beyond the cutoff, Å: costs time, changes nothing.
        max_bytes: Memory for systems that are computed at once; a single one may take more.
        whole_lists: Compute edges of the list that are beyond the cutoff, too, where models take
            them to zero: by default on a GPU, which then need not be waited for.
    """

    def __init__(
        self,
        model: EnergyModel,
        label: str,
        *,
        closest: Mapping[str, float] | None = None,
        elements: Sequence[str] | None = None,
        device: torch.device | str = "cpu",
        skin: float = 1.0,
        max_bytes: float | None = None,
        whole_lists: bool | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device).eval().requires_grad_(False)
        if self.device.type == "cpu" and model.dtype == torch.float32:
            self.model.tabulate()
        self.label = label
        self.closest: Mapping[str, float] = dict(closest or {})
        self.elements = elements
        self.skin = skin
        on_cpu = self.device.type == "cpu"
        self._max_bytes = max_bytes
        self.whole_lists = not on_cpu if whole_lists is None else whole_lists

    @property
    def dtype(self) -> torch.dtype:
        """Precision in which the model runs."""
        return self.model.dtype

    @cached_property
    def max_edges(self) -> float:
        """Directed edges that are computed at once."""
        return (self._max_bytes or _room(self.device)) / bytes_per_edge(self.model)

    def evaluator(self, systems: Systems) -> ModelEvaluator:
        """An evaluator for these systems.

        Raises:
            InputError: An element that the model does not know, or a cell without volume.
        """
        check_elements(systems.atomic_numbers, self.model, self.elements, self.label)
        return ModelEvaluator(systems, self)


def check_elements(
    atomic_numbers: NDArray[Any],
    model: EnergyModel,
    elements: Sequence[str] | None,
    label: str,
) -> None:
    """Refuses elements that are not in the model's table, or not in what it was trained on.

    Args:
        atomic_numbers: (n_atoms,).
        model: Whose table counts.
        elements: Those of the training data, if any.
        label: Of the model.

    Raises:
        InputError: Such an element.
    """
    from ase.data import chemical_symbols

    numbers = sorted({int(z) for z in atomic_numbers})
    beyond = [z for z in numbers if not 0 < z < model.n_elements]
    if beyond:
        raise InputError(
            label,
            expected=f"atomic numbers from 1 to {model.n_elements - 1}",
            found=", ".join(str(z) for z in beyond),
        )
    strange = [
        chemical_symbols[z] for z in numbers if elements and chemical_symbols[z] not in elements
    ]
    if strange:
        raise InputError(
            f"{label}: it never saw {', '.join(strange)}",
            expected=f"elements of its training data: {', '.join(elements or ())}",
            remedy="train it on data that hold them",
        )


class ModelEvaluator:
    """Energies, forces and virials of some systems (`potentials.base.Evaluator`).

    Arrays are those of numpy on the CPU, tensors elsewhere. Results depend on the positions alone,
    not on where neighbor lists were built; in another batch they agree to rounding.
    """

    def __init__(self, systems: Systems, force_field: ModelForceField) -> None:
        first = np.asarray(systems.first_atom, dtype=np.int64)
        self._model, self._skin = force_field.model, force_field.skin
        device = force_field.device
        self._numbers = torch.tensor(systems.atomic_numbers, device=device)
        self._cells = torch.tensor(systems.cells, dtype=torch.float64, device=device)
        self._first_atom = torch.tensor(first)
        self._owner = torch.tensor(np.repeat(np.arange(len(first) - 1), np.diff(first))).to(device)
        zeros = self._cells.new_zeros
        self._energies = zeros(systems.n_systems)
        self._forces = zeros(len(systems.atomic_numbers), 3)
        self._virials = zeros(systems.n_systems, 3, 3)
        on_cpu = device.type == "cpu"
        self.energies: Any = self._energies.numpy() if on_cpu else self._energies
        self.forces: Any = self._forces.numpy() if on_cpu else self._forces
        self.virials: Any = self._virials.numpy() if on_cpu else self._virials
        edges = expected_edges(systems, self._model.cutoff)
        # alone, a system is never divided, and nothing need be measured
        most = force_field.max_edges if systems.n_systems > 1 else math.inf
        self._parts = [_Part(range(*part)) for part in _parts(edges, most)]
        # atoms with too many neighbors would have to be looked for, and faults of cutoffs kept
        self._whole = force_field.whole_lists and self._model.ends_at_cutoff
        self._reference: Tensor | None = None
        self._usable: list[bool] = []

    def evaluate(self, positions: Any, active: Any) -> None:
        """Computes energies, forces and virials in place.

        A system with positions that are not finite gets NaN.

        Args:
            positions: (n_atoms, 3) Å, wrapped or not.
            active: (n_systems,) the others keep what they have.
        """
        x = (positions if isinstance(positions, Tensor) else torch.tensor(positions)).to(
            self._cells
        )
        on = torch.as_tensor(active, device=self._owner.device)
        finite = torch.ones_like(on).index_put(
            (self._owner[~x.isfinite().all(dim=1)],), on.new_zeros(())
        )
        self._look_at_lists(x, on & finite)
        for part in self._parts:
            if chosen := [s for s in part.systems if self._usable[s]]:
                self._compute(part, chosen, x, on)
        lost = on & ~finite
        self._energies.masked_fill_(lost, torch.nan)
        self._forces.masked_fill_(lost[self._owner, None], torch.nan)
        self._virials.masked_fill_(lost[:, None, None], torch.nan)

    def state(self) -> dict[str, NDArray[Any]]:
        """Nothing: results depend on the positions alone."""
        return {}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Does nothing."""

    def _look_at_lists(self, x: Tensor, usable: Tensor) -> None:
        """Takes note of which systems are computed, and of lists that atoms have left.

        With whole lists, that is when lists are made anew, and one flag is all that is waited for.
        """
        if not self._whole:
            self._usable = usable.tolist()
        elif self._reference is None or bool(moved_too_far(x, self._reference, self._skin)):
            self._usable, self._reference = usable.tolist(), x.clone()
            for part in self._parts:
                part.edges = None

    def _compute(self, part: _Part, chosen: list[int], x: Tensor, on: Tensor) -> None:
        """Puts the results of some systems of a part in place."""
        if part.chosen != chosen:
            part.choose(chosen, self._first_atom, x.device)
        x, model = x[part.atoms], self._model
        if part.edges is None or (
            not self._whole and bool(moved_too_far(x, part.reference, self._skin))
        ):
            self._make_list(part, x)
        assert part.edges is not None
        if part.whole is None:
            graph = part.edges.graph(x, model.cutoff, model.max_neighbors)
            found = model.predict(graph.to(x.device, model.dtype))
        else:
            vectors = part.edges.edge_vectors(x).to(model.dtype)
            found = model.predict(part.whole.with_vectors(vectors))
        # with whole lists, there may be systems that were switched off since they were made
        kept = on[part.index], on[self._owner[part.atoms], None], on[part.index, None, None]
        places = part.index, part.atoms, part.index
        results = self._energies, self._forces, self._virials
        for made, result, place, now in zip(found, results, places, kept, strict=True):
            result[place] = torch.where(now, made.to(result), result[place])

    def _make_list(self, part: _Part, x: Tensor) -> None:
        """Makes the neighbor list of a part anew, with its (n_atoms, 3) positions in Å."""
        cells, numbers = self._cells[part.index], self._numbers[part.atoms]
        found = edge_list(x, cells, part.first_atom, self._model.cutoff + self._skin)
        part.edges = ListedEdges.of(numbers, cells, part.first_atom, found)
        part.reference, part.whole = x, None
        if self._whole:
            whole = part.edges.whole(self._model.dtype)
            part.whole = whole if whole.slots[1] <= self._model.max_neighbors else None


class _Part:
    """Systems that are computed at once, and the neighbor list of those that go on.

    With whole lists, also the graph of all edges of the list.
    """

    def __init__(self, systems: range) -> None:
        self.systems = systems
        self.chosen: list[int] = []
        self.edges: ListedEdges | None = None
        self.whole: AtomGraph | None = None
        self.reference: Tensor
        self.index: Tensor
        self.atoms: Tensor
        self.first_atom: Tensor

    def choose(self, chosen: list[int], first_atom: Tensor, device: torch.device) -> None:
        """Takes some of the systems, which have no list yet."""
        self.chosen, self.edges = chosen, None
        atoms = [torch.arange(int(first_atom[s]), int(first_atom[s + 1])) for s in chosen]
        self.index = torch.tensor(chosen, device=device)
        self.atoms = torch.cat(atoms).to(device)
        sizes = [0, *(len(a) for a in atoms)]
        self.first_atom = torch.tensor(sizes).cumsum(0).to(device)


def expected_edges(systems: Systems, cutoff: float) -> NDArray[np.float64]:
    """(n_systems,) directed edges of systems of even density.

    Args:
        systems: Any.
        cutoff: Å.
    """
    n_atoms = np.diff(systems.first_atom)
    volumes = np.abs(np.linalg.det(systems.cells))
    edges: NDArray[np.float64] = n_atoms**2 * (4.0 / 3.0 * math.pi * cutoff**3) / volumes
    return edges


def _room(device: torch.device) -> float:
    """Bytes for systems that are computed at once."""
    if device.type == "cuda":
        return _GPU_SHARE * torch.cuda.get_device_properties(device).total_memory
    return _CPU_BYTES


def _parts(edges: NDArray[np.float64], max_edges: float) -> list[tuple[int, int]]:
    """First and last + 1 of the systems that are computed at once, in their order."""
    parts, first, room = [], 0, 0.0
    for s, n in enumerate(edges):
        if s > first and room + n > max_edges:
            parts.append((first, s))
            first, room = s, 0.0
        room += float(n)
    return [*parts, (first, len(edges))]
