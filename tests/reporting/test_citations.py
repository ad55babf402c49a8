"""What to cite: the table of references, as text, HTML and BibTeX."""

import re

import bibtexparser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdbench.models import MODELS, model_class
from mdbench.potentials.calculators import NAMES
from mdbench.potentials.materials import MATERIALS
from mdbench.reporting import citations as cite
from mdbench.reporting.citations import Uses, bibtex, citations, citations_html, escaped
from mdbench.reporting.published import DOI
from mdbench.reporting.references import REFERENCES, Reference
from tests.reporting.test_html import HOSTILE, Outline

ALWAYS = ["mdbench", "duangdangchote2024"]


def keys(**uses):
    return [each.reference.key for each in citations(Uses(**uses), "1.2")]


def test_every_key_that_is_cited_exists():
    tables = (
        cite._METHODS, cite._MODELS, cite._POTENTIALS, cite._THERMOSTATS, cite._CODES,
        cite._ENGINES, cite._STRUCTURES,
    )  # fmt: skip
    used = {key for table in tables for keys in table.values() for key in keys}
    assert used | {"duangdangchote2024"} == set(REFERENCES)


def test_every_reference_can_be_found():
    for key, reference in REFERENCES.items():
        assert re.fullmatch(r"[a-z]+\d{4}[a-z]*", key)
        assert reference.authors
        assert reference.title or reference.doi or (reference.venue and reference.pages)
        assert not reference.doi or reference.doi.startswith("10.")
        assert not reference.arxiv or re.fullmatch(r"\d{4}\.\d{5}", reference.arxiv)
    assert REFERENCES["duangdangchote2024"].doi == DOI


def test_models_calculators_and_structures_have_their_references():
    assert set(cite._MODELS) == set(MODELS)
    for name, known in cite._MODELS.items():
        numbers = {REFERENCES[key].doi or REFERENCES[key].arxiv for key in known}
        source = model_class(name).source
        assert {part.partition(":")[2] for part in source.split(", ")} <= numbers
    assert set(cite._STRUCTURES) == set(MATERIALS)
    named = {start.strip().lower() for start in cite._POTENTIALS}
    assert named == set(NAMES) - {"refpot"}  # which is ours


def test_what_is_always_cited():
    assert keys() == ALWAYS


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ({"methods": [cite.DIFFUSIVITY]}, ["bullerjahn2020", "he2018", "satterthwaite1946"]),
        ({"methods": [cite.ANALYZER]}, ["ong2013"]),
        ({"methods": [cite.LINE]}, ["kenward1997"]),
        ({"methods": [cite.RANKS]}, ["holm1979", "zou2008"]),
        ({"methods": [cite.SURVIVAL]}, ["kaplan1958", "fay2013"]),
        ({"models": ["schnet-small-s0"]}, ["schutt2018"]),
        ({"models": ["schnet@published-s3"]}, ["schutt2018"]),
        ({"models": ["gns-tat-s0"]}, ["thoelke2022", "zaidi2022"]),
        ({"models": ["dimenet++-small of seed 0, w 1"]}, ["gasteiger2020fast", "gasteiger2020"]),
        ({"models": ["schnetter-s0", "refpot", "my-schnet"]}, []),
        ({"potentials": ["CHGNet 0.4.2, model 0.3.0"]}, ["deng2023"]),
        ({"potentials": ["synthetic-refpot-v1 (analytic toy potential, not DFT)"]}, []),
        ({"thermostats": ["nose-hoover, 40 fs"]}, ["martyna1996"]),
        ({"thermostats": ["csvr, 100 fs", "langevin, 1000 fs"]}, ["bussi2007", "leimkuhler2013"]),
        ({"codes": ["VASP 6.3.0"], "engines": ["lammps"]}, ["kresse1996", "thompson2022"]),
        ({"codes": ["mdbench 1.2"], "engines": ["torch"]}, []),
        ({"structures": ["lgps"]}, ["kamaya2011"]),
        ({"structures": ["li3ps4", "li4ges4"]}, ["homma2011", "therrien2025"]),
    ],
)  # fmt: skip
def test_what_was_used_is_cited(uses, expected):
    assert keys(**uses) == [*ALWAYS, *expected]


