"""How much more simulation an extrapolated conductivity needs, and at which temperatures.

The error of ln D at a temperature falls with the time simulated there: var(ln D) = κ/t, t over all
replicas. A pilot measures κ at each of its temperatures. For ions that hop, the relative variance
of D is about the inverse of the number of hops, so that κ·D does not depend on temperature: this
constant is what the pilot's temperatures determine together, each weighted with the degrees of
freedom of its error, and κ(T) is the constant over D(T) on the line. It reaches temperatures that
were not simulated. The errors that follow are those that `fit_arrhenius` will state.

σ(T0) has the relative error of D(T0): density, charge and T0 are known. All this holds where the
relative error at each temperature will be below about 0.4; a time that is too short for a
temperature gives a bound there instead.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from mdbench.analysis.arrhenius import ArrheniusFit, fit_arrhenius
from mdbench.errors import InputError
from mdbench.stats import Estimate, FloatArray, Spread, log_estimate, student_t
from mdbench.units import PS_IN_NS

#: Share of the time that the third temperature of a robust design holds.
THIRD_SHARE = 0.2


@dataclass(frozen=True)
class PilotPoint:
    """What has been simulated at one temperature.

    Attributes:
        temperature_k: K.
        diffusivity: cm²/s; may be a bound.
        total_ps: Time over all replicas, ps.
        n_replicas: Number of replicas.
    """

    temperature_k: float
    diffusivity: Estimate
    total_ps: float
    n_replicas: int


@dataclass(frozen=True)
class NoiseModel:
    """How the error of D falls with time at each temperature.

    Attributes:
        line: Arrhenius fit of the pilot.
        temperatures_k: (n,) of the pilot.
        total_ps: (n,) time of the pilot, ps.
        measured_ps: (n,) κ as measured at each temperature, ps; NaN at a bound.
        constant: κ·D over all temperatures, ps cm²/s.
        freedom_per_replica: Degrees of freedom that one replica gives to an error.
        run_ps: Mean length of the pilot's replicas, ps.
    """

    line: ArrheniusFit
    temperatures_k: FloatArray
    total_ps: FloatArray
    measured_ps: FloatArray
    constant: float
    freedom_per_replica: float
    run_ps: float

    def kappa_ps(self, temperatures_k: Sequence[float] | FloatArray) -> FloatArray:
        """(n,) κ = var(ln D)·t at temperatures, ps."""
        logs = [self.line.log_diffusivity(float(t))[0] for t in temperatures_k]
        return self.constant / np.exp(logs)


@dataclass(frozen=True)
class Prediction:
    """What a set of simulations will know of log10 σ at a temperature.

    Attributes:
        standard_error: Of log10 σ.
        half_width: Of its 95 % interval.
    """

    standard_error: float
    half_width: float


@dataclass(frozen=True)
class Allocation:
    """Time at each temperature.

    Attributes:
        temperatures_k: (n,) K.
        total_ps: (n,) time over all replicas, ps.
        relative_errors: (n,) of D at each temperature that follow.
        run_ps: Length of one replica, ps.
        predicted: What they will tell.
    """

    temperatures_k: tuple[float, ...]
    total_ps: tuple[float, ...]
    relative_errors: tuple[float, ...]
    run_ps: float
    predicted: Prediction

    @property
    def replicas(self) -> tuple[int, ...]:
        """(n,) replicas that hold these times."""
        return tuple(math.ceil(ps / self.run_ps * (1.0 - 1e-9)) for ps in self.total_ps)

    @property
    def total_ns(self) -> tuple[float, ...]:
        """(n,) time over all replicas, ns."""
        return tuple(ps * PS_IN_NS for ps in self.total_ps)


@dataclass(frozen=True)
class Candidate:
    """One more run at a temperature.

    Attributes:
        temperature_k: K.
        standard_error: Of log10 σ with this run added to the pilot.
        gain_per_ps: By how much it falls per ps of the run.
    """

    temperature_k: float
    standard_error: float
    gain_per_ps: float


@dataclass(frozen=True)
class Plan:
    """Ways to the wanted interval. Times are those of all runs together, the pilot's included.

    Attributes:
        noise: What the pilot says about errors.
        present: What a pilot like this one tells.
        proportional: The pilot's temperatures, time in proportion to the pilot's.
        equal: The pilot's temperatures, the same time at each.
        best: The two temperatures and the split that need least time.
        robust: With a third temperature, so that curvature can be tested; None with a pilot of two.
        next_run: The pilot's temperatures by what one more run there is worth, best first.
    """

    noise: NoiseModel
    present: Prediction
    proportional: Allocation
    equal: Allocation
    best: Allocation
    robust: Allocation | None
    next_run: tuple[Candidate, ...]


def plan(
    pilot: Sequence[PilotPoint],
    half_width: float,
    at_k: float,
    *,
    run_ps: float | None = None,
    third_share: float = THIRD_SHARE,
) -> Plan:
    """How much is needed until log10 σ at a temperature has an interval of the wanted width.

    Args:
        pilot: One point of each temperature.
        half_width: Wanted half width of the 95 % interval of log10 σ.
        at_k: Temperature of σ, K.
        run_ps: Length of the runs to be made, ps; by default that of the pilot's.
        third_share: Share of the time at the third temperature of the robust design.

    Raises:
        InputError: Fewer than two temperatures of the pilot are resolved, or at_k is one of them.
    """
    noise = fit_noise(pilot)
    length = noise.run_ps if run_ps is None else run_ps
    temperatures = noise.temperatures_k.tolist()

    def until(shares: FloatArray) -> Allocation:
        return time_until(noise, temperatures, shares, half_width, at_k, run_ps=length)

    robust = None
    if len(temperatures) > 2:
        robust = until(best_shares(noise, temperatures, at_k, third_share=third_share))
    present = predicted(
        noise, temperatures, noise.total_ps, [point.n_replicas for point in pilot], at_k
    )
    return Plan(
        noise=noise,
        present=present,
        proportional=until(noise.total_ps),
        equal=until(np.ones(len(temperatures))),
        best=until(best_shares(noise, temperatures, at_k)),
        robust=robust,
        next_run=next_run(noise, temperatures, length, at_k),
    )


def fit_noise(pilot: Sequence[PilotPoint]) -> NoiseModel:
    """The error of D by time and temperature, from a pilot.

    Args:
        pilot: One point of each temperature.

    Raises:
        InputError: A temperature is repeated or has no time, or fewer than two are resolved.
    """
    temperatures = np.array([point.temperature_k for point in pilot], dtype=np.float64)
    times = np.array([point.total_ps for point in pilot], dtype=np.float64)
    replicas = np.array([point.n_replicas for point in pilot], dtype=np.float64)
    if len(np.unique(temperatures)) != len(pilot) or not (times > 0.0).all() or 0.0 in replicas:
        raise InputError(
            "pilot", expected="each temperature once, with its time", found=temperatures
        )
    line = fit_arrhenius(temperatures.tolist(), [point.diffusivity for point in pilot])
    resolved = ~line.censored
    variances = np.array([spread.variance for spread in line.spreads])
    measured = np.where(resolved, variances * times, np.nan)
    values = np.array(
        [point.diffusivity.value for point in pilot if point.diffusivity.value is not None]
    )
    freedom = line.freedom[resolved]
    if not np.isfinite(freedom).all():
        raise InputError("pilot", expected="errors with degrees of freedom", found=freedom)
    return NoiseModel(
        line=line,
        temperatures_k=temperatures,
        total_ps=times,
        measured_ps=measured,
        constant=float(np.average(measured[resolved] * values, weights=freedom)),
        freedom_per_replica=float(freedom.sum() / replicas[resolved].sum()),
        run_ps=float(times.sum() / replicas.sum()),
    )


def predicted(
    noise: NoiseModel,
    temperatures_k: Sequence[float],
    total_ps: Sequence[float] | FloatArray,
    replicas: Sequence[float] | FloatArray,
    at_k: float,
) -> Prediction:
    """What a hypothetical set of simulations will know of log10 σ at a temperature.

    Args:
        noise: From a pilot.
        temperatures_k: (n,) K, two or more.
        total_ps: (n,) time over all replicas, ps; temperatures without time are left out.
        replicas: (n,) number of replicas.
        at_k: Temperature of σ, K.
    """
    chosen, points = [], []
    kappas = noise.kappa_ps(temperatures_k)
    for t, kappa, ps, n in zip(temperatures_k, kappas, total_ps, replicas, strict=True):
        if ps > 0.0:
            spread = Spread(float(kappa / ps), noise.freedom_per_replica * n)
            chosen.append(t)
            points.append(log_estimate(noise.line.log_diffusivity(t)[0], spread, "cm^2/s"))
    _, spread = fit_arrhenius(chosen, points).log_diffusivity(at_k)
    error = spread.standard_error / math.log(10.0)
    return Prediction(error, student_t(spread.freedom) * error)


def time_until(
    noise: NoiseModel,
    temperatures_k: Sequence[float],
    shares: Sequence[float] | FloatArray,
    half_width: float,
    at_k: float,
    *,
    run_ps: float,
) -> Allocation:
    """Least time, split in a given way, with which log10 σ has an interval of the wanted width.

    Args:
        noise: From a pilot.
        temperatures_k: (n,) K.
        shares: (n,) in proportion to the time at each; 0 leaves a temperature out.
        half_width: Wanted half width of the 95 % interval of log10 σ.
        at_k: Temperature of σ, K.
        run_ps: Length of one replica, ps.
    """
    if not half_width > 0.0:
        raise InputError("interval", expected="a half width above 0", found=half_width)
    times = np.asarray(shares, dtype=np.float64)

    def excess(log_factor: float) -> float:
        total = math.exp(log_factor) * times
        found = predicted(noise, temperatures_k, total, total / run_ps, at_k)
        return math.log(found.half_width / half_width)

    high = math.log(float(noise.total_ps.sum() / times.sum()))
    while excess(high) > 0.0:
        high += 1.0
    while excess(high - 1.0) < 0.0:
        high -= 1.0
    factor = math.exp(optimize.brentq(excess, high - 1.0, high, xtol=1e-9))
    return _allocation(noise, temperatures_k, factor * times, at_k, run_ps)


def best_split(
    noise: NoiseModel,
    temperatures_k: Sequence[float],
    total_ps: float,
    at_k: float,
    *,
    run_ps: float,
    third_share: float = 0.0,
) -> Allocation:
    """The split of a given time over temperatures that tells most about σ at another one.

    Args:
        noise: From a pilot.
        temperatures_k: (n,) the temperatures to choose from, K.
        total_ps: Time over all temperatures and replicas, ps.
        at_k: Temperature of σ, K.
        run_ps: Length of one replica, ps.
        third_share: Share of the time at a third temperature; 0 for the best two alone.
    """
    shares = best_shares(noise, temperatures_k, at_k, third_share=third_share)
    return _allocation(noise, temperatures_k, total_ps * shares, at_k, run_ps)


def best_shares(
    noise: NoiseModel, temperatures_k: Sequence[float], at_k: float, *, third_share: float = 0.0
) -> FloatArray:
    """(n,) shares of the time with which ln D at another temperature has the least variance.

    Two temperatures suffice for a line (G. Elfving, Ann. Math. Stat. 1952, 23, 255). With
    ln D(T0) = c_i ln D_i + c_j ln D_j through both, their times are as |c|·√κ. A third temperature
    for the test of curvature is that at which its share tells most about it; the rest is split best
    between the two again.

    Args:
        noise: From a pilot.
        temperatures_k: (n,) the temperatures to choose from, K.
        at_k: Temperature of σ, K.
        third_share: Share of the time at a third temperature; 0 for the best two alone.
    """
    if len(set(temperatures_k)) < 2 + (third_share > 0.0) or at_k in temperatures_k:
        raise InputError(
            f"design for {at_k:g} K",
            expected=f"{2 + (third_share > 0.0)} or more other temperatures",
            found=f"{list(temperatures_k)} K",
        )
    if not 0.0 <= third_share < 1.0:
        raise InputError("third temperature", expected="a share from 0 to 1", found=third_share)
    inverse, kappas = 1.0 / np.array(temperatures_k), noise.kappa_ps(temperatures_k)
    at = 1.0 / at_k

    def times(i: int, j: int) -> FloatArray:
        lever = np.abs([inverse[j] - at, inverse[i] - at]) / abs(inverse[i] - inverse[j])
        pair: FloatArray = lever * np.sqrt(kappas[[i, j]])
        return pair

    pairs = [
        pair
        for pair in itertools.combinations(range(len(inverse)), 2)
        if inverse[pair[0]] != inverse[pair[1]]
    ]
    i, j = min(pairs, key=lambda pair: float(times(*pair).sum()))
    shares = np.zeros(len(inverse))
    shares[[i, j]] = times(i, j) / times(i, j).sum()
    if third_share == 0.0:
        return shares
    shares *= 1.0 - third_share
    third = min(
        (k for k in range(len(inverse)) if inverse[k] not in inverse[[i, j]]),
        key=lambda k: _curvature_variance(inverse, kappas, shares, third_share, (i, j, k)),
    )

    def split(part: float) -> FloatArray:
        trial = np.zeros(len(inverse))
        trial[[i, j, third]] = (
            part * (1.0 - third_share),
            (1.0 - part) * (1.0 - third_share),
            third_share,
        )
        return trial

    def log_variance(part: float) -> float:
        covariance = np.linalg.inv(_information(inverse, split(part) / kappas))
        return math.log(float(np.array([1.0, at]) @ covariance @ np.array([1.0, at])))

    found = optimize.minimize_scalar(log_variance, bounds=(0.0, 1.0), method="bounded")
    return split(float(found.x))


def next_run(
    noise: NoiseModel, temperatures_k: Sequence[float], run_ps: float, at_k: float
) -> tuple[Candidate, ...]:
    """What one more run is worth at each temperature, beside the pilot's, best first.

    Args:
        noise: From a pilot.
        temperatures_k: (n,) where the run could be made, K; also new temperatures.
        run_ps: Its length, ps.
        at_k: Temperature of σ, K.
    """
    weights = noise.total_ps / noise.kappa_ps(noise.temperatures_k)
    information = _information(1.0 / noise.temperatures_k, weights)
    direction = np.array([1.0, 1.0 / at_k])

    def error(matrix: FloatArray) -> float:
        variance = float(direction @ np.linalg.solve(matrix, direction))
        return math.sqrt(variance) / math.log(10.0)

    present = error(information)
    found = []
    for t, kappa in zip(temperatures_k, noise.kappa_ps(temperatures_k), strict=True):
        added = _information(np.array([1.0 / t]), np.array([run_ps / kappa]))
        after = error(information + added)
        found.append(Candidate(t, after, (present - after) / run_ps))
    return tuple(sorted(found, key=lambda candidate: candidate.standard_error))


def _allocation(
    noise: NoiseModel,
    temperatures_k: Sequence[float],
    times: FloatArray,
    at_k: float,
    run_ps: float,
) -> Allocation:
    used = times > 0.0
    temperatures = tuple(t for t, use in zip(temperatures_k, used, strict=True) if use)
    total = times[used]
    return Allocation(
        temperatures_k=temperatures,
        total_ps=tuple(total.tolist()),
        relative_errors=tuple(np.sqrt(noise.kappa_ps(temperatures) / total).tolist()),
        run_ps=run_ps,
        predicted=predicted(noise, temperatures, total, total / run_ps, at_k),
    )


def _information(inverse: FloatArray, weights: FloatArray) -> FloatArray:
    """(2, 2) inverse covariance of intercept and slope of a line.

    Args:
        inverse: (n,) 1/T, 1/K.
        weights: (n,) inverse variances.
    """
    design = np.column_stack([np.ones_like(inverse), inverse])
    information: FloatArray = (design.T * weights) @ design
    return information


def _curvature_variance(
    inverse: FloatArray,
    kappas: FloatArray,
    shares: FloatArray,
    third_share: float,
    points: tuple[int, int, int],
) -> float:
    """Variance of the second difference of ln D over three temperatures, up to the total time."""
    i, j, k = points
    variance = 0.0
    for own, other, last in ((i, j, k), (j, k, i), (k, i, j)):
        divisor = (inverse[own] - inverse[other]) * (inverse[own] - inverse[last])
        share = third_share if own == k else shares[own]
        variance += float(kappas[own] / (share * divisor**2))
    return variance
