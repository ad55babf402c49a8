"""What a page says about force fields: how they were trained, their errors, their audits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mdbench.analysis.audit import Check
from mdbench.stats import Estimate
from mdbench.store import Input

#: Above this coefficient of determination of the forces a model passes for accurate.
ACCURATE_R2 = 0.99
#: Paths of the quantities that the page shows.
FORCE_MAE, FORCE_R2, ENERGY_MAE = "forces/mae", "forces/r2", "energy/shift_removed/mae"
#: Those that its tables hold.
QUANTITIES = (
    FORCE_MAE,
    "forces/rmse",
    FORCE_R2,
    ENERGY_MAE,
    "energy/shift_removed/rmse",
    "energy/shift_removed/r2",
)


@dataclass(frozen=True)
class Origin:
    """Where numbers come from.

    Attributes:
        file: Name of the result file within the run folder.
        settings: Of the stage that wrote it.
        inputs: Files that it was made from.
    """

    file: str
    settings: Mapping[str, object]
    inputs: Sequence[Input]

    def made_with(self, weights: Iterable[str]) -> bool:
        """Whether the checkpoint that was read is one of those with these checksums."""
        read = {str(i.sha256) for i in self.inputs if i.kind == "checkpoint"}
        return read <= set(weights)


@dataclass(frozen=True)
class TrainedModel:
    """A checkpoint.

    Attributes:
        source: Name in paths and tables, `schnet-small-s0`.
        name: As `schnet-small`.
        seed: Of its weights and of its training.
        n_parameters: Number of weights.
        symmetry: Group that it claims, "E(3)".
        conservative: Whether it claims that forces are derivatives of the energy.
        materials: What it was trained on; empty is unknown.
        n_frames: Training frames.
        budget_s: Time that it was given, s.
        n_steps, n_epochs: What it was trained.
        force_mae: Of the best validation, eV/Å.
        energy_mae: Likewise, eV/atom.
        ended: Why it ended early; None where it did not.
        weights: sha256 of the weights.
        origins: model.json and training.h5.
    """

    source: str
    name: str
    seed: int
    n_parameters: int
    symmetry: str
    conservative: bool
    materials: Sequence[str]
    n_frames: int
    budget_s: float
    n_steps: int
    n_epochs: float
    force_mae: float
    energy_mae: float
    ended: str | None
    weights: str
    origins: Sequence[Origin]


@dataclass(frozen=True)
class MaterialErrors:
    """Errors of a force field for the frames of one material.

    Attributes:
        source: Name of the force field.
        material: Name of the material.
        split: test or near; None where trajectories were read.
        transfer: Whether the model was trained on other materials; None is unknown.
        random: Whether frames of all times were drawn at random.
        n_frames: Number of frames.
        failure: Why there are no quantities; None where there are.
        quantities: `QUANTITIES` by their path; empty after a failure.
        synthetic: The reference is made up.
        origin: The file.
    """

    source: str
    material: str
    split: str | None
    transfer: bool | None
    random: bool
    n_frames: int
    failure: str | None
    quantities: Mapping[str, Estimate]
    synthetic: bool
    origin: Origin


@dataclass(frozen=True)
class Audited:
    """The audit of a force field.

    Attributes:
        source: Its name.
        material: Structure that was looked at.
        precision: "double" or "single".
        checks: In the order in which they were made.
        origin: The file.
    """

    source: str
    material: str
    precision: str
    checks: Sequence[Check]
    origin: Origin

    @property
    def n_claimed(self) -> int:
        """Number of claims."""
        return sum(check.claimed for check in self.checks)

    @property
    def failed(self) -> list[Check]:
        """Claimed checks that do not pass."""
        return [check for check in self.checks if check.claimed and not check.passed]


@dataclass(frozen=True)
class Verdict:
    """What the comparison of a model's structure with the reference's came to.

    Attributes:
        source: Name of the force field.
        material: Name of the material.
        temperature_k: None is unknown.
        state: As "unstable".
        failure_mode: None without one.
    """

    source: str
    material: str
    temperature_k: float | None
    state: str
    failure_mode: str | None


@dataclass(frozen=True)
class Models:
    """All that a page says about force fields.

    Attributes:
        trained: Checkpoints.
        learning: PNG images of learning curves, one for each run that has some.
        errors: One for each force field, material and split.
        parity: PNG images of predicted against reference forces by force field.
        audits: One for each force field.
        warnings: What the reader should know.
    """

    trained: Sequence[TrainedModel] = ()
    learning: Sequence[bytes] = ()
    errors: Sequence[MaterialErrors] = ()
    parity: Mapping[str, bytes] = field(default_factory=dict)
    audits: Sequence[Audited] = ()
    warnings: Sequence[str] = ()

    @property
    def sources(self) -> list[str]:
        """Names of all force fields."""
        trained = {model.source for model in self.trained}
        return sorted(trained | {each.source for each in self.results})

    @property
    def results(self) -> list[MaterialErrors | Audited]:
        """What was measured of force fields."""
        return [*self.errors, *self.audits]

    @property
    def synthetic(self) -> bool:
        """Whether any reference is made up."""
        return any(each.synthetic for each in self.errors)

    def audit_of(self, source: str) -> Audited | None:
        """The audit of a force field."""
        return next((each for each in self.audits if each.source == source), None)


def paired(
    errors: Sequence[MaterialErrors],
) -> dict[tuple[str, str], tuple[MaterialErrors | None, MaterialErrors | None]]:
    """Errors on test and on near frames by force field and material, sorted."""
    found: dict[tuple[str, str], tuple[MaterialErrors | None, MaterialErrors | None]] = {}
    for each in sorted(errors, key=lambda e: (e.source, bool(e.transfer), e.material)):
        test, near = found.get((each.source, each.material), (None, None))
        pair = (test, each) if each.split == "near" else (each, near)
        found[each.source, each.material] = pair
    return found


def accurate_but_unstable(
    errors: Sequence[MaterialErrors], verdicts: Sequence[Verdict]
) -> list[str]:
    """Where forces pass for accurate and the dynamics are unstable, one line for each material."""
    lines = []
    for (source, material), (test, _) in paired(errors).items():
        r2 = None if test is None or test.failure else test.quantities[FORCE_R2].value
        if r2 is None or r2 <= ACCURATE_R2:
            continue
        unstable = [
            v for v in verdicts if (v.source, v.material, v.state) == (source, material, "unstable")
        ]
        found = [_where(v) for v in sorted(unstable, key=lambda v: v.temperature_k or 0.0)]
        if found:
            dynamics = "; ".join(found)
            lines.append(f"{source}: R² {r2:.4f} on forces of {material}, and {dynamics}")
    return lines


def _where(verdict: Verdict) -> str:
    mode = "" if verdict.failure_mode is None else f" ({verdict.failure_mode})"
    temperature = verdict.temperature_k
    place = "at an unknown temperature" if temperature is None else f"at {temperature:g} K"
    return f"{verdict.state}{mode} {place} in {verdict.material}"