def test_each_is_cited_once():
    found = keys(models=["schnet-s0", "schnet-small-s1", "schnet@published-s0"])
    assert found == [*ALWAYS, "schutt2018"]


def test_a_reference_in_one_line():
    assert REFERENCES["kaplan1958"].text == (
        "E. L. Kaplan, P. Meier: Nonparametric estimation from incomplete observations. "
        "J. Am. Stat. Assoc. 1958, 53, 457. doi:10.1080/01621459.1958.10501452."
    )
    assert REFERENCES["deng2023"].text.startswith("B. Deng et al.: CHGNet as")
    assert REFERENCES["ong2013"].text.startswith("S. P. Ong et al.: Phase")
    assert REFERENCES["duangdangchote2024"].text == (
        "S. Duangdangchote, D. S. Seferos, O. Voznyy. Digital Discovery 2024, 3, 2177. "
        "doi:10.1039/d4dd00140k."
    )


def everything():
    data = Reference("data-x", "misc", ("The authors of x",), "50 % of {x} & y_z", place="a#b")
    return citations(
        Uses(
            methods=list(cite._METHODS),
            models=list(MODELS),
            potentials=["CHGNet 1", "SevenNet 1", "MACE 1"],
            thermostats=list(cite._THERMOSTATS),
            codes=list(cite._CODES),
            engines=list(cite._ENGINES),
            structures=list(MATERIALS),
            data=[data],
        ),
        "1.2",
    )


def test_bibtex_is_read_back():
    found = everything()
    text = bibtex(found)
    assert text.isascii()
    parser = bibtexparser.bparser.BibTexParser(ignore_nonstandard_types=False)
    entries = {entry["ID"]: entry for entry in bibtexparser.loads(text, parser).entries}
    assert list(entries) == [each.reference.key for each in found]
    for each in found:
        entry, reference = entries[each.reference.key], each.reference
        assert entry["ENTRYTYPE"] == reference.kind
        assert len(entry["author"].split(" and ")) == len(reference.authors)
        assert entry.get("doi", "") == reference.doi
        assert entry.get("eprint", "") == reference.arxiv
        assert entry.get("year", "") == str(reference.year or "")
    assert entries["schutt2018"]["author"].startswith(r"Sch{\"u}tt, K. T. and Sauceda")
    assert entries["data-x"]["title"] == r"{50 \% of \{x\} \& y\_z}"
    assert "duangdangchote2024" in entries


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("R&D_1 #2 $3 %", r"R\&D\_1 \#2 \$3 \%"),
        (r"{a}\b~c^d", r"\{a\}\textbackslash{}b\textasciitilde{}c\textasciicircum{}d"),
        ("Müller Groß Ångström Jørgen", r"M{\"u}ller Gro{\ss} {\r A}ngstr{\"o}m J{\o}rgen"),
        ("Poznań, Dvořák, Françoise", r"Pozna{\'n}, Dvo{\v r}{\'a}k, Fran{\c c}oise"),
        ("Li₃PS₄ – 2×10⁻", r"Li$_3$PS$_4$ -- 2$\times$10?"),
        ("a\nb\x07\u4e2d\U0001f600", "a b??"),
    ],
)
def test_escaping(words, expected):
    assert escaped(words) == expected


@given(st.text())
def test_whatever_is_escaped_is_ascii_and_closes_its_braces(words):
    made = escaped(words)
    assert made.isascii()
    assert made.isprintable() or not made
    plain = re.sub(r"\\[{}]", "", made)
    depth = 0
    for letter in plain:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert not re.search(r"(?<!\\)[%#&]", made)


def test_the_section_of_a_page():
    page = Outline(citations_html(everything()))
    assert "cite" in page.values("id")
    assert "doi:10.1063/5.0008312. (diffusivity and its interval)" in page.words
    assert page.values("href") == []  # a page leads nowhere outside itself
    assert citations_html([]) == ""
    hostile = Reference("x", "misc", (HOSTILE,), HOSTILE)
    assert "<script" not in citations_html(citations(Uses(data=[hostile]), HOSTILE))
