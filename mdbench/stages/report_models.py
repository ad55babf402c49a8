"""What a run folder holds about force fields: models/, accuracy/, audit/."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mdbench.errors import located
from mdbench.reporting.accuracy_figure import force_figure
from mdbench.reporting.embedded import png
from mdbench.reporting.model_facts import (
    FORCE_MAE,
    QUANTITIES,
    Audited,
    MaterialErrors,
    Models,
    Origin,
    TrainedModel,
)
from mdbench.reporting.model_figures import LearningCurve, learning_figure
from mdbench.reporting.model_sections import audited, learning_curve, trained_model
from mdbench.stages.damage import undamaged
from mdbench.stages.evaluate_output import Evaluated, points_of, read_evaluated
from mdbench.store import Input, input_of, read_result

if TYPE_CHECKING:
    from mdbench.reporting.accuracy_figure import ParityPoints

#: Splits of which errors are shown; None where trajectories were read.
_SPLITS = ("test", "near", None)


@dataclass(frozen=True)
class _KnownDataset:
    """What is in a dataset: its material, and whether its frames were drawn at random."""

    material: str
    random: bool


def read_models(run_folder: Path, *, draw: bool = False) -> tuple[Models, list[str]]:
    """What is known about the force fields of a run folder, and names of files not shown.

    Args:
        run_folder: The run folder; what it lacks is left out.
        draw: Make the figures, too.

    Raises:
        InputError: A damaged file.
    """
    places = sorted(run_folder.glob("models/*/model.json"))
    accuracies = sorted(run_folder.glob("accuracy/**/*.h5"))
    audit_files = sorted(run_folder.glob("audit/**/*.h5"))
    warnings = [
        f"{state.parent.name}: training not finished; the same command goes on"
        for state in sorted(run_folder.glob("models/*/training.state"))
    ]
    if not (places or accuracies or audit_files):
        return Models(warnings=warnings), []
    datasets = _datasets(run_folder) if places or accuracies else {}
    trained, curves = [], []
    for place in places:
        model, curve = _trained(run_folder, place, datasets)
        trained.append(model)
        curves += [] if curve is None else [curve]
    errors, points, left = _errors(run_folder, accuracies, trained, datasets)
    audits = [_audited(run_folder, path) for path in audit_files]
    found = Models(
        trained=trained,
        errors=errors,
        audits=audits,
    )
    if draw:
        found = dataclasses.replace(
            found,
            learning=[png(learning_figure(curves))] if curves else [],
            parity={source: png(force_figure(panels, source)) for source, panels in points.items()},
        )
    return dataclasses.replace(found, warnings=[*warnings, *_outdated(found)]), left


def _datasets(run_folder: Path) -> dict[str, _KnownDataset]:
    """The datasets of the run folder by their checksums."""
    found = {}
    for path in sorted(run_folder.glob("dataset/*.h5")):
        stored = read_result(path, "dataset")
        with undamaged(path, "dataset"):
            random = stored.config["sampling"] == "paper"
            known = _KnownDataset(str(stored.attributes["material"]), random)
        found[input_of(path, "dataset").sha256] = known
    return found


def _trained(
    run_folder: Path, place: Path, datasets: Mapping[str, _KnownDataset]
) -> tuple[TrainedModel, LearningCurve | None]:
    """A checkpoint, and its learning curve where it has one."""
    from mdbench.training.checkpoint import read_about
    from mdbench.training.packages import stated_claims, stated_model

    about = read_about(place.parent)
    with undamaged(place, "train"):
        with located(place):
            name = stated_model(about)
        source = f"{name.folder}-s{int(about['seed'])}"
        recipe = about["training"]["settings"]["recipe"]
        origins = [Origin(_name(run_folder, place), dict(recipe), [])]
    path, curve = place.with_name("training.h5"), None
    inputs: list[Input] = []
    if path.exists():
        stored = read_result(path, "training")
        inputs = stored.inputs
        with undamaged(path, "train"):
            curve = learning_curve(source, stored)
            origins.append(Origin(_name(run_folder, path), dict(stored.config), inputs))
    with undamaged(place, "train"):
        symmetry, conservative = stated_claims(about)
        model = trained_model(
            source,
            about,
            symmetry=symmetry,
            conservative=conservative,
            materials=[_material(each, datasets) for each in inputs],
            origins=origins,
        )
    return model, curve


def _material(dataset: Input, datasets: Mapping[str, _KnownDataset]) -> str:
    """The material of a dataset, by its name where the run folder no longer has it."""
    known = datasets.get(dataset.sha256)
    return Path(dataset.name).stem if known is None else known.material


def _errors(
    run_folder: Path,
    paths: Sequence[Path],
    trained: Sequence[TrainedModel],
    datasets: Mapping[str, _KnownDataset],
) -> tuple[list[MaterialErrors], dict[str, list[ParityPoints]], list[str]]:
    """Errors, points of parity figures by force field, and names of files not shown."""
    materials = {each.source: each.materials for each in trained}
    errors: list[MaterialErrors] = []
    points: dict[str, dict[tuple[bool, str], ParityPoints]] = {}
    left, seen = [], set()
    for path in paths:
        with undamaged(path, "evaluate"):
            found, settings, inputs = read_evaluated(path)
            origin = Origin(_name(run_folder, path), dict(settings), inputs)
            key = found.source, found.material, found.split == "near"
            if found.split not in _SPLITS or key in seen:
                left.append(origin.file)
                continue
            seen.add(key)
            random = any(d.random for i in inputs if (d := datasets.get(i.sha256)) is not None)
            one = _material_errors(found, materials.get(found.source), origin, random=random)
            errors.append(one)
            if found.split != "near" and found.failure is None:
                place = bool(one.transfer), one.material
                points.setdefault(one.source, {})[place] = _points(found, one)
    in_order = {source: [panels[k] for k in sorted(panels)] for source, panels in points.items()}
    return errors, in_order, left


def _material_errors(
    found: Evaluated, trained_on: Sequence[str] | None, origin: Origin, *, random: bool
) -> MaterialErrors:
    failed = found.failure
    return MaterialErrors(
        source=str(found.source),
        material=str(found.material),
        split=found.split,
        transfer=found.material not in trained_on if trained_on else None,
        random=random and found.split == "test",
        n_frames=int(found.n_frames),
        failure=None if failed is None else f"no finite prediction of {failed.n_frames} frames",
        quantities={} if failed else {path: found.quantities[path] for path in QUANTITIES},
        synthetic="synthetic" in (found.reference or ""),
        origin=origin,
    )


def _points(found: Evaluated, errors: MaterialErrors) -> ParityPoints:
    mae = found.quantities[FORCE_MAE].value
    mark = ", transfer" if errors.transfer else ""
    value = "" if mae is None else f": MAE {mae:.3g} meV/Å"
    points = dataclasses.replace(points_of(found), title=f"{found.material}{mark}{value}")
    columns = points.forces, points.reference_forces
    if not len(points.elements) or any(c.shape != points.elements.shape for c in columns):
        raise ValueError("components of forces and their atoms do not match")
    if not all(np.isfinite(c).all() for c in columns):
        raise ValueError("forces that are not finite")
    return points


def _audited(run_folder: Path, path: Path) -> Audited:
    stored = read_result(path, "audit")
    with undamaged(path, "audit"):
        origin = Origin(_name(run_folder, path), dict(stored.config), stored.inputs)
        return audited(str(stored.attributes["source"]), stored, origin)


def _outdated(found: Models) -> list[str]:
    """Results that were made with other weights than the models have now."""
    weights: dict[str, list[str]] = {}
    for model in found.trained:
        weights.setdefault(model.source, []).append(model.weights)
    return [
        f"{each.origin.file}: made with other weights than {each.source} has now"
        for each in found.results
        if each.source in weights and not each.origin.made_with(weights[each.source])
    ]


def _name(run_folder: Path, path: Path) -> str:
    return path.relative_to(run_folder).as_posix()
