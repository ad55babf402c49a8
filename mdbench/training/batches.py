"""Frames as batches of graphs: neighbors found once, the order of frames, batches by bytes.

Which frames a step takes follows from the seed and the number of the step alone, so a training
that goes on takes the same ones.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdbench.graph import AtomGraph, build_graph, join_graphs
from mdbench.models.base import EnergyModel
from mdbench.models.memory import kept_bytes
from mdbench.samples import Samples

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Item = TypeVar("Item")

#: Neighbor lists beyond this are made again each time.
CACHE_BYTES = 1 << 30
#: What a step may keep for its derivatives at a time: on a CPU, and of a GPU's memory.
_CPU_BYTES, _GPU_SHARE = 1 << 29, 0.5
#: Steps that are made ahead.
_AHEAD = 2


@dataclass(frozen=True)
class Batch:
    """Some systems with what their energies and forces should be.

    Attributes:
        graph: The systems.
        energies: (n_systems,) eV, in double precision.
        forces: (n_atoms, 3) eV/Å.
        sizes: (n_systems,) number of atoms.
        frames: (n_systems,) their numbers in `FrameSet`.
        closest: (n_pairs,) Å, smallest distance of each pair of elements, as in `FrameSet`.
    """

    graph: AtomGraph
    energies: Tensor
    forces: Tensor
    sizes: Tensor
    frames: IntArray
    closest: FloatArray


class Step(NamedTuple):
    """What one step of the optimizer takes.

    Attributes:
        frames: (n_systems,) their numbers in `FrameSet`.
        batches: Of as many frames as fit into memory at a time.
    """

    frames: IntArray
    batches: list[Batch]

    @property
    def n_atoms(self) -> int:
        """Atoms of all its systems."""
        return sum(batch.graph.n_atoms for batch in self.batches)


class _Edges(NamedTuple):
    """Edges of a frame in little room.

    Attributes:
        edge_index: (2, n_edges) int32.
        cell_shifts: (n_edges, 3) int8 where that is enough.
        back: (n_edges,) int32, as in `AtomGraph`.
        closest: (n_pairs,) Å.
    """

    edge_index: NDArray[np.int32]
    cell_shifts: NDArray[np.signedinteger[Any]]
    back: NDArray[np.int32]
    closest: FloatArray

    @property
    def n_bytes(self) -> int:
        return sum(array.nbytes for array in self)


class FrameSet:
    """Frames of some materials, counted through, as graphs of a model.

    Args:
        samples: The materials.
        cutoff: Å.
        max_neighbors: Most neighbors of an atom.
        device: Where batches are wanted.
        dtype: Precision of batches.
        cache_bytes: Room for neighbor lists.

    Attributes:
        elements: (n_elements,) atomic numbers that occur, ascending. A pair of the elements a and
            b of them, a not after b, has the number a · n_elements + b.
    """

    def __init__(
        self,
        samples: Sequence[Samples],
        cutoff: float,
        max_neighbors: int,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.samples = list(samples)
        self.elements = np.unique(np.concatenate([part.atomic_numbers for part in samples]))
        self._cutoff, self._max_neighbors = cutoff, max_neighbors
        self._device, self._dtype = device, dtype
        self._first = np.cumsum([0, *(len(part) for part in samples)])
        self._cache: dict[int, _Edges] = {}
        self._room = cache_bytes

    def __len__(self) -> int:
        return int(self._first[-1])

    @property
    def temperatures_k(self) -> FloatArray:
        """(n_frames,) K."""
        return np.concatenate([part.temperatures_k for part in self.samples])

    def place(self, frame: int) -> tuple[int, int]:
        """Number of the material, and of the frame among its frames."""
        part = int(np.searchsorted(self._first, frame, side="right")) - 1
        return part, frame - int(self._first[part])

    def n_edges(self, frame: int) -> int:
        """Edges of a frame."""
        return int(self._edges(frame).edge_index.shape[1])

    def batch(self, frames: Sequence[int] | IntArray) -> Batch:
        """Some frames as one batch, on the device."""
        graphs, energies, forces, closest = [], [], [], []
        for frame in map(int, frames):
            part, k = self.place(frame)
            sample, edges = self.samples[part], self._edges(frame)
            graphs.append(_graph(sample, k, edges))
            energies.append(sample.energies[k])
            forces.append(sample.forces[k])
            closest.append(edges.closest)
        return Batch(
            graph=join_graphs(graphs).to(self._device, self._dtype),
            energies=torch.tensor(energies, dtype=torch.float64, device=self._device),
            forces=self._moved(np.concatenate(forces)),
            sizes=self._moved(np.array([graph.n_atoms for graph in graphs])),
            frames=np.asarray(frames, dtype=np.int64),
            closest=np.min(closest, axis=0),
        )

    def _moved(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self._device, self._dtype)

    def _edges(self, frame: int) -> _Edges:
        known = self._cache.get(frame)
        if known is not None:
            return known
        part, k = self.place(frame)
        sample = self.samples[part]
        graph = build_graph(
            sample.atomic_numbers,
            sample.positions[k],
            sample.cells[k],
            self._cutoff,
            max_neighbors=self._max_neighbors,
            dtype=torch.float64,
        )
        index, shifts = graph.edge_index.numpy(), graph.cell_shifts.numpy()
        small = np.abs(shifts).max(initial=0) <= np.iinfo(np.int8).max
        made = _Edges(
            edge_index=index.astype(np.int32),
            cell_shifts=shifts.astype(np.int8 if small else np.int64),
            back=graph.back.numpy().astype(np.int32),
            closest=self._closest(sample.atomic_numbers, graph),
        )
        if made.n_bytes <= self._room:
            self._room -= made.n_bytes
            self._cache[frame] = made
        return made

    def _closest(self, atomic_numbers: IntArray, graph: AtomGraph) -> FloatArray:
        n = len(self.elements)
        found = np.full(n * n, np.inf)
        kinds = np.searchsorted(self.elements, atomic_numbers)
        i, j = kinds[graph.edge_index.numpy()]
        pairs = np.minimum(i, j) * n + np.maximum(i, j)
        np.minimum.at(found, pairs, graph.edge_lengths.numpy())
        return found


def _graph(sample: Samples, frame: int, edges: _Edges) -> AtomGraph:
    """A frame of a material, in double precision."""
    x, cell = sample.positions[frame], sample.cells[frame]
    i, j = edges.edge_index
    return AtomGraph(
        atomic_numbers=torch.tensor(sample.atomic_numbers),
        system_index=torch.zeros(sample.n_atoms, dtype=torch.int64),
        volumes=torch.tensor([abs(np.linalg.det(cell))]),
        edge_index=torch.from_numpy(edges.edge_index.astype(np.int64)),
        cell_shifts=torch.from_numpy(edges.cell_shifts),
        back=torch.from_numpy(edges.back.astype(np.int64)),
        edge_vectors=torch.from_numpy(x[j] + edges.cell_shifts @ cell - x[i]),
    )


def steps_of_epoch(n_frames: int, batch_size: int) -> int:
    """Steps until each frame was taken once."""
    return -(-n_frames // batch_size)


def steps(
    data: FrameSet, batch_size: int, seed: int, first: int, most_edges: float
) -> Iterator[Step]:
    """Yields what the steps from `first` on take, without end.

    Each epoch is a permutation of its own, drawn from the seed and the number of the epoch; its
    last step takes what is left.

    Args:
        data: The frames.
        batch_size: Frames of a step.
        seed: Of the order.
        first: Number of the first step.
        most_edges: Edges of a batch that fits into memory; one frame always does.
    """
    per_epoch = steps_of_epoch(len(data), batch_size)
    step, epoch = first, -1
    order = np.empty(0, dtype=np.int64)
    while True:
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            order = np.random.default_rng([seed, epoch]).permutation(len(data))
        place = (step % per_epoch) * batch_size
        frames = order[place : place + batch_size]
        yield Step(frames, [data.batch(part) for part in parts(data, frames, most_edges)])
        step += 1


def parts(
    data: FrameSet, frames: Sequence[int] | IntArray, most_edges: float
) -> Iterator[list[int]]:
    """Yields the frames in their order, as many at a time as have no more than so many edges."""
    part: list[int] = []
    n_edges = 0
    for frame in map(int, frames):
        more = data.n_edges(frame)
        if part and n_edges + more > most_edges:
            yield part
            part, n_edges = [], 0
        part.append(frame)
        n_edges += more
    if part:
        yield part


def prefetched(items: Iterable[Item], ahead: int = _AHEAD) -> Generator[Item, None, None]:
    """Yields the items, which a thread of its own makes ahead; what it raises is raised here."""
    queue: Queue[tuple[Item | None, BaseException | None]] = Queue(ahead)
    stop = Event()

    def put(item: Item | None, error: BaseException | None) -> None:
        while not stop.is_set():
            try:
                queue.put((item, error), timeout=0.1)
                return
            except Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put(item, None)
                if stop.is_set():
                    return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()


def bytes_per_edge(model: EnergyModel, batch: Batch) -> float:
    """Memory that a model's derivatives for training take for each edge, measured on a batch."""
    return kept_bytes(model, batch.graph, create_graph=True) / max(batch.graph.n_edges, 1)


def room(device: torch.device) -> float:
    """Bytes that a step may keep for its derivatives at a time."""
    if device.type == "cuda":
        return _GPU_SHARE * torch.cuda.get_device_properties(device).total_memory
    return _CPU_BYTES
