"""The nearest known name to one that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A remedy such as `did you mean 'epochs'?`, or the list of what is known."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"use one of: {', '.join(names)}"
