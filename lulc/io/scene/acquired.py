"""When pixels were taken, as a tag says it: a date or time, or an interval FROM/TO of them as in ISO 8601."""

from collections.abc import Iterable


def first_moment(acquired: str) -> str:
    """Start of an interval; a date or time as it is."""
    return acquired.partition("/")[0]


def last_moment(acquired: str) -> str:
    """End of an interval; a date or time as it is."""
    return acquired.rpartition("/")[2]


def span(acquired: Iterable[str]) -> str:
    """What several acquisitions span together; empty unless every one of them says when it was."""
    stated = list(acquired)
    if not stated or not all(stated):
        return ""
    first, last = min(map(first_moment, stated)), max(map(last_moment, stated))
    return first if first == last else f"{first}/{last}"
