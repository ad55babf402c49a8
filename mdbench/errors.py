"""The one exception that is the user's to mend; anything else that is raised is a bug."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

#: Letters of what was found, of what was expected, and of what is wrong: files and options can hold
#: words of any length.
_FOUND, _EXPECTED, _WHAT = 300, 600, 800


class InputError(Exception):
    """Bad input in one line: what, what was expected, what was found, how to go on.

    Args:
        what: What is wrong, in the user's words.
        where: File, and frame or line where known, as ``traj.xyz: frame 3``.
        expected: What should have stood there.
        found: What stood there.
        remedy: What the user can do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        found: object = None,
        remedy: str | None = None,
    ) -> None:
        comparison = []
        if expected is not None:
            comparison.append(f"expected {_short(str(expected), _EXPECTED)}")
        if found is not None:
            comparison.append(f"found {_short(str(found), _FOUND)}")
        what = _short(what, _WHAT)
        message = what if where is None else f"{where}: {what}"
        if comparison:
            message += ": " + ", ".join(comparison)
        if remedy is not None:
            message += f"; {remedy}"
        super().__init__(_printable(" ".join(message.split())))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _printable(line: str) -> str:
    """The line with what a terminal would obey, or could not print, as escape sequences."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


@contextmanager
def located(path: Path) -> Iterator[None]:
    """Puts the name of the file before an error that does not have it yet."""
    try:
        yield
    except InputError as error:
        if path.name in str(error):
            raise
        raise InputError(str(error), where=path) from error


def suggest(word: str, known: Iterable[str]) -> str:
    """The nearest known names to an unknown one, as a remedy for an error message."""
    names = sorted(known)
    near = get_close_matches(word, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"


def check_word(what: str, word: str, known: Collection[str]) -> None:
    """Refuses a word that is not one of those known.

    Args:
        what: What the word stands for, as "readout".
        word: As it was given.
        known: All that it may be.

    Raises:
        InputError: Another word; with the nearest one.
    """
    if word not in known:
        raise InputError(f"{what} {word!r}", remedy=suggest(word, known))
