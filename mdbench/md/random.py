"""Random numbers that depend on a key and a counter alone: Philox4x32-10.

J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, SC '11, doi:10.1145/2063384.2063405.

| symbol | variable | |
|---|---|---|
| k | `keys` | hash of (seed, material, temperature, replica): one stream of its own for every run |
| c₀ | `index` | atom within its system, or attempt |
| c₁, c₂ | `step` | low and high 32 bits |
| c₃ | `purpose` | what is drawn |

So a number depends neither on the place of a system in a batch nor on what was drawn before.
Normal deviates come from pairs of 32-bit words (Box and Muller); they end at 6.8 σ.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdbench.potentials.base import FloatArray

#: What a number is drawn for: the fourth word of the counter.
VELOCITIES, LANGEVIN, CSVR = 0, 1, 2

#: A proposal for a gamma variate is accepted with 95 % or more: 16 fail once in 10²¹ times.
GAMMA_ATTEMPTS = 16

WORD = 0xFFFFFFFF
#: 2⁻³².
PER_WORD = 1.0 / 4294967296.0


def stream_key(seed: int, material: str, temperature_k: float, replica: int) -> tuple[int, int]:
    """The two 32-bit words of a run's key."""
    name = json.dumps([int(seed), material, float(temperature_k), int(replica)])
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def philox4x32(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> tuple[Any, Any, Any, Any]:
    """Four random 32-bit words of a counter and a key: integers, or arrays or tensors of int64.

    The multipliers are taken minus 2³² and that is added to the high word: so the products fit into
    signed 64-bit integers, whose overflow no compiler defines.
    """
    for _ in range(10):
        first, second = c0 * (0xD2511F53 - 0x100000000), c2 * (0xCD9E8D57 - 0x100000000)
        high0, high1 = (first >> 32) + c0, (second >> 32) + c2
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, second & WORD, high0 ^ c3 ^ k1, first & WORD
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return c0, c1, c2, c3


def normals(key: NDArray[np.int64], n_atoms: int, step: int, purpose: int) -> FloatArray:
    """(n_atoms, 3) standard normal deviates for the atoms of one system.

    Args:
        key: (2,) of the system's stream.
        n_atoms: Of the system.
        step: Of the simulation.
        purpose: What they are drawn for.
    """
    atoms = np.arange(n_atoms, dtype=np.int64)
    words = philox4x32(atoms, step & WORD, step >> 32, purpose, int(key[0]), int(key[1]))
    u0, u1, u2, u3 = ((w + 0.5) * PER_WORD for w in words)
    first, second = np.sqrt(-2.0 * np.log(u0)), np.sqrt(-2.0 * np.log(u2))
    angle = 2.0 * np.pi * u1
    return np.stack(
        [first * np.cos(angle), first * np.sin(angle), second * np.cos(2.0 * np.pi * u3)], axis=1
    )
