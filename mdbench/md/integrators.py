"""One step of each ensemble, composed of moves that a CPU or a torch device carries out.

`initial_state` is the init of every pair; a step moves the state of `moves` in place, by one
timestep Δt, with one evaluation of the forces. Common symbols:

| symbol | variable | |
|---|---|---|
| x, p, m | `positions`, `momenta`, `masses` | Å, eV fs/Å, eV fs²/Å² |
| F | `evaluator.forces` | eV/Å |
| K | `kinetic_energies` | eV |
| N_f | `degrees_of_freedom` | |
| T | `temperatures_k` | K; k is Boltzmann's constant |
| Δt | `timestep_fs` | fs |
| τ | `damping` | fs |

The conserved quantity of every ensemble is potential + kinetic + `bath_energies`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from mdbench.md.state import HostState, State

#: Weights of Suzuki and Yoshida, fourth order: H. Yoshida, Phys. Lett. A 1990, 150, 262,
#: doi:10.1016/0375-9601(90)90092-3.
_OUTER = 1.0 / (2.0 - 2.0 ** (1.0 / 3.0))
WEIGHTS = (_OUTER, 1.0 - 2.0 * _OUTER, _OUTER)


class Moves(Protocol):
    """The parts of steps, on the state that they own; retired systems stay as they are."""

    state: State[Any]

    def kick_drift(self, evaluator: Any) -> None:
        """Moves p by Δt/2 F, then x by Δt p/m."""
        ...

    def kick(self, evaluator: Any) -> None:
        """Moves p by Δt/2 F, takes K from p, counts the step, retires systems beyond limits."""
        ...

    def half_chain(self) -> None:
        """The Nosé–Hoover chain over Δt/2: scales p and K."""
        ...

    def rescale(self) -> None:
        """Stochastic velocity rescaling over Δt: scales p and K."""
        ...

    def kick_drift_bath_drift(self, evaluator: Any) -> None:
        """Moves p by Δt/2 F, x by Δt/2 p/m, p by friction and noise over Δt, x as before."""
        ...

    def ramp(self) -> None:
        """Scales p to the temperature that the ramp has reached."""
        ...

    def look(self, evaluator: Any) -> None:
        """Takes K from p and retires systems beyond limits: `kick` without moving or counting."""
        ...

    def look_at_pairs(self) -> None:
        """Retires systems in which two atoms are too near."""
        ...

    def on_host(self) -> HostState:
        """The state in memory of the host: a look, not a copy, where it is there already."""
        ...


Step = Callable[[Moves, Any], None]


def nve_step(moves: Moves, evaluator: Any) -> None:
    """Velocity Verlet: constant energy.

    W. C. Swope et al., J. Chem. Phys. 1982, 76, 637, doi:10.1063/1.442716. Time-reversible and
    symplectic: the energy fluctuates with Δt², without a trend while the forces are smooth.
    """
    moves.kick_drift(evaluator)
    evaluator.evaluate(moves.state.positions, moves.state.active)
    moves.kick(evaluator)


def nose_hoover_step(moves: Moves, evaluator: Any) -> None:
    """Nosé–Hoover chain of three links around velocity Verlet: constant temperature.

    G. J. Martyna, M. E. Tuckerman, D. J. Tobias, M. L. Klein, Mol. Phys. 1996, 87, 1117,
    doi:10.1080/00268979600100761, with Suzuki's and Yoshida's three weights.

    | symbol | variable | |
    |---|---|---|
    | ξ, v_ξ | `chain_positions`, `chain_velocities` | 1, 1/fs |
    | Q₁ = N_f kT τ², Q_k = kT τ² | | eV fs² |
    | N_f kT ξ₁ + kT Σ ξ_k + ½ Σ Q v_ξ² | `bath_energies` | eV |

    Deterministic and time-reversible. Not ergodic for a single harmonic oscillator with few links.
    """
    moves.half_chain()
    moves.kick_drift(evaluator)
    evaluator.evaluate(moves.state.positions, moves.state.active)
    moves.kick(evaluator)
    moves.half_chain()


def csvr_step(moves: Moves, evaluator: Any) -> None:
    """Velocity Verlet and canonical sampling through velocity rescaling: constant temperature.

    G. Bussi, D. Donadio, M. Parrinello, J. Chem. Phys. 2007, 126, 014101, doi:10.1063/1.2408420,
    eqs. A7 and A8, and their conserved quantity.

    | symbol | variable | |
    |---|---|---|
    | α | `scale` | p ← α p |
    | R₁, Σ R² | `deviate`, `squares` | normal; χ² with N_f − 1 degrees of freedom |
    | −Σ (α² − 1) K | `bath_energies` | eV, heat given to the bath |

    Disturbs the dynamics little: all velocities are scaled alike.
    """
    nve_step(moves, evaluator)
    moves.rescale()


def langevin_step(moves: Moves, evaluator: Any) -> None:
    """Langevin dynamics by the BAOAB splitting: constant temperature, momentum not conserved.

    B. Leimkuhler, C. Matthews, J. Chem. Phys. 2013, 138, 174102, doi:10.1063/1.4802990.

    | symbol | variable | |
    |---|---|---|
    | γ = 1/τ | `damping` | 1/fs |
    | p ← e^(−γΔt) p + √(m kT (1 − e^(−2γΔt))) R | | R: three normal deviates for each atom |
    | −Σ ΔK of that | `bath_energies` | eV, heat given to the bath |

    Positions are sampled exactly for a harmonic force, whatever the timestep; kinetic energies are
    low by a term in Δt². Diffusion slows down with γ.
    """
    moves.kick_drift_bath_drift(evaluator)
    evaluator.evaluate(moves.state.positions, moves.state.active)
    moves.kick(evaluator)


def ramp_step(moves: Moves, evaluator: Any) -> None:
    """Velocity Verlet and scaling to a temperature that rises linearly to the target.

    L. V. Woodcock, Chem. Phys. Lett. 1971, 10, 257, doi:10.1016/0009-2614(71)80281-6. No ensemble
    and no conserved quantity: for heating only.
    """
    nve_step(moves, evaluator)
    moves.ramp()


STEPS: dict[str, Step] = {
    "nve": nve_step,
    "nose-hoover": nose_hoover_step,
    "csvr": csvr_step,
    "langevin": langevin_step,
}
