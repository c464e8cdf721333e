"""`lulc verify`: every claim of a map that can be recomputed, up to the first that does not hold."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lulc.config import parse_json
from lulc.errors import InputError, UsageError, raised_as
from lulc.io.files.paths import AnyPath, as_path
from lulc.io.product.areas import class_areas
from lulc.io.product.reader import ProductReader, open_product
from lulc.io.report.writer import JSON
from lulc.resources import read_regular
from lulc.tasks.accuracy.estimate import estimate_areas
from lulc.tasks.describe.product_check import layout_problems
from lulc.tasks.verify.options import VerifyOptions
from lulc.tasks.verify.origin import check_scene, model_of
from lulc.tasks.verify.pixels import PixelChecks

_MOST_BYTES = 16 << 20
_AREA_SLACK = 1e-6
"""Relative: reports round to nine digits or more."""


@dataclass(frozen=True, slots=True)
class Check:
    """A claim that holds.

    Attributes:
        name: What was checked.
        found: What was found.
    """

    name: str
    found: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked, in order.

    Attributes:
        map: File name.
        checks: Claims that hold.
        contradiction: The error of the first that does not; None where all hold.
    """

    map: str
    checks: tuple[Check, ...]
    contradiction: InputError | None

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        error = None if self.contradiction is None else str(self.contradiction)
        return {"map": self.map, "checks": [asdict(check) for check in self.checks], "contradiction": error}

    def to_text(self) -> str:
        """A line for each claim."""
        width = max((len(check.name) for check in self.checks), default=0)
        lines = [f"ok  {check.name:<{width}}  {check.found}" for check in self.checks]
        return "\n".join(lines if self.contradiction else [*lines, f"{self.map}: nothing contradicts it"])


def verify_map(map_path: AnyPath, options: VerifyOptions | None = None) -> VerifyReport:
    """Check a map; the first contradiction ends it.

    Args:
        map_path: Product of lulc.
        options: What is at hand to check it with.

    Raises:
        InputError: It is no product of lulc.
        ModelError: The model that was given is damaged.
        StorageError: A file cannot be read.
    """
    path, options = as_path(map_path), options or VerifyOptions()
    done: list[Check] = []
    with open_product(path) as product:
        try:
            for check in _checks(product, options):
                done.append(check)  # noqa: PERF402 - what was found before a contradiction is told
        except InputError as error:
            return VerifyReport(path.name, tuple(done), error)
    return VerifyReport(path.name, tuple(done), None)


def _checks(product: ProductReader, options: VerifyOptions) -> Iterator[Check]:
    path = product.path
    problems = layout_problems(path)
    if problems:
        raise InputError(f"{path}: {problems[0]}", "write it again with lulc, or restore the file beside it")
    yield Check("file", "cloud-optimised, with its colours and names beside it")
    pixels = PixelChecks(product)
    pixels.run()
    said = "class, activations and extra bands agree" if product.has_activations else "classes and extra bands agree"
    yield Check("pixels", f"{pixels.pixels:,d} read, {pixels.valid:,d} with data: {said}")
    yield from _origin(product, options)
    yield _areas(path, options.report)
    if options.sample is not None:
        yield _sample(path, options.sample)


def _origin(product: ProductReader, options: VerifyOptions) -> Iterator[Check]:
    bundle = model_of(product, options.model)
    stated = product.tags.get("LULC_MODEL", "")
    if bundle is not None:
        yield Check("model", f"{stated}, SHA-256 of its weights {bundle.card.weights_sha256[:12]}")
    if not options.scene:
        return
    if bundle is None:
        raise UsageError(
            f"{product.path} was made with {stated or 'no model'}, which is not at hand", "give it with --model"
        )
    if cleaned := product.tags.get("LULC_CLEANED_FROM"):
        raise UsageError(
            f"{product.path} is {cleaned} cleaned, which its scene alone does not give", "verify that map with --scene"
        )
    if "LULC_DATES" in product.tags or product.tags.get("LULC_KIND"):
        raise UsageError(
            f"{product.path} is not the map of one scene", "leave --scene out, and verify the maps it was made of"
        )
    name = options.model if options.model is not None else bundle.card.name
    again = check_scene(product, options, bundle, name)
    yield Check(
        "scene", f"{product.tags.get('LULC_INPUT')}, SHA-256 {product.tags['LULC_INPUT_SHA256'][:12]}, same grid"
    )
    if again is not None:
        most = "" if again.difference is None else f", activations by at most {again.difference:.4f}"
        yield Check("network", f"{again.windows} windows inferred again: {again.flips:.4%} of the classes differ{most}")


def _areas(path: Path, report: Path | None) -> Check:
    areas = class_areas(path)
    total = sum(entry.hectares or 0.0 for entry in areas)
    pixels = sum(entry.pixels for entry in areas)
    placed = any(entry.hectares is not None for entry in areas)
    counted = f"{total:,.2f} ha counted" if placed else f"{pixels:,d} pixels counted; without a CRS they have no area"
    if report is None:
        return Check("areas", counted)
    with raised_as(InputError, f"{report / JSON} is no report", "give the folder of lulc report", OSError, ValueError):
        table = parse_json(read_regular(report / JSON, _MOST_BYTES))
        stated = {entry["name"]: entry for entry in table["classes"]} if isinstance(table, dict) else {}
    for entry in areas:
        other = stated.get(entry.name, {})
        pixels, hectares = other.get("pixels"), other.get("hectares")
        apart = abs((hectares or 0.0) - (entry.hectares or 0.0)) > _AREA_SLACK * max(1.0, total)
        if pixels != entry.pixels or apart:
            raise InputError(
                f"{report / JSON} states {pixels} pixels of {entry.name}, {path} holds {entry.pixels}",
                "the report is of another map, or was changed",
            )
    return Check("areas", f"{counted}, as {report / JSON} states")


def _sample(path: Path, points: Path) -> Check:
    found = estimate_areas(path, points).estimates.overall
    interval = f"95 % interval {found.low:.3f} to {found.high:.3f}"
    return Check("sample", f"{points.name} was drawn from this map; overall accuracy {found.value:.3f}, {interval}")
