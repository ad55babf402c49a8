"""What one or several run folders say about each force field, with its rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mdbench.errors import InputError
from mdbench.records import Record, read_records
from mdbench.reporting.assessment import (
    Assessed,
    Assessment,
    Cost,
    Standing,
    Transport,
)
from mdbench.reporting.model_facts import MaterialErrors, Models
from mdbench.reporting.result_section import is_synthetic
from mdbench.stages.assess_files import (
    accuracy,
    conductivity_error,
    paths,
    stability,
    transport,
)
from mdbench.stages.assess_ranks import correlations, materials_of, ranked
from mdbench.stages.assess_settings import Conditions, check_together
from mdbench.stages.damage import undamaged
from mdbench.stages.report_models import read_models
from mdbench.store import Result, read_result

#: Folder of the other side in observables/.
_REFERENCE = "reference"


@dataclass
class _Run:
    """What was read of a run folder.

    Attributes:
        folder: The run folder.
        name: Its name, which no other one has.
        prefix: Of the names of its files.
        models: Trained, evaluated, audited.
        records: Of its tasks.
        conditions: Settings and reference.
        standings: By source and material.
        reference: Transport by material.
    """

    folder: Path
    name: str
    prefix: str
    models: Models
    records: Sequence[Record]
    conditions: Conditions
    standings: dict[str, dict[str, Standing]] = field(default_factory=dict)
    reference: dict[str, Transport] = field(default_factory=dict)

    def standing(self, source: str, material: str) -> Standing:
        """What is known so far."""
        known = self.standings.setdefault(source, {})
        return known.setdefault(material, Standing(material))

    def put(self, source: str, material: str, **known: Any) -> None:
        """Adds to what is known."""
        self.standings[source][material] = replace(self.standing(source, material), **known)

    def file(self, path: Path) -> str:
        """The name of a file in tables."""
        return self.prefix + path.relative_to(self.folder).as_posix()


def assess(runs: Sequence[Path]) -> Assessment:
    """All that run folders hold about force fields, in one table.

    Everything in observables/ but `reference` is a force field, and so is what was trained,
    evaluated, audited or has a record. Folders lack what they lack.

    A model that exploded, fused or drifted ranks after the others by `rdf_mae`, whatever the value
    from the frames that it has; by `conductivity_error` one of which every run ended early; by
    `force_mae` one without finite forces.

    Args:
        runs: Run folders.

    Raises:
        InputError: No results; a damaged file; several runs of which the references are synthetic
            and real, or that have other settings.
    """
    read = [
        _read(folder, name, f"{name}/" if len(runs) > 1 else "")
        for folder, name in zip(runs, _names(runs), strict=True)
    ]
    if not any(run.standings or run.conditions.references for run in read):
        raise InputError(
            "no results",
            where=", ".join(map(str, runs)),
            expected="files below observables/, models/, accuracy/, audit/ or jobs/",
            remedy="`mdbench benchmark` fills a run folder",
        )
    notes = check_together([run.conditions for run in read])
    for run in read:
        notes += [f"{run.prefix}{line}" for line in (*run.models.warnings, *_lost(run.records))]
    models = _told_apart([each for run in read for each in _assessed(run)])
    models, without = ranked(models)
    reference: dict[str, Transport] = {}
    for run in read:
        reference = {**run.reference, **reference}
    return Assessment(
        runs=[run.name for run in read],
        materials=materials_of(models, reference),
        synthetic=any(kind for run in read for kind in run.conditions.synthetic.values()),
        reference=reference,
        models=models,
        correlations=correlations(models),
        notes=[*notes, *without],
    )


def _names(runs: Sequence[Path]) -> list[str]:
    """Names of run folders: the last parts of their paths, as many as tell them apart."""
    places = [run.resolve() for run in runs]
    for place, run in zip(places, runs, strict=True):
        if not run.is_dir():
            raise InputError("no such run folder", where=run, expected="a folder")
        if places.count(place) > 1:
            raise InputError("the same run folder twice", where=run)
    longest = max((len(place.parts) for place in places), default=1)
    for n in range(1, longest + 1):
        names = ["/".join(place.parts[-n:]) for place in places]
        if len(set(names)) == len(names):
            break
    return names


def _read(folder: Path, name: str, prefix: str) -> _Run:
    """What is in a run folder, but for ranks."""
    models, _ = read_models(folder)
    run = _Run(folder, name, prefix, models, read_records(folder), Conditions(name))
    sources = [*models.sources, *(r.source for r in run.records if r.source is not None)]
    for source in sources:
        run.standings.setdefault(source, {})
    for errors in models.errors:
        if errors.split != "near":
            _take_errors(run, errors)
    for path in sorted(folder.glob("dataset/*.h5")):
        stored = read_result(path, "dataset")
        with undamaged(path, "dataset"):
            material = str(stored.attributes["material"])
            run.conditions.add("dataset", stored.config, run.file(path), material)
    for path in sorted(folder.glob("observables/*/*/*.h5")):
        stored = read_result(path, "observables")
        with undamaged(path, str(stored.attributes.get("observable"))):
            source = path.relative_to(folder).parts[1]
            if source == _REFERENCE:
                _take_reference(run, path, stored)
            else:
                _take_observable(run, source, path, stored)
    for known in run.standings.values():
        for standing in known.values():
            known[standing.material] = replace(
                standing,
                stability=sorted(standing.stability, key=lambda s: s.temperature_k or 0.0),
                paths=sorted(standing.paths, key=lambda s: s.temperature_k or 0.0),
            )
    return run


def _take_errors(run: _Run, errors: MaterialErrors) -> None:
    origin = replace(errors.origin, file=run.prefix + errors.origin.file)
    found = None if errors.failure else accuracy(replace(errors, origin=origin))
    run.put(errors.source, errors.material, accuracy=found, no_accuracy=errors.failure)
    run.conditions.add("evaluate", origin.settings, origin.file)
    run.conditions.synthetic.setdefault(errors.material, errors.synthetic)


def _take_reference(run: _Run, path: Path, stored: Result) -> None:
    material, file = str(stored.attributes["material"]), run.file(path)
    known = run.conditions.references.get(material, frozenset())
    run.conditions.references[material] = known | {i.sha256 for i in stored.inputs}
    run.conditions.synthetic[material] = is_synthetic(stored.attributes)
    _take_settings(run, stored, file)
    if stored.attributes["observable"] == "conductivity":
        run.reference[material] = transport(file, stored)


def _take_observable(run: _Run, source: str, path: Path, stored: Result) -> None:
    material, file = str(stored.attributes["material"]), run.file(path)
    known = run.standing(source, material)
    _take_settings(run, stored, file)
    if stored.attributes["observable"] == "rdf":
        found = stability(file, stored)
        if found is not None:
            run.put(source, material, stability=[*known.stability, found])
            reference = stored.attributes["comparison"]["reference"]
            if "synthetic" in str(reference["source"]).lower():
                run.conditions.synthetic.setdefault(material, True)
    if stored.attributes["observable"] == "path":
        held = paths(file, stored)
        if held is not None:
            run.put(source, material, paths=[*known.paths, held])
    if stored.attributes["observable"] == "conductivity":
        run.conditions.add_length(stored)
        run.put(
            source,
            material,
            transport=transport(file, stored),
            conductivity_error=conductivity_error(file, stored),
        )


def _take_settings(run: _Run, stored: Result, file: str) -> None:
    stage, config = str(stored.attributes["observable"]), dict(stored.config)
    if stage == "conductivity":
        config["at"] = stored.attributes["document"]["settings"]["at"]
    run.conditions.add(stage, config, file)


def _lost(records: Sequence[Record]) -> Iterator[str]:
    """Tasks that are not done, and why, one line each."""
    for record in records:
        if record.state != "done":
            why = "" if record.message is None else f": {record.message}"
            yield f"{record.file}: {record.stage} of {record.name} {record.state}{why}"


def _assessed(run: _Run) -> Iterator[Assessed]:
    """The force fields of a run."""
    trained = {model.source: model for model in run.models.trained}
    for source, standings in run.standings.items():
        model = trained.get(source)
        name, size = _name_and_size(source, None if model is None else model.name)
        audit, speed = run.models.audit_of(source), None
        if audit is not None:
            path = run.folder / audit.origin.file
            with undamaged(path, "audit"):
                facts = read_result(path, "audit").attributes["facts"]
                speed = None if "ns_per_day" not in facts else float(facts["ns_per_day"])
        own = [record for record in run.records if record.source == source]
        devices = [record.device for record in own if record.stage == "audit"]
        yield Assessed(
            source=source,
            run=run.name,
            name=name,
            size=size,
            trained=model,
            audit=audit,
            ns_per_day=speed,
            device=devices[0] if devices and speed is not None else None,
            standings=dict(sorted(standings.items())),
            costs=[cost for record in own for cost in _costs(run, record)],
        )


def _costs(run: _Run, record: Record) -> Iterator[Cost]:
    seconds, cpu_s, gpu_s = record.seconds, record.cpu_s, record.gpu_s
    if seconds is not None and cpu_s is not None and gpu_s is not None:
        file = run.prefix + record.file
        yield Cost(record.stage, seconds, cpu_s, gpu_s, record.device, file)


def _name_and_size(source: str, trained: str | None) -> tuple[str, str | None]:
    """Name and size of an architecture, else the name of a calculator."""
    from mdbench.models import parse_name

    name, mark, seed = source.rpartition("-s")
    if trained is None and not (mark and seed.isdigit()):
        return source, None
    try:
        known = parse_name(trained or name)
    except InputError:
        return source, None
    return known.text, known.size


def _told_apart(models: Sequence[Assessed]) -> list[Assessed]:
    """By name; of several of one name each with its run."""
    names = [model.source for model in models]
    found = [
        replace(m, source=f"{m.source} ({m.run})") if names.count(m.source) > 1 else m
        for m in models
    ]
    return sorted(found, key=lambda model: model.source)
