"""The steps along an axis of a cube that counts neither rows, columns nor bands: dates, mostly."""

import re
from dataclasses import dataclass

import numpy as np
import xarray as xr

from lulc.errors import InputError
from lulc.io.scene.acquired import iso_date, moment

_TIME = re.compile(r"(t|times?|dates?|datetimes?|days?|acquisitions?|acquired|phenomenon_time)(_\w+)?", re.IGNORECASE)
_ZONED = re.compile(r"(?P<local>\d{4}-\d\d-\d\dT\d\d(:\d\d(:\d\d(\.\d+)?)?)?)(Z|[+-]\d\d:?\d\d)")
_SPACED = re.compile(r"^(\d{4}-\d\d-\d\d) (?=\d)")
_MOST = 6
"""Steps that a message lists."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What lies along an axis.

    Attributes:
        dimension: Its name.
        texts: Each step: a date to the second in UTC, else what the coordinate holds, else a number from 0.
        dates: True when the steps are dates.
    """

    dimension: str
    texts: tuple[str, ...]
    dates: bool

    def at(self, date: str | None) -> list[int]:
        """Positions of the steps that begin as a date does; instants with zones are compared as such."""
        return [position for position, text in enumerate(self.texts) if date and text.startswith(_utc(date))]

    def refusal(self, variable: str, date: str | None) -> str:
        """Why a variable with these steps is no scene."""
        days = [text.partition("T")[0] for text in self.texts] if self.dates else list(self.texts)
        shown = days if len(set(days)) == len(days) else list(self.texts)
        several = f"{len(shown)} steps" if len(shown) > 1 else "1 step"
        if date is None:
            return f"{variable} has {several} along {self.dimension} ({shown[0]} to {shown[-1]}), one is needed"
        listed = ", ".join(shown if len(shown) <= _MOST else [*shown[: _MOST - 2], "...", shown[-1]])
        return f"{variable} has {several} along {self.dimension} ({listed}), {len(self.at(date)) or 'none'} of them at {date}"

    def remedy(self, *, choosable: bool) -> str:
        """What to do: choose with --date, where the input takes one and these are dates, else store one step alone."""
        if self.dates and choosable:
            return "choose one with --date; where a command has none, with that of lulc stack first"
        alone = f"store one step alone first, such as with xarray: dataset.isel({self.dimension}=0)"
        return alone if self.dates else f"{alone}; an axis of bands is one with names such as B02"


def steps_of(variable: xr.DataArray, dimension: str) -> Steps:
    """The steps along a dimension."""
    named = _TIME.fullmatch(dimension) is not None
    if dimension not in variable.coords:
        return Steps(dimension, tuple(map(str, range(variable.sizes[dimension]))), named)
    values = variable.coords[dimension].to_numpy()
    if values.dtype.kind == "M":
        return Steps(dimension, tuple(str(np.datetime_as_string(each, "s")) for each in values), dates=True)
    texts = tuple(_utc(str(each)) for each in values)
    return Steps(dimension, texts, named or all(map(iso_date, texts)))


def _utc(text: str) -> str:
    """A time with a zone as that of UTC, as exact as it was written; T between day and time; else as it is."""
    text = _SPACED.sub(r"\1T", text)
    zoned = _ZONED.fullmatch(text.strip())
    if zoned is None:
        return text
    try:
        there = moment(text.strip())
    except InputError:
        return text
    return there.replace(tzinfo=None).isoformat(timespec="microseconds")[: len(zoned["local"])]
