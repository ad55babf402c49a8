"""YAML that strangers wrote: plain values, without what can fill the memory."""

from __future__ import annotations

from typing import Any

import yaml

from mdbench.errors import InputError

#: What a loader raises where a text is no YAML, or a value is not of the type that its tag says.
_DAMAGE = (yaml.YAMLError, ValueError, KeyError, TypeError, OverflowError, RecursionError)


def plain_yaml(text: str, *, deepest: int, expected: str, remedy: str | None = None) -> Any:
    """The document of a YAML text of scalars, lists and mappings.

    Aliases are refused: where they are nested, a page of text stands for more than any memory.

    Args:
        text: The document.
        deepest: How many lists and mappings may stand within each other.
        expected: What the file should look like.
        remedy: What to write instead of an alias.

    Raises:
        InputError: No YAML, an alias, or deeper nesting.
    """
    depth = 0
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise InputError("an alias (*name)", expected="plain values", remedy=remedy)
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > deepest:
                raise InputError("lists within lists", expected=expected)
        return yaml.safe_load(text)
    except _DAMAGE as error:
        raise InputError("no YAML", found=str(error)[:200]) from error
