"""The tutorial prints what it shows, on the real files that it speaks of."""

import re

import pytest

from tests.docs import blocks

PAGE = "tutorial.md"
#: From here on the tutorial trains, and a budget of time gives other numbers on each machine.
TRAINING = "mdbench reference"
#: Lines in which words, too, depend on how far the training came.
DECIDED = r"verdict: .*|rdf_mae alone.*|.*: lgps .*|.* about .* per step .*|pressure: .*"


def typed(block: blocks.Block, real_data) -> str:
    """A block as it is run here: files are fetched from the folder of real data."""
    return re.sub(r"(mdbench fetch \w+)", rf"\1 --from {real_data}", block.text)


def words(text: str) -> list[str]:
    """A text without its numbers and without what numbers decide."""
    lines = [line for line in text.splitlines() if not line.startswith(("created", "---"))]
    return re.findall(r"[A-Za-z_]{3,}", "\n".join(lines))


def test_what_it_shows_is_what_is_printed(shell, real_data, tmp_path, monkeypatch):
    for block in blocks.blocks(PAGE):
        if block.text.startswith(TRAINING):
            break
        done = shell.run(typed(block, real_data), tmp_path)
        assert block.shown is not None
        if block.varies:
            assert words(done.out) == words(block.shown), block.text
        else:
            assert done.out == block.shown, block.text
    else:
        pytest.fail("the tutorial no longer trains")


@pytest.mark.slow
def test_training_prints_what_it_shows_but_for_numbers(shell, tmp_path):
    """With the real budget; a verdict may differ, its table may not."""
    pages = iter(blocks.blocks(PAGE))
    for block in pages:
        if block.text.startswith(TRAINING):
            break
    for each in (block, *pages):
        done = shell.run(each.text, tmp_path)
        assert done.status == 0, done.out
        shown = set(words(re.sub(DECIDED, "", each.shown or "")))
        assert shown <= set(words(done.out)), each.text
