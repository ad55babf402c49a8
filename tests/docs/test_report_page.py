"""The page on reading the report follows the report."""

import re

from mdbench.reporting.html import PLACES
from tests.docs import blocks


def test_every_section_of_the_report_is_a_heading_in_its_order(shell, page_folder):
    folder = page_folder("howto/report.md")
    assert shell.run("mdbench report run", folder).status == 0
    page = (folder / "run/report/index.html").read_text()
    contents = re.search(r"<nav.*?</nav>", page, re.DOTALL)
    assert contents is not None
    links = re.findall(r">([^<>]+)</a>", contents[0])
    assert len(links) > 8
    headings = [
        name for line in re.findall(r"^## (.+)$", blocks.source("howto/report.md"), re.MULTILINE)
        for name in line.split(", ")
    ]  # fmt: skip
    assert [name for name in headings if name in links] == links
    assert {place.short for place in PLACES} - {"Faults"} <= set(headings)
    assert "**Faults**" in blocks.source("howto/report.md")
