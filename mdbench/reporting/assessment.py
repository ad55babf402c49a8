"""What a benchmark found out about each force field: what its verdict and its report show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mdbench.analysis.ranking import Correlation, Rank
from mdbench.reporting.model_facts import Audited, TrainedModel
from mdbench.stats import Estimate

#: From bad to good; of a material it is the worst over its temperatures.
State = Literal["unstable", "undecided", "indistinguishable", "stable"]
STATES: tuple[State, ...] = ("unstable", "undecided", "indistinguishable", "stable")

#: What models are ranked by; less is better.
Metric = Literal["force_mae", "rdf_mae", "conductivity_error"]
METRICS: tuple[Metric, ...] = ("force_mae", "rdf_mae", "conductivity_error")


@dataclass(frozen=True)
class Cited:
    """A quantity and where it stands.

    Attributes:
        estimate: Value and interval.
        file: The result file, named below the run folder; of several runs below their parent.
        key: Where in the file, as "quantities/forces/mae".
    """

    estimate: Estimate
    file: str
    key: str


@dataclass(frozen=True)
class Accuracy:
    """Errors on test frames of one material.

    Attributes:
        force_mae: meV/Å.
        force_r2: Without unit.
        energy_mae: meV/atom, mean offset taken off.
        n_frames: Frames.
        transfer: Whether the model was trained on other materials; None is unknown.
    """

    force_mae: Cited
    force_r2: Cited
    energy_mae: Cited
    n_frames: int
    transfer: bool | None


@dataclass(frozen=True)
class Stability:
    """Runs of one material and temperature held against the reference's.

    Attributes:
        temperature_k: None is unknown.
        rdf_mae: Of the total g(r), without unit.
        floor: Expected rdf_mae of a perfect model, and its 95 % quantile; None is unknown.
        state: The verdict.
        paper: The bare one of the literature: "stable" or "unstable".
        reason: Of the verdict, one sentence.
        failure_mode: As "fusion"; None without one.
        evidence: Each failure as `mdbench rdf --against --json` prints it.
        survival: Likewise `survival`; None without a time axis.
        needed: Likewise `needed`: replicas × ps that would decide; None where decided or unknown.
        n_runs: Runs of the model.
        file: The result file.
    """

    temperature_k: float | None
    rdf_mae: Cited
    floor: tuple[float, float] | None
    state: State
    paper: str
    reason: str
    failure_mode: str | None
    evidence: Sequence[Mapping[str, Any]]
    survival: Mapping[str, Any] | None
    needed: Mapping[str, Any] | None
    n_runs: int
    file: str


@dataclass(frozen=True)
class Transport:
    """Diffusion and conduction of one source in one material.

    Attributes:
        diffusivity: cm²/s by temperature, K.
        conductivity: mS/cm by temperature, K.
        ended_k: Temperatures at which no run reached its end, K.
        activation_energy: eV; None without a line.
        extrapolated: Conductivity at `at_k`, mS/cm; None without a line.
        minus_log10: -log10 of it; None without a line.
        at_k: K.
        ratio: D of the model over that of the reference, over all temperatures; None of a
            reference, and where nothing can be compared.
        p: Two-sided, of equal diffusivities; None as `ratio`.
        differs: Whether the difference is resolved; None of a reference.
        failure_mode: Why there is nothing to compare; None where there is.
        line: (n, 4) K, and conductivity in mS/cm with its limits, of the Arrhenius line; None
            without one.
        file: The result file.
    """

    diffusivity: Mapping[float, Cited]
    conductivity: Mapping[float, Cited]
    ended_k: Sequence[float]
    activation_energy: Cited | None
    extrapolated: Cited | None
    minus_log10: Cited | None
    at_k: float
    ratio: Cited | None
    p: float | None
    differs: bool | None
    failure_mode: str | None
    line: Any | None
    file: str


@dataclass(frozen=True)
class Paths:
    """Where ions of one material and temperature go, held against the reference's.

    Attributes:
        temperature_k: None is unknown.
        scores: As `mdbench path --against` names them, without unit.
        floors: 5 and 95 % quantile of each for a perfect model; None is unknown.
        axes: Cell vectors along which jumps lead, as "ac".
        reference_axes: The reference's.
        failure_mode: `drift` or `frozen`; None without one.
        file: The result file.
    """

    temperature_k: float | None
    scores: Mapping[str, Cited]
    floors: Mapping[str, tuple[float, float] | None]
    axes: str
    reference_axes: str
    failure_mode: str | None
    file: str


@dataclass(frozen=True)
class Standing:
    """One force field on one material.

    Attributes:
        material: Its name.
        accuracy: None where it was not evaluated, or gave no finite number.
        no_accuracy: Why there is none.
        stability: By temperature, ascending; empty where there are no runs.
        transport: None where it was not computed.
        rdf_mae: Mean over `common_k`; None without.
        conductivity_error: |log10(D / D of the reference)| over the simulated temperatures, in
            decades; None where nothing was compared.
        ranks: By metric, among the models that have the material.
        common_k: Temperatures that all models of the material have runs at, K.
        failed: Metrics by which it ranks after all models that did not fail, whatever its value.
        paths: By temperature, ascending; empty where they were not compared.
    """

    material: str
    accuracy: Accuracy | None = None
    no_accuracy: str | None = None
    stability: Sequence[Stability] = ()
    transport: Transport | None = None
    rdf_mae: Cited | None = None
    conductivity_error: Cited | None = None
    ranks: Mapping[Metric, Rank] = field(default_factory=dict)
    common_k: Sequence[float | None] = ()
    failed: Sequence[Metric] = ()
    paths: Sequence[Paths] = ()

    @property
    def state(self) -> State | None:
        """The worst verdict over the temperatures; None without any."""
        found = [each.state for each in self.stability]
        return min(found, key=STATES.index) if found else None

    @property
    def failure_modes(self) -> list[str]:
        """Each that was found, once."""
        modes = (s.failure_mode for s in self.stability if s.failure_mode is not None)
        return list(dict.fromkeys(modes))

    @property
    def n_runs(self) -> int:
        """Runs over all temperatures."""
        return sum(each.n_runs for each in self.stability)

    @property
    def n_failed(self) -> int:
        """Runs that exploded, fused or failed otherwise."""
        return sum(len({int(e["run"]) for e in each.evidence}) for each in self.stability)


@dataclass(frozen=True)
class Cost:
    """What one stage of one force field took.

    Attributes:
        stage: As "train".
        seconds: Wall-clock time.
        cpu_s: CPU time.
        gpu_s: Time for which a GPU was held.
        device: As "AMD EPYC 7763" or "NVIDIA H200".
        file: The record.
    """

    stage: str
    seconds: float
    cpu_s: float
    gpu_s: float
    device: str
    file: str


@dataclass(frozen=True)
class Assessed:
    """All that is known about one force field.

    Attributes:
        source: Its name in paths and tables: `schnet-small-s0`; of several runs with the name of
            its run where two have it.
        run: Name of its run folder.
        name: Of the architecture, as `schnet-small`, or of the calculator.
        size: "paper" or "small" of a model; None of a calculator.
        trained: None where it was not trained here.
        audit: None where it was not audited.
        ns_per_day: Of one system, measured; None is unknown.
        device: That this was measured on.
        standings: By material.
        costs: By stage.
    """

    source: str
    run: str
    name: str
    size: str | None
    trained: TrainedModel | None
    audit: Audited | None
    ns_per_day: float | None
    device: str | None
    standings: Mapping[str, Standing]
    costs: Sequence[Cost] = ()

    @property
    def training_materials(self) -> Sequence[str]:
        """What it was trained on; empty is unknown."""
        return () if self.trained is None else self.trained.materials


@dataclass(frozen=True)
class Assessment:
    """All force fields of one or several runs, held against one kind of reference.

    Attributes:
        runs: Names of the run folders.
        materials: Names, those of training first.
        synthetic: The reference is made up.
        reference: Transport of the reference by material.
        models: In order of their names.
        correlations: Whether errors of forces tell errors of dynamics.
        notes: What the reader should know.
    """

    runs: Sequence[str]
    materials: Sequence[str]
    synthetic: bool
    reference: Mapping[str, Transport]
    models: Sequence[Assessed]
    correlations: Sequence[Correlation] = ()
    notes: Sequence[str] = ()
