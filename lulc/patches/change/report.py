"""What two dates of one place show: the reports of `lulc patches change`."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PatchChange:
    """Two single patches.

    Attributes:
        names: The files.
        classes: Most probable class of each.
        confidences: Its calibrated probability.
        probability: That the two have different classes.
        min_confidence: From which they count as changed.
    """

    names: tuple[str, str]
    classes: tuple[str, str]
    confidences: tuple[float, float]
    probability: float
    min_confidence: float

    @property
    def changed(self) -> bool:
        """True when the classes differ and that is probable enough."""
        return self.classes[0] != self.classes[1] and self.probability >= self.min_confidence

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        dates = zip(self.names, self.classes, self.confidences, strict=True)
        before, after = ({"name": name, "class": each, "confidence": round(sure, 4)} for name, each, sure in dates)
        return {
            "before": before,
            "after": after,
            "probability_of_change": round(self.probability, 4),
            "min_confidence": self.min_confidence,
            "changed": self.changed,
        }

    def to_text(self) -> str:
        """Three lines."""
        dates = zip(("before", "after"), self.names, self.classes, self.confidences, strict=True)
        lines = [f"{date:6}  {name}: {each} {sure:.1%}" for date, name, each, sure in dates]
        said = "changed" if self.changed else "not changed"
        if not self.changed and self.classes[0] != self.classes[1]:
            said = f"not sure enough for a change (--min-confidence {self.min_confidence:g})"
        return "\n".join([*lines, f"{said}; the classes differ with probability {self.probability:.3f}"])


@dataclass(frozen=True, slots=True)
class Transition:
    """Cells of one class before and another, or the same, after.

    Attributes:
        before: Class of the earlier date.
        after: Class of the later date.
        cells: Cells with these classes.
        changed: Of them, those that count as changed.
        hectares: Ground of those that count as changed, or of all when the classes are the same; None where the CRS
            does not give it.
        probability: Mean probability of change over the cells.
    """

    before: str
    after: str
    cells: int
    changed: int
    hectares: float | None
    probability: float

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return {
            "before": self.before,
            "after": self.after,
            "cells": self.cells,
            "changed": self.changed,
            "hectares": None if self.hectares is None else round(self.hectares, 4),
            "mean_probability_of_change": round(self.probability, 4),
        }


@dataclass(frozen=True, slots=True)
class CellChange:
    """Two scenes, cell by cell.

    Attributes:
        output: The raster, or empty.
        names: The scenes.
        rows: Rows of cells.
        columns: Columns of cells.
        cell: Side of a cell, pixels.
        step: Distance of cells, pixels.
        transitions: Pairs of classes that occur, those with most changed cells first.
        min_confidence: Probability from which a difference counts.
        warnings: What the user should know of the scenes.
    """

    output: str
    names: tuple[str, str]
    rows: int
    columns: int
    cell: int
    step: int
    transitions: tuple[Transition, ...]
    min_confidence: float
    warnings: tuple[str, ...]

    @property
    def cells(self) -> int:
        """Cells with data at both dates."""
        return sum(entry.cells for entry in self.transitions)

    @property
    def changed(self) -> int:
        """Cells that count as changed."""
        return sum(entry.changed for entry in self.transitions)

    @property
    def differing(self) -> int:
        """Cells whose most probable classes differ, however unsure."""
        return sum(entry.cells for entry in self.transitions if entry.before != entry.after)

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return {
            "output": self.output,
            "before": self.names[0],
            "after": self.names[1],
            "grid": {"rows": self.rows, "columns": self.columns, "cell": self.cell, "step": self.step},
            "cells": self.cells,
            "differing": self.differing,
            "changed": self.changed,
            "min_confidence": self.min_confidence,
            "transitions": [entry.to_json() for entry in self.transitions],
            "warnings": list(self.warnings),
        }

    def to_text(self) -> str:
        """Some lines for people."""
        unsure = self.differing - self.changed
        size = f"{self.rows} x {self.columns} cells of {self.cell} px, one every {self.step} px"
        lines = [
            f"{' -> '.join(self.names)}: {self.changed} of {self.cells} cells changed ({self.changed / self.cells:.1%})",
            f"{size}; {unsure} more differ with a probability below {self.min_confidence:g}",
        ]
        width = max(len(f"{entry.before} -> {entry.after}") for entry in self.transitions)
        for entry in self.transitions:
            pair = f"{entry.before} -> {entry.after}" if entry.before != entry.after else f"{entry.before}, unchanged"
            count = entry.changed if entry.before != entry.after else entry.cells
            area = "" if entry.hectares is None else f"  {entry.hectares:>12,.1f} ha as counted"
            if count:
                lines.append(f"  {pair:{width + 3}}  {count:>7,d} cells{area}")
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])
