"""What to cite for the methods, models and data of a page, as HTML and as BibTeX."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mdbench.reporting.markup import heading, section, small, text
from mdbench.reporting.references import REFERENCES, Reference

#: Keys of what stands behind each method, in the order of a page.
_METHODS: Mapping[str, tuple[str, ...]] = {
    "diffusivity and its interval": ("bullerjahn2020", "he2018", "satterthwaite1946"),
    "diffusivity by DiffusionAnalyzer": ("ong2013",),
    "Arrhenius lines with uncertain weights": ("kenward1997",),
    "sites of ions and jumps between them": ("buchete2008",),
    "survival of runs": ("kaplan1958", "fay2013"),
    "ranks and their significance": ("holm1979", "zou2008"),
    "errors of forces": ("woodruff1952",),
}
#: Names of the methods, for who says which were used.
DIFFUSIVITY, ANALYZER, LINE, PATHS, SURVIVAL, RANKS, ERRORS = _METHODS
_MODELS: Mapping[str, tuple[str, ...]] = {
    "cgcnn": ("xie2018",),
    "schnet": ("schutt2018",),
    "dimenet": ("gasteiger2020",),
    "dimenet++": ("gasteiger2020fast", "gasteiger2020"),
    "gns-tat": ("thoelke2022", "zaidi2022"),
    "deepergatgnn": ("omee2022", "louis2020"),
    "scn": ("zitnick2022",),
    "escn": ("passaro2023",),
    "forcenet": ("hu2021",),
    "equiformer": ("liao2022",),
    "leftnet": ("du2023",),
}
#: By the beginning of what provenance calls the potential.
_POTENTIALS = {"CHGNet ": ("deng2023",), "SevenNet ": ("park2024",), "MACE ": ("batatia2022",)}
#: By the beginning of what provenance calls the thermostat of a run of ours.
_THERMOSTATS = {
    "nose-hoover": ("martyna1996",),
    "csvr": ("bussi2007",),
    "langevin": ("leimkuhler2013",),
    "nve": ("swope1982",),
}
#: By the beginning of what provenance calls the code.
_CODES = {
    "VASP": ("kresse1996",),
    "CP2K": ("kuehne2020",),
    "LAMMPS": ("thompson2022",),
    "ASE": ("larsen2017",),
}
_ENGINES = {"lammps": ("thompson2022",), "ase": ("larsen2017",)}
_STRUCTURES = {
    "lgps": ("kamaya2011",),
    "li3ps4": ("homma2011", "therrien2025"),
    "gamma-li3ps4": ("homma2011", "therrien2025"),
    "li4ges4": ("therrien2025",),
}


@dataclass(frozen=True)
class Uses:
    """What the numbers of a page were made with.

    Attributes:
        methods: `DIFFUSIVITY`, `LINE` and others.
        models: Names of models, sources or potentials that begin with them, as
            `schnet-small-s0`.
        potentials: What forces came from, as provenance says.
        thermostats: Of runs of ours, likewise.
        codes: That wrote the trajectories.
        engines: torch, ase or lammps.
        structures: Names of the crystals of ours that runs started from.
        data: Data sets that were published by others.
    """

    methods: Sequence[str] = ()
    models: Sequence[str] = ()
    potentials: Sequence[str] = ()
    thermostats: Sequence[str] = ()
    codes: Sequence[str] = ()
    engines: Sequence[str] = ()
    structures: Sequence[str] = ()
    data: Sequence[Reference] = ()


@dataclass(frozen=True)
class Citation:
    """A reference, and what it is cited for."""

    reference: Reference
    reason: str


def citations(uses: Uses, version: str) -> list[Citation]:
    """What to cite, each once: mdbench, the benchmark's paper, then methods, models and data.

    Args:
        uses: What the numbers were made with.
        version: Of mdbench.
    """
    software = Reference(
        "mdbench",
        "misc",
        ("The mdbench developers",),
        f"mdbench {version}: can the dynamics of a machine-learning force field be trusted?",
        year=None,
    )
    found = {software.key: Citation(software, "this report")}
    for reason, keys in _reasons(uses):
        for key in keys:
            found.setdefault(key, Citation(REFERENCES[key], reason))
    for reference in uses.data:
        found.setdefault(reference.key, Citation(reference, "data"))
    return list(found.values())


def _reasons(uses: Uses) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "the benchmark and its protocol", ("duangdangchote2024",)
    for method in _METHODS:
        if method in uses.methods:
            yield method, _METHODS[method]
    for architecture in _MODELS:
        if any(_architecture(name) == architecture for name in uses.models):
            yield f"model {architecture}", _MODELS[architecture]
    yield from _begun(_POTENTIALS, uses.potentials, "potential {}")
    yield from _begun(_THERMOSTATS, uses.thermostats, "dynamics, {}")
    yield from _begun(_CODES, uses.codes, "trajectories by {}")
    yield from _begun(_ENGINES, uses.engines, "dynamics by {}")
    for name in _STRUCTURES:
        if name in uses.structures:
            yield f"structure of {name}", _STRUCTURES[name]


def _begun(
    known: Mapping[str, tuple[str, ...]], stated: Sequence[str], reason: str
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for start, keys in known.items():
        if any(each.startswith(start) for each in stated):
            yield reason.format(start.strip()), keys


def _architecture(name: str) -> str:
    """`schnet` of `schnet-small-s0`, `schnet@published-s0` or `schnet-small of seed 0, …`."""
    word = name.partition(" ")[0].lower()
    for mark in (":", "@", "-s"):  # a seed, or the size
        word = word.partition(mark)[0]
    return word


def citations_html(found: Sequence[Citation]) -> str:
    """The section of a page; empty without any."""
    if not found:
        return ""
    items = "".join(f"<li>{_html(each)}</li>\n" for each in found)
    return section(
        "cite",
        [
            heading("What to cite"),
            small("For what this page shows. The same as BibTeX lies beside it: citations.bib"),
            f"<ul>\n{items}</ul>",
        ],
    )


def _html(found: Citation) -> str:
    """As text: a page of ours has no links that lead out of it."""
    return f'{text(found.reference.text)} <span class="small">({text(found.reason)})</span>'


def bibtex(found: Sequence[Citation]) -> str:
    """All references as one BibTeX file, in plain ASCII."""
    return "\n".join(_entry(each) for each in found)


def _entry(found: Citation) -> str:
    r = found.reference
    fields = {
        "author": " and ".join(_name(author) for author in r.authors),
        "title": f"{{{escaped(r.title)}}}" if r.title else "",
        ("booktitle" if r.kind == "inproceedings" else "journal"): escaped(r.venue),
        "year": "" if r.year is None else str(r.year),
        "volume": escaped(r.volume),
        "pages": escaped(r.pages),
        "doi": r.doi,
        "eprint": r.arxiv,
        "archiveprefix": "arXiv" if r.arxiv else "",
        "howpublished": escaped(r.place),
        "note": escaped(f"cited for: {found.reason}"),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{r.kind}{{{r.key},", *lines, "}", ""])


def _name(author: str) -> str:
    """A group of people is one name, whatever words it has."""
    return f"{{{escaped(author)}}}" if author.startswith("The ") else escaped(author)


_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "–": "--", "—": "---", "’": "'", "‘": "`", "“": "``", "”": "''", "…": "...", "×": r"$\times$",
    "ø": r"{\o}", "Ø": r"{\O}", "ß": r"{\ss}", "ł": r"{\l}", "æ": r"{\ae}", "å": r"{\aa}",
    "β": r"$\beta$", "γ": r"$\gamma$", "±": r"$\pm$", "\n": " ",
}  # fmt: skip
#: Accents of TeX by the combining character.
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030a": "r ",
    "\u030c": "v ", "\u0327": "c ", "\u0304": "=", "\u030b": "H ", "\u0306": "u ",
}  # fmt: skip


def escaped(words: str) -> str:
    """A text as TeX shows it, in ASCII; what TeX has no sign for here is a question mark."""
    return "".join(_escaped(letter) for letter in words)


def _escaped(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if letter.isascii():
        return letter if letter.isprintable() else ""
    parts = unicodedata.normalize("NFKD", letter)
    base, marks = parts[0], parts[1:]
    if base.isascii() and marks in _ACCENTS:
        return f"{{\\{_ACCENTS[marks]}{base}}}"
    if not marks and base.isdigit():
        return f"$_{base}$" if "SUBSCRIPT" in unicodedata.name(letter) else f"$^{base}$"
    return "?"
