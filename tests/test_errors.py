"""Messages: one line that a terminal can print, of a length that somebody reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdbench.errors import InputError

TEXT = st.text(st.characters(), max_size=60)


@given(TEXT, TEXT, TEXT, TEXT)
def test_any_words_make_one_line(what, where, expected, found):
    text = str(InputError(what, where=where, expected=expected, found=found))
    assert text.isprintable()
    text.encode()


@pytest.mark.parametrize("part", ["what", "expected", "found"])
def test_words_of_any_length_are_cut(part):
    words = {"what": "a thing", "expected": "one", "found": "two"} | {part: "x" * 100_000}
    text = str(InputError(words.pop("what"), where="a.xyz", remedy="mend it", **words))
    assert text.startswith("a.xyz: ")
    assert text.endswith("; mend it")
    assert len(text) < 1000


def test_what_a_terminal_would_obey_is_escaped():
    text = str(InputError("a name", found="\x1b[2J\x07\ud800 Å …"))
    assert text == r"a name: found \x1b[2J\x07\ud800 Å …"
