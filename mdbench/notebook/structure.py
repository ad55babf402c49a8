"""g(r) of trajectories in memory, and a model's structure held against a reference's."""

from __future__ import annotations

from dataclasses import dataclass

from mdbench.analysis.failures import Failure
from mdbench.analysis.noise import Floor
from mdbench.analysis.rdf import TOTAL, RadialDistribution, pool
from mdbench.analysis.rdf import radial_distribution as distribution_of
from mdbench.analysis.stability import Comparison, Needed
from mdbench.analysis.survival import Survival
from mdbench.config import RdfConfig
from mdbench.notebook.runs import Runs, loaded, replicas_of
from mdbench.stages.against import against, reference_of
from mdbench.stages.rdf import pooled_group
from mdbench.stats import Estimate
from mdbench.table import Cell, Table, Tabular

_DEFAULT = RdfConfig()


def radial_distribution(
    runs: Runs,
    *,
    r_max: float = _DEFAULT.r_max,
    dr: float = _DEFAULT.dr,
    skip_ps: float | None = 0.0,
    threads: int = 1,
) -> RadialDistribution:
    """g(r) of all atoms and of each pair of species, the mean over replicas.

    Args:
        runs: One trajectory or replicas, periodic in all three directions.
        r_max: Largest distance, Å; may be beyond half the cell.
        dr: Bin width, Å.
        skip_ps: Equilibration to leave out, ps; None as `mdbench rdf` does.
        threads: Threads that share the frames.

    Raises:
        InputError: No frames, a direction that is not periodic, senseless bins.
    """
    if skip_ps == 0.0:
        found = replicas_of(runs, "run")
        return pool([distribution_of(run, r_max=r_max, dr=dr, threads=threads) for run in found])
    config = RdfConfig(r_max=r_max, dr=dr, skip_ps=skip_ps, threads=threads)
    known = loaded(runs)
    return pooled_group(known.group, config, opened=known.opened).pooled


@dataclass(frozen=True)
class StabilityResult(Tabular):
    """What came of holding a model's structure against a reference's.

    Attributes:
        rdf_mae: Mean over bins of |g_model − g_reference| of all atoms, with its 95 % interval.
        noise_floor: What a perfect model would show; None where the noise is unknown.
        verdict: `stable`, `unstable`, `indistinguishable` or `undecided`.
        reason: Of the verdict, one sentence with the numbers.
        paper_verdict: The bare rule of the literature: `stable` where rdf_mae < 0.02.
        failure_mode: As `fusion`; None without one.
        failures: All that were found, in the runs of the model.
        needed: Runs and times that would decide; None where no amount would, or it is unknown.
        survival: Over the runs of the model; None without a time axis.
        by_pair: By `total`, pair, `framework` and `with mobile`.
        model: g(r) of the model.
        reference: g(r) of the reference.
        notes: What the reader should know.
    """

    rdf_mae: Estimate
    noise_floor: Floor | None
    verdict: str
    reason: str
    paper_verdict: str
    failure_mode: str | None
    failures: tuple[Failure, ...]
    needed: Needed | None
    survival: Survival | None
    by_pair: dict[str, Comparison]
    model: RadialDistribution
    reference: RadialDistribution
    notes: tuple[str, ...]

    def table(self) -> Table:
        """One row per pair: rdf_mae with its interval, and the noise of a perfect model."""
        columns = ("pair", "rdf_mae", "low", "high", "noise_expected", "noise_q95")
        rows: list[list[Cell]] = []
        for pair, found in self.by_pair.items():
            low, high = found.interval or (None, None)
            noise = (None, None) if found.floor is None else (found.floor.expected, found.floor.q95)
            rows.append([pair, found.rdf_mae, low, high, *noise])
        return Table(columns, rows)


def stability(
    model: Runs,
    reference: Runs,
    *,
    r_max: float = _DEFAULT.r_max,
    dr: float = _DEFAULT.dr,
    threshold: float = _DEFAULT.threshold,
    skip_ps: float | None = None,
    stride: int = 1,
    mobile: str | None = None,
    threads: int = 1,
) -> StabilityResult:
    """Whether a model keeps the structure of a reference: the numbers of `mdbench rdf --against`.

    Args:
        model: The model's run or runs.
        reference: The reference's, of the same material at the same temperature.
        r_max: Largest distance, Å.
        dr: Bin width, Å.
        threshold: Limit of rdf_mae.
        skip_ps: Equilibration to leave out, ps; by default 15 of runs of 50 or more, else 30 %.
        stride: Use every N-th frame.
        mobile: Symbol of the mobile ion; by default what the runs state, else by rule.
        threads: Threads that share the frames.

    Raises:
        InputError: Runs that cannot be compared: other temperatures, no frames left.
    """
    config = RdfConfig(
        r_max=r_max,
        dr=dr,
        threshold=threshold,
        skip_ps=skip_ps,
        stride=stride,
        mobile=mobile,
        threads=threads,
    )
    ours, theirs = loaded(model, "model run"), loaded(reference, "reference run")
    reference_of(ours.group, [theirs.group])
    result = pooled_group(ours.group, config, closely=True, opened=ours.opened)
    known = pooled_group(theirs.group, config, closely=True, opened=theirs.opened)
    found = against(ours.group, result.runs, theirs.group, known.runs, config)
    total, verdict = found.by_pair[TOTAL], found.verdict
    low, high = total.interval or (None, None)
    return StabilityResult(
        rdf_mae=Estimate(total.rdf_mae, low, high, ""),
        noise_floor=total.floor,
        verdict=verdict.state,
        reason=verdict.reason,
        paper_verdict=verdict.paper,
        failure_mode=found.failures[0].mode if found.failures else None,
        failures=tuple(found.failures),
        needed=total.needed,
        survival=found.survival,
        by_pair=found.by_pair,
        model=result.pooled,
        reference=found.pooled,
        notes=found.notes,
    )
