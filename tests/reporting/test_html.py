import dataclasses
import re
from html.parser import HTMLParser

import pytest

from mdbench.reporting.html import GENERATOR, Page, Peak, RdfSection, render
from mdbench.store import Input

HOSTILE = '<script>alert("x")</script>'
VOID = {"meta", "img", "br"}


class Outline(HTMLParser):
    """Collects tags, links and text; refuses tags that do not close in order."""

    def __init__(self, page):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *a) for a in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


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
        "li2s reference 800 2 350 7.5",
        "Li-S 2.470 5.12 4.00 7.50",
        "S-S – – – –",
        "r_max 6.0",
        "skip_ps by default",
        "800K-r0.h5 " + "ab" * 32,
        section.file,
    ):
        assert expected in words


def test_unknown_temperature_is_said(section):
    words = outline(dataclasses.replace(section, temperature_k=None, skip_ps=[])).words
    assert "li2s, temperature unknown, reference" in words
    assert "li2s reference – 2 350 –" in words


def test_synthetic_data_carry_a_banner(section):
    made_up = dataclasses.replace(section, synthetic=True)
    assert "not a material" not in outline(section).words
    assert "Synthetic sample data: not a material." in outline(made_up).words
    mixed = outline(section, made_up).words
    assert "Synthetic sample data in the sections marked below: not a material." in mixed
    assert mixed.count("reference not a material") == 1


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
    assert not re.search(r"url\(|@import|https?://", render(page))


def test_links_lead_to_sections(section):
    found = outline(section, section)
    ids = {value for _, name, value in found.attributes if name == "id"}
    links = {value[1:] for _, name, value in found.attributes if name == "href"}
    assert links == ids == {"g1", "g2"}


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
