"""What the numbers of a page were made with: from its results, and from the trajectories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mdbench.errors import InputError
from mdbench.potentials.materials import MATERIALS
from mdbench.reporting import citations as cite
from mdbench.reporting.assessment import Assessment
from mdbench.reporting.citations import Uses
from mdbench.reporting.html import Page
from mdbench.reporting.path_html import PathSection
from mdbench.reporting.rdf_html import RdfSection
from mdbench.reporting.references import Reference
from mdbench.reporting.transport_html import ConductivitySection, MsdSection
from mdbench.stages.catalog import DATA_SETS, DataSet
from mdbench.stages.runs import trajectories_in
from mdbench.store import TrajectoryFile


def uses_of(page: Page, assessment: Assessment | None, folders: Sequence[Path]) -> Uses:
    """What a page shows, and what trajectories of its run folders say of themselves.

    Args:
        page: With its results.
        assessment: Of its force fields; None without any.
        folders: Run folders; trajectories that are not there any more, or damaged, say nothing.
    """
    found = _Found()
    for folder in folders:
        paths: list[Path] = []
        with suppress(InputError):  # no trajectories
            paths = trajectories_in(folder)
        for path in paths:
            with suppress(InputError):
                found.read(path)
    assessed = [] if assessment is None else [model.source for model in assessment.models]
    models = {*page.models.sources, *assessed, *found.potentials}
    return Uses(
        methods=list(dict.fromkeys(_methods(page, assessment))),
        models=sorted(models),
        potentials=sorted(found.potentials),
        thermostats=sorted(found.thermostats),
        codes=sorted(found.codes),
        engines=sorted(found.engines),
        structures=sorted(found.structures),
        data=[_reference(each) for each in DATA_SETS if each.name in found.data],
    )


@dataclass
class _Found:
    """What trajectories say."""

    potentials: set[str] = field(default_factory=set)
    thermostats: set[str] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)
    engines: set[str] = field(default_factory=set)
    structures: set[str] = field(default_factory=set)
    data: set[str] = field(default_factory=set)

    def read(self, path: Path) -> None:
        """Adds what a trajectory says."""
        with TrajectoryFile(path) as file:
            known, made = file.provenance, {each.sha256 for each in file.inputs}
            engine = str(file.config.get("engine", "torch"))
        self.potentials |= {known.potential or ""} - {""}
        self.codes |= {known.code or ""} - {""}
        self.data |= {d.name for d in DATA_SETS if made & {f.sha256 for f in d.files}}
        if not (known.code or "").startswith("mdbench"):
            return
        self.engines.add(engine)
        thermostat = known.thermostat or ""
        if engine == "torch" or not thermostat.startswith("langevin"):  # theirs is another one
            self.thermostats.add(thermostat)
        if known.material in MATERIALS:
            self.structures.add(known.material)


def _methods(page: Page, assessment: Assessment | None) -> Iterator[str]:
    for each in page.sections:
        if isinstance(each, MsdSection | ConductivitySection):
            ours = each.settings.get("estimator", "gls") == "gls"
            yield cite.DIFFUSIVITY if ours else cite.ANALYZER
        if isinstance(each, ConductivitySection):
            yield cite.LINE
            if each.recipe is not None:
                yield cite.ANALYZER
        if isinstance(each, PathSection):
            yield cite.PATHS
        if isinstance(each, RdfSection) and (each.comparison or {}).get("survival") is not None:
            yield cite.SURVIVAL
    if page.models.errors:
        yield cite.ERRORS
    if assessment is not None and any(
        standing.ranks for model in assessment.models for standing in model.standings.values()
    ):
        yield cite.RANKS


def _reference(known: DataSet) -> Reference:
    return Reference(
        f"data-{known.name}",
        "misc",
        (f"The authors of the data set {known.name}",),
        known.what,
        doi=known.doi or "",
        place=known.source,
    )
