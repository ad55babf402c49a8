import dataclasses
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from mdbench.reporting.glossary import GLOSSARY
from mdbench.reporting.html import GENERATOR, Page, render
from mdbench.reporting.rdf_html import Peak, RdfSection
from mdbench.store import Input

HOSTILE = '<script>alert("x")</script>'
VOID = {"meta", "img", "br"}


class Outline(HTMLParser):
    """Collects tags, links and text; refuses tags that do not close in order.

    The words are those in front of the glossary, which has them all.
    """

    def __init__(self, page):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.glossary: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []
        if self.glossary:
            self.text, self.glossary = self.glossary, self.text

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *a) for a in attrs]
        if dict(attrs).get("id") == "glossary":
            self.text, self.glossary = self.glossary, self.text
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def values(self, name):
        """Of an attribute, in the order of the page."""
        return [value for _, attribute, value in self.attributes if attribute == name]

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


#: What the comparison with a reference says, as far as a page reads it.
COMPARISON = {
    "verdict": "unstable",
    "paper_verdict": "unstable",
    "failure_mode": "fusion",
    "reason": "fusion, whatever g(r) is",
    "reference": {"source": "reference", "files": ["800K-r0.h5"]},
    "evidence": [],
    "rdf_mae": 0.5,
    "rdf_mae_interval": None,
    "noise_floor": None,
    "per_pair": {},
    "framework": None,
    "with_mobile": None,
    "threshold": 0.02,
}


@pytest.fixture
def section():
    return RdfSection(
        file="observables/reference/li2s/rdf-800K.h5",
        material="li2s",
        source="reference",
        temperature_k=800.0,
        n_runs=2,
        n_frames=350,
        skip_ps=[7.5, 7.5],
        synthetic=False,
        figure=b"\x89PNG not really",
        peaks=[
            Peak("total", 2.475, 3.2, 10.5, 10.5),
            Peak("Li-S", 2.47, 5.1234, 4.0, 7.5),
            Peak("S-S", None, None, None, None),
        ],
        settings={"r_max": 6.0, "skip_ps": None},
        comparison=None,
        inputs=[Input("800K-r0.h5", "trajectory", "ab" * 32)],
    )


def outline(*sections, **more):
    page = Page(run="run", created="2026-01-01", version="1.2", sections=sections, **more)
    return Outline(render(page))


def test_shows_peaks_and_provenance(section):
    words = outline(section).words
    for expected in (
        "g(r) 800 2 350 7.5",
        "Li-S 2.470 5.12 4.00 7.50",
        "S-S – – – –",
        "r_max 6.0, skip_ps by default",
        "800K-r0.h5 " + "ab" * 32,
        section.file,
    ):
        assert expected in words


def test_unknown_temperature_is_said(section):
    words = outline(dataclasses.replace(section, temperature_k=None, skip_ps=[])).words
    assert "li2s, temperature unknown, reference" in words
    assert "g(r) – 2 350 –" in words


def test_synthetic_data_carry_a_banner(section):
    made_up = dataclasses.replace(section, synthetic=True)
    assert "not a material" not in outline(section).words
    assert "Synthetic sample data: not a material." in outline(made_up).words
    mixed = outline(section, made_up).words
    assert "Synthetic sample data in the sections marked below: not a material." in mixed
    assert mixed.count("li2s, 800 K, reference not a material") == 1


def test_nothing_from_a_stranger_becomes_markup(section):
    hostile = dataclasses.replace(
        section,
        file=HOSTILE,
        material=HOSTILE,
        source='" onload="alert(1)',
        peaks=[Peak(HOSTILE, 1.0, 1.0, 1.0, 1.0)],
        settings={HOSTILE: HOSTILE},
        inputs=[Input(HOSTILE, "trajectory", HOSTILE)],
    )
    page = Page(run=HOSTILE, created="", version="1", sections=[hostile], not_shown=[HOSTILE])
    text = render(page)
    assert "<script" not in text
    found = Outline(text)
    assert found.words.count("alert") >= 9
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]


def test_needs_no_network_and_no_other_file(section):
    found = outline(section)
    assert not {"link", "script", "iframe", "object"} & set(found.tags)
    targets = [value for _, name, value in found.attributes if name in ("src", "href")]
    assert targets
    assert all(t.startswith(("data:image/png;base64,", "#")) for t in targets)
    page = Page(run="run", created="", version="1", sections=[section])
    assert "default-src 'none'" in render(page)
    assert not re.search(r"url\(|@import|https?://", render(page))


def test_links_lead_to_what_there_is(section):
    found = outline(section, dataclasses.replace(section, temperature_k=900.0, file="other.h5"))
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    links = [link.removeprefix("#") for link in found.values("href")]
    assert set(links) <= set(ids)
    assert {"summary", "results", "files", "glossary", "content", "g1", "g2"} <= set(links)
    assert sum(link.startswith("file-") for link in links) == 2


def test_the_contents_name_every_section_in_order(section):
    page = render(Page("run", "", "1", [section]))
    contents = page[page.index("<nav") : page.index("</nav>")]
    links = re.findall(r'href="#([^"]*)"', contents)
    assert links == re.findall(r'<section id="([^"]*)"', page)


def test_screen_readers_find_their_way(section):
    found = outline(section)
    for landmark in ("header", "nav", "main", "footer"):
        assert found.tags.count(landmark) == 1
    links = [value for tag, name, value in found.attributes if (tag, name) == ("a", "href")]
    assert links[0] == "#content"
    levels = [int(tag[1]) for tag in found.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert found.tags.count("caption") == found.tags.count("table")
    assert len(found.values("scope")) == found.tags.count("th")
    assert len(found.values("alt")) == found.tags.count("img")
    assert all(found.values("alt"))


def test_results_are_folded_up_by_source_and_material(section):
    others = [
        dataclasses.replace(section, material="lgps"),
        dataclasses.replace(section, temperature_k=900.0),
        dataclasses.replace(section, source="schnet-s0", comparison=COMPARISON),
    ]
    page = render(Page("run", "", "1", [*others, section]))
    results = page[page.index('id="results"') : page.index('id="files"')]
    assert re.findall("<h3>([^<]*)</h3>", results) == ["reference", "schnet-s0"]
    shown = re.findall("<summary><h4>([^<]*)</h4> <span>([^<]*)</span></summary>", results)
    assert shown == [
        ("lgps", "g(r), first peak 2.475 Å"),
        ("li2s", "g(r) at 2 temperatures"),
        ("li2s", "unstable (fusion) at 800 K"),
    ]
    assert "<details open" not in results


def test_every_word_of_the_glossary_is_explained(section):
    text = " ".join(" ".join(outline(section).glossary).split())
    assert all(f"{term} {meaning}" in text for term, meaning in GLOSSARY)


def test_a_page_is_known_as_ours(section):
    assert render(Page("run", "", "1.2", [section])).startswith(GENERATOR)


def test_counts_are_grammatical(section):
    one = dataclasses.replace(section, n_runs=1, n_frames=1)
    assert "1 material from 1 trajectory with 1 frame after" in outline(one).words
    assert "1 material from 2 trajectories with 350 frames after" in outline(section).words


def test_results_without_a_section_are_named(section):
    words = outline(section, not_shown=["observables/a/msd-800K.h5"]).words
    assert "Not shown" in words
    assert "observables/a/msd-800K.h5" in words
    assert "Not shown" not in outline(section).words
