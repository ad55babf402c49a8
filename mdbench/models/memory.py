"""How much memory an evaluation of a model takes, measured."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mdbench.graph import AtomGraph, build_graph
from mdbench.models.base import EnergyModel

#: Atoms of the measured crystal along a side, and how far they are apart, Å.
_SIDE, _APART = 3, 2.6


def bytes_per_edge(model: EnergyModel) -> float:
    """Bytes that energies and forces take for each edge, of a crystal that is always the same.

    So the same model is always measured alike, and batches are always cut alike.
    """
    places = _APART * np.array(list(np.ndindex(_SIDE, _SIDE, _SIDE)), dtype=float)
    numbers, cell = np.full(len(places), 3), _SIDE * _APART * np.eye(3)
    graph = build_graph(numbers, places, cell, model.cutoff, max_neighbors=model.max_neighbors)
    graph = graph.to(model.energy_scale.device, model.dtype)
    model.predict(graph)  # grids and the like, which are made once, do not count
    needed = kept_bytes(model, graph) if model.conservative else most_bytes(model, graph)
    return needed / graph.n_edges


def kept_bytes(model: EnergyModel, graph: AtomGraph, *, create_graph: bool = False) -> int:
    """Bytes of what derivatives of a prediction keep, beside weights.

    Args:
        model: Any.
        graph: In the precision and on the device of the model.
        create_graph: Of derivatives of forces, for training.
    """
    storages: dict[int, int] = {}
    kept: list[Tensor] = []
    own = {
        tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())
    }

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)  # so that no other tensor gets its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.predict(graph, create_graph=create_graph)
    return sum(storages.values())


def most_bytes(model: EnergyModel, graph: AtomGraph) -> int:
    """Most bytes of tensors that there are at a time, of a prediction without derivatives."""
    tensors = _Tensors()
    with tensors:
        model.predict(graph)
    return tensors.most


class _Tensors(TorchFunctionMode):
    """Counts the bytes of the tensors that functions return, while these are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.most = self._now = 0
        self._users: dict[int, int] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else (made,):
            if isinstance(each, Tensor):
                self._count(each)
        return made

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if not self._users.get(place):
            self._now += size
            self.most = max(self.most, self._now)
        self._users[place] = self._users.get(place, 0) + 1
        weakref.finalize(tensor, self._drop, place, size)

    def _drop(self, place: int, size: int) -> None:
        self._users[place] -= 1
        if not self._users[place]:
            self._now -= size
