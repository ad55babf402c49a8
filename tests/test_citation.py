"""CITATION.cff is what tools that read it expect (Citation File Format 1.2.0)."""

import configparser
import re
from pathlib import Path

import pytest
import yaml

from mdbench.reporting.citations import Uses, citations
from mdbench.reporting.published import DOI
from mdbench.version import __version__

ROOT = Path(__file__).parent.parent
#: Of the schema: keys at top level, of a person or group, and of a reference.
KEYS = {
    *("abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi"),
    *("identifiers", "keywords", "license", "license-url", "message", "preferred-citation"),
    *("references", "repository", "repository-artifact", "repository-code", "title", "type"),
    *("url", "version"),
}
PERSON = {"family-names", "given-names", "orcid", "affiliation", "name-particle", "name-suffix"}
REFERENCE = {"type", "authors", "title", "journal", "year", "volume", "start", "doi", "url"}


@pytest.fixture(scope="module")
def known():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_required_keys(known):
    assert set(known) <= KEYS
    assert {"authors", "cff-version", "message", "title"} <= set(known)
    assert known["cff-version"] == "1.2.0"
    assert known["type"] in ("software", "dataset")
    assert known["authors"] == [{"name": "The mdbench developers"}]
    for key in ("title", "message", "abstract"):
        assert isinstance(known[key], str)
        assert known[key].strip()
    assert all(isinstance(word, str) for word in known["keywords"])


def test_it_says_what_the_package_says(known):
    assert str(known["version"]) == __version__
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert known["license"] == setup["metadata"]["license"]
    assert known["keywords"] == setup["metadata"]["keywords"].split(", ")
    (ours, *_) = citations(Uses(), __version__)
    assert list(ours.reference.authors) == [each["name"] for each in known["authors"]]
    assert ours.reference.title.replace(f" {__version__}", "") == known["title"]


def test_references(known):
    for each in known["references"]:
        assert set(each) <= REFERENCE
        assert {"type", "authors", "title"} <= set(each)
        assert all(set(author) <= PERSON for author in each["authors"])
        assert re.fullmatch(r"10\.\d{4,9}/\S+", each["doi"])
    assert [each["doi"] for each in known["references"]] == [DOI]
