"""What `lulc calibrate` leaves: the temperature and set thresholds of one model, fitted on labelled pixels."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lulc.config import Table, parse_config, parse_json
from lulc.errors import ConfigError, InputError, ModelError, UsageError, raised_as
from lulc.io.product.rounding import ACTIVATION_STEPS
from lulc.resources import read_regular

_MOST_BYTES = 16 << 20
_EXAMPLE = "make it again with lulc calibrate"


class CalibratedClass(Table):
    """One class of a calibration.

    Attributes:
        name: Of the class.
        pixels: Labelled pixels of the class.
        thresholds: Least activation in a set, in steps of 1/250, for each of the coverages.
        coverage: Share of the pixels whose set holds the class, at `Calibration.checked`, on pixels that were not fitted; None without any.
    """

    name: str
    pixels: int = Field(ge=0)
    thresholds: tuple[int, ...]
    coverage: float | None = Field(default=None, ge=0, le=1)


class Calibration(Table):
    """Temperature and set thresholds of one model.

    Attributes:
        kind: `lulc calibration`.
        model: Name and version of the model.
        model_sha256: SHA-256 of its weights.
        reference: File name of the labels.
        temperature: Divides the logits.
        coverages: Coverages for which there are thresholds, rising.
        checked: Coverage at which the classes were checked.
        set_size: Mean number of classes in a set there.
        classes: In the order of the model's legend.
    """

    kind: Literal["lulc calibration"] = "lulc calibration"
    model: str
    model_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    reference: str
    temperature: float = Field(gt=0, le=100)
    coverages: tuple[float, ...] = Field(min_length=1)
    checked: float
    set_size: float
    classes: tuple[CalibratedClass, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for entry in self.classes:
            if len(entry.thresholds) != len(self.coverages):
                raise ValueError(
                    f"{entry.name} has {len(entry.thresholds)} thresholds for {len(self.coverages)} coverages"
                )
            if not all(0 <= step <= ACTIVATION_STEPS for step in entry.thresholds):
                raise ValueError(f"{entry.name} has a threshold outside 0..{ACTIVATION_STEPS}")
        return self

    def thresholds(self, coverage: float) -> tuple[int, ...]:
        """Thresholds of all classes, steps of 1/250.

        Raises:
            UsageError: There are none for this coverage.
        """
        if coverage not in self.coverages:
            raise UsageError(
                f"--sets {coverage:g} has no thresholds in the calibration",
                f"give one of {self.coverages[0]:g} to {self.coverages[-1]:g} in steps of a hundredth",
            )
        number = self.coverages.index(coverage)
        return tuple(entry.thresholds[number] for entry in self.classes)

    def check(self, weights_sha256: str, names: tuple[str, ...], path: Path) -> None:
        """Refuse a model that it was not fitted for.

        Args:
            weights_sha256: SHA-256 of the model's weights.
            names: Names of its classes.
            path: File of the calibration, for messages.

        Raises:
            ModelError: It is another.
        """
        if self.model_sha256 != weights_sha256:
            raise ModelError(f"{path} was fitted for {self.model}, not for this model", "calibrate this one")
        if tuple(entry.name for entry in self.classes) != names:
            raise ModelError(f"{path} names other classes than its model", _EXAMPLE)

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return self.model_dump(mode="json")


def read_calibration(path: Path) -> Calibration:
    """Read what `lulc calibrate` wrote.

    Raises:
        InputError: It is no calibration.
    """
    if not path.exists():
        raise InputError(f"there is no {path}", "check the path")
    broken = raised_as(InputError, f"{path} is no calibration", _EXAMPLE, ValueError, OSError)
    with broken:
        table = parse_json(read_regular(path, _MOST_BYTES))
    try:
        return parse_config(Calibration, table, str(path))
    except ConfigError as error:
        raise InputError(error.problem, _EXAMPLE) from error
