"""The report of `lulc stack`."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Format = Literal["GeoTIFF", "NetCDF", "Zarr"]

_MEGA = 1e6


@dataclass(frozen=True, slots=True)
class SourceCount:
    """Number of pixels of a stack that came from one input.

    Attributes:
        number: Value of the channel `source`; for a median the number of dates used.
        name: Of the input; for a median `1 date`, `2 dates`, ...
        pixels: Number of its pixels.
    """

    number: int
    name: str
    pixels: int


@dataclass(frozen=True, slots=True)
class CompositeDate:
    """One date of a composite.

    Attributes:
        number: 1 for the first input, 2 for the first that it is filled from, ...
        name: Of the input.
        acquired: Date or time of acquisition; empty when the input does not state it.
        masked_by: Source of its cloud mask, or `none`.
        clear: Fraction of the first input's grid that is clear and valid, 0..1; None where it was not counted.
    """

    number: int
    name: str
    acquired: str
    masked_by: str
    clear: float | None = None

    def to_text(self) -> str:
        """One line."""
        clear = "" if self.clear is None else f"{self.clear:8.2%} clear  "
        masked = "" if self.masked_by == "none" else f"  without clouds by {self.masked_by}"
        return f"{self.number:>3}  {clear}{self.name}  {self.acquired}".rstrip() + masked


@dataclass(frozen=True, slots=True)
class StackReport:
    """Result of a run of `lulc stack`.

    Attributes:
        output: The file or folder.
        format: GeoTIFF, NetCDF or Zarr.
        channels: Names of the channels, in order, without `source`.
        height: Rows.
        width: Columns.
        crs: As `EPSG:32631`, WKT, or empty.
        pixels: Pixels of one channel.
        valid_pixels: Those with data.
        sources: Pixels by value of the channel `source`.
        composite: How several dates became one: `first`, `best`, `median`, `max-ndvi`.
        dates: The inputs, in order of precedence.
        output_bytes: Size on disk.
        seconds: Wall time.
        warnings: Warnings about the inputs.
    """

    output: str
    format: Format
    channels: tuple[str, ...]
    height: int
    width: int
    crs: str
    pixels: int
    valid_pixels: int
    sources: tuple[SourceCount, ...]
    composite: str
    dates: tuple[CompositeDate, ...]
    output_bytes: int
    seconds: float
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)

    def to_text(self) -> str:
        """Some lines for people."""
        lines = [
            f"{self.output}: {self.format}, {self.width} x {self.height} px, {self.output_bytes / _MEGA:.1f} MB",
            f"channels  {' '.join(self.channels)}",
            f"valid     {self.valid_pixels / self.pixels:.2%} of the pixels",
        ]
        if len(self.dates) == 1 and self.dates[0].masked_by != "none":
            lines.append(f"clouds    masked by {self.dates[0].masked_by}")
        if len(self.dates) > 1:
            lines += [f"composite {self.composite} of", *(date.to_text() for date in self.dates)]
            lines += [f"source {one.number}  {one.pixels:>12,d} px  {one.name}" for one in self.sources]
        lines.append(f"took      {self.seconds:.1f} s ({self.pixels / _MEGA / max(self.seconds, 1e-9):.2f} Mpx/s)")
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])
