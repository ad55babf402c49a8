"""Snapshots from which a simulation goes on bit for bit: plain arrays by name, without pickle.

`state.NAME` are the arrays of the `State`, `evaluator.NAME` those of the evaluator, `settings` is
JSON as bytes. Snapshots of single runs can be cut out and joined again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.errors import InputError
from mdbench.md.settings import MDSettings
from mdbench.md.state import IDENTITY, HostState, State, fields

Snapshot = dict[str, NDArray[Any]]

_PER_ATOM = ("atomic_numbers", "masses", "positions", "momenta")
_STATE, _EVALUATOR, _SETTINGS = "state.", "evaluator.", "settings"


def take_snapshot(
    state: HostState, evaluator_state: dict[str, NDArray[Any]], settings: MDSettings
) -> Snapshot:
    """A snapshot that shares nothing with the state."""
    snapshot = {_STATE + name: np.array(value) for name, value in fields(state).items()}
    snapshot |= {_EVALUATOR + name: np.array(value) for name, value in evaluator_state.items()}
    snapshot[_SETTINGS] = np.frombuffer(settings.stamp().encode(), dtype=np.uint8)
    return snapshot


def restored_state(snapshot: Snapshot, start: HostState, settings: MDSettings) -> HostState:
    """The state of a snapshot, which must be one of the simulation that begins with `start`.

    Raises:
        InputError: A snapshot of other runs, or made with other settings.
    """
    names = [f.name for f in dataclasses.fields(State)]
    missing = [n for n in (*(_STATE + n for n in names), _SETTINGS) if n not in snapshot]
    if missing:
        raise InputError("snapshot", expected=f"the array {missing[0]}", found="none")
    made, asked = snapshot[_SETTINGS].tobytes().decode(errors="replace"), settings.stamp()
    if made != asked:
        raise InputError(
            "cannot resume with other settings",
            expected=made,
            found=asked,
            remedy="give the same settings, or start anew",
        )
    state: HostState = State(**{name: np.array(snapshot[_STATE + name]) for name in names})
    for name in IDENTITY:
        found, wanted = getattr(state, name), getattr(start, name)
        if found.dtype != wanted.dtype or not np.array_equal(found, wanted):
            raise InputError(
                f"cannot resume other runs: {name.replace('_', ' ')} differ",
                remedy="give the same structures, temperatures, replicas and seed",
            )
    for name, value in fields(start).items():
        found = getattr(state, name)
        if found.shape != value.shape or found.dtype != value.dtype:
            raise InputError(
                f"snapshot: {name}",
                expected=f"{value.dtype} {value.shape}",
                found=f"{found.dtype} {found.shape}",
            )
    if (state.steps != state.steps[0]).any():
        raise InputError("snapshots of different steps", found=np.unique(state.steps).tolist())
    return state


def evaluator_state(snapshot: Snapshot) -> dict[str, NDArray[Any]]:
    """What the evaluator kept."""
    return {
        name.removeprefix(_EVALUATOR): np.array(value)
        for name, value in snapshot.items()
        if name.startswith(_EVALUATOR)
    }


def split_snapshot(snapshot: Snapshot) -> list[Snapshot]:
    """The snapshot of each run of a batch.

    Arrays of the evaluator must have a row for each atom or for each system.
    """
    first_atom = snapshot[_STATE + "first_atom"]
    n_systems, n_atoms = len(first_atom) - 1, int(first_atom[-1])
    parts: list[Snapshot] = [{} for _ in range(n_systems)]
    for name, value in snapshot.items():
        for s, part in enumerate(parts):
            begin, end = int(first_atom[s]), int(first_atom[s + 1])
            if name == _SETTINGS:
                part[name] = value
            elif name == _STATE + "first_atom":
                part[name] = np.array([0, end - begin])
            elif name.removeprefix(_STATE) in _PER_ATOM:
                part[name] = value[begin:end]
            elif name.startswith(_STATE) or value.shape[:1] == (n_systems,):
                part[name] = value[s : s + 1]
            elif value.shape[:1] == (n_atoms,):
                part[name] = value[begin:end]
            else:
                raise ValueError(f"{name} of shape {value.shape} has no rows of atoms or systems")
    return parts


def join_snapshots(parts: Sequence[Snapshot]) -> Snapshot:
    """The snapshot of a batch of those runs, which must have done the same number of steps."""
    joined: Snapshot = {}
    for name in parts[0]:
        values = [part[name] for part in parts]
        if name == _SETTINGS:
            joined[name] = values[0]
        elif name == _STATE + "first_atom":
            joined[name] = np.cumsum([0, *(int(value[-1]) for value in values)])
        else:
            joined[name] = np.concatenate(values)
    return joined
