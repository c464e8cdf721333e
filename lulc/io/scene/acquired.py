"""When pixels were taken, as a tag says it: a date or time, or an interval FROM/TO of them as in ISO 8601."""

import logging
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from lulc.errors import InputError

_ISO = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?Z?)?")
_LOOSE = re.compile(r"(?P<year>\d{4})[-:/.](?P<month>\d{1,2})[-:/.](?P<day>\d{1,2})(?P<rest>[T ].*)?")
"""As cameras and spreadsheets write it; the year comes first, because 01/07 is another day in another country."""

_log = logging.getLogger(__name__)


def stated_date(text: str, path: Path) -> str:
    """A date, time or interval from the tag of a file, in ISO 8601; empty, with a warning, when it is none."""
    found = iso_date(text)
    if text.strip() and not found:
        _log.warning("%s: %r is no date (YYYY-MM-DD); it counts as not stated", path, text[:40])
    return found


def iso_date(text: str) -> str:
    """A date, time or interval in ISO 8601; empty when the text is none."""
    start, slash, end = text.strip().partition("/")
    try:
        return f"{_iso(start)}/{_iso(end)}" if slash and len(start) > len("2021") else _iso(text.strip())
    except ValueError:
        return ""


def moment(acquired: str) -> datetime:
    """The instant of a date or time, UTC where no zone is said; a date is its first moment.

    Raises:
        InputError: It is none.
    """
    try:
        return _parsed(acquired)
    except ValueError:
        raise InputError(f"{acquired[:40]!r} is no date", "write it as YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ") from None


def first_moment(acquired: str) -> str:
    """Start of an interval; a date or time as it is."""
    return acquired.partition("/")[0]


def last_moment(acquired: str) -> str:
    """End of an interval; a date or time as it is."""
    return acquired.rpartition("/")[2]


def span(acquired: Iterable[str]) -> str:
    """What several acquisitions span together; empty unless every one of them says when it was.

    Raises:
        InputError: One is no date.
    """
    stated = list(acquired)
    if not stated or not all(stated):
        return ""
    first, last = min(map(first_moment, stated), key=moment), max(map(last_moment, stated), key=moment)
    return first if first == last else f"{first}/{last}"


def _iso(text: str) -> str:
    parsed = _parsed(text)
    if _ISO.fullmatch(text):
        return text
    loose = _LOOSE.fullmatch(text)
    has_time = loose["rest"] if loose else len(text) > len("20210628")
    return parsed.isoformat().replace("+00:00", "Z") if has_time else parsed.date().isoformat()


def _parsed(text: str) -> datetime:
    loose = _LOOSE.fullmatch(text)
    if loose:
        text = f"{loose['year']}-{int(loose['month']):02}-{int(loose['day']):02}{loose['rest'] or ''}"
    elif not text[:8].isdigit():
        raise ValueError(text)
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
