"""`mdbench path --against`: where a model's ions go held against where those of a reference go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mdbench.analysis.density_fidelity import SeenRun, density_fidelity
from mdbench.analysis.path_fidelity import Fidelity, Scores, path_fidelity
from mdbench.analysis.path_floors import Score
from mdbench.config import PathConfig
from mdbench.errors import InputError
from mdbench.stages.ion_paths import Ions
from mdbench.stages.path_sides import Side

#: Probability, over the three scores that are looked at, below which a score is no chance.
_CHANCE = 0.05 / 3
#: Jumps of a frozen model over those of the reference, and the probability that it is no chance.
_FROZEN, _FROZEN_CHANCE = 0.1, 0.025


@dataclass(frozen=True)
class Against:
    """What came of holding a model's paths against a reference's.

    Attributes:
        reference: What is known of the reference, between the sites of both.
        n_sites: Sites that are the reference's; those after them are the model's own.
        overlap: Of the densities.
        fidelity: Of jumps and paths.
        drifts: Whether the model's cell moves as a whole.
    """

    reference: Side
    n_sites: int
    overlap: Score
    fidelity: Fidelity
    drifts: bool

    @property
    def failure_mode(self) -> str | None:
        """`drift`, or `frozen` where the reference's ions jump and the model's do not."""
        if self.drifts:
            return "drift"
        ratio, still = self.fidelity.rate_ratio.estimate, self.fidelity.frozen
        if still is not None:
            return "frozen" if still < _FROZEN_CHANCE else None
        few = ratio.value is not None and ratio.value <= _FROZEN
        return "frozen" if few and ratio.high is not None and ratio.high < 1.0 else None

    @property
    def scores(self) -> dict[str, Score | dict[str, Any]]:
        """All scores by their names in the JSON document."""
        found = self.fidelity
        return {
            "density_overlap": self.overlap,
            **_three(found),
            "strict": _three(found.strict),
            "paths": {"majority": _three(found.paths.majority), "all": _three(found.paths.all)},
            "rate_distance": found.rate_distance,
            "rate_ratio": found.rate_ratio,
        }

    def as_json(self) -> dict[str, Any]:
        """The `comparison` of one group."""
        group, found = self.reference.group, self.fidelity
        n_shared = dict(zip(("model", "reference", "both"), found.n_pairs, strict=True))
        return {
            **_each(self.scores, lambda score: score.estimate.as_json()),
            "floors": _each(
                self.scores, lambda score: None if score.floor is None else score.floor.as_json()
            ),
            "failure_mode": self.failure_mode,
            "meaning": self.meaning,
            "reference": {
                "source": group.source,
                "material": group.material,
                "temperature_k": group.temperature_k,
                "files": [str(run.path) for run in self.reference.runs],
                "percolation_axes": self.reference.axes,
            },
            "n_reference_sites": self.n_sites,
            "n_jumps": dict(zip(("model", "reference"), found.n_jumps, strict=True)),
            "n_pairs": n_shared,
            "own_share": found.own_share,
            "window_ps": found.window_ps,
            "reference_cell_drift": self.reference.drift,
        }

    @property
    def meaning(self) -> str:
        """What the scores say, in one sentence."""
        found = self.fidelity
        if self.failure_mode == "drift":
            return "the cell moves as a whole: what looks like diffusion is not"
        if self.failure_mode == "frozen":
            return "the model's ions hardly jump where the reference's do"
        if not found.n_jumps[1]:
            return "the reference's ions do not jump: nothing to hold the model's paths against"
        if not found.n_jumps[0]:
            return "the model's ions do not jump, but too little data shows whether they should"
        odd = []
        if _is_no_chance(found.efficiency):
            odd.append(f"misses {_percent(found.efficiency, rest=True)} of the reference's jumps")
        if _is_no_chance(found.fake_rate):
            odd.append(
                f"makes {_percent(found.fake_rate)} of its jumps where the reference never does"
            )
        ratio = found.rate_ratio
        if _is_no_chance(ratio) and ratio.estimate.value is not None:
            odd.append(f"jumps {ratio.estimate.value:.2g} times as often")
        if odd:
            *most, last = odd
            listed = f"{', '.join(most)} and {last}" if most else last
            return f"the model {listed}: more than so little data explains"
        return "the model's jumps cannot be told from the reference's by this much data"


def held_against(
    model: Ions, side: Side, reference: Ions, known: Side, n_sites: int, config: PathConfig
) -> Against:
    """Holds the ions of a model against those of its reference.

    Args:
        model: Ions of the model.
        side: What is known of them.
        reference: Ions of the reference.
        known: What is known of them, between the same sites.
        n_sites: Sites that are the reference's.
        config: Residence.
    """
    if model.species != reference.species:
        raise InputError(
            "other mobile ions than the reference's",
            where=side.group.name,
            expected=reference.species,
            found=model.species,
            remedy="--mobile settles it",
        )
    cell = known.density.cell
    return Against(
        reference=known,
        n_sites=n_sites,
        overlap=density_fidelity(_seen(model), _seen(reference), cell),
        fidelity=path_fidelity(side.jumps, known.jumps, n_sites),
        drifts=side.drifts(known),
    )


def _seen(ions: Ions) -> list[SeenRun]:
    runs = enumerate(ions.runs)
    return [SeenRun(ions.paths(index), run.facts.frame_interval_ps) for index, run in runs]


def _three(found: Scores) -> dict[str, Any]:
    names = ("efficiency", "fake_rate", "duplicate_rate")
    return {name: getattr(found, name) for name in names}


def _each(scores: dict[str, Any], plain: Any) -> dict[str, Any]:
    """The scores as plain values, at every depth."""
    return {
        name: _each(score, plain) if isinstance(score, dict) else plain(score)
        for name, score in scores.items()
    }


def _is_no_chance(score: Score) -> bool:
    return score.floor is not None and score.floor.p is not None and score.floor.p < _CHANCE


def _percent(score: Score, *, rest: bool = False) -> str:
    value = score.estimate.value or 0.0
    return f"{1.0 - value if rest else value:.0%}"
