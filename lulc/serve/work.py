"""Functions that child processes run for the server, one per kind of request, with JSON arguments and results.

Files of strangers are opened here and nowhere else. A decoder that crashes, or a file that needs too much memory, ends
a child process, not the page.
"""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from lulc.errors import InputError, LimitError, StorageError, UsageError
from lulc.explain.explanation import Explanation
from lulc.explain.options import ExplainOptions, ExplainSceneOptions
from lulc.explain.patch import explain_patch
from lulc.explain.scene import explain_scene
from lulc.grid import Shape
from lulc.io.files.tiff_head import metadata_bytes
from lulc.io.product.reader import open_product
from lulc.io.scene.raster import RasterSource, sniff
from lulc.io.scene.scene import open_scene, open_scene_as
from lulc.io.scene.true_color import write_true_color
from lulc.model.bundle import read_card
from lulc.patches.card import load_patch_model
from lulc.patches.classifier import Classifier
from lulc.patches.image import read_image, spelled_out
from lulc.patches.predict import classify_files, patch_notes
from lulc.serve.uploads import TAKEN
from lulc.tasks.classify.classify import classify, plan_classification
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.describe.map_report import report_map
from lulc.tasks.describe.options import ReportOptions

Json = dict[str, Any]
"""An object of plain JSON: options, results, or as `**server` fields of `Settings`."""

OnProgress = Callable[[str, int, int], None]
"""Called with the name of a stage, the amount done, and the amount in all (0 when unknown)."""

EXPLAINED_SIDE = 256
"""Side of the explained window around a pixel of a scene, pixels."""

_MOST_METADATA_BYTES = 1 << 20
_LARGEST_PATCH = 2
"""A GeoTIFF up to this many times as wide as the patches of the model counts as a patch."""


def describe(_on_progress: OnProgress, model: str, patch_model: str, device: str) -> Json:
    """Load the models, and describe them for the page.

    Raises:
        ModelError: A model is refused.
        UsageError: The device cannot be used.
    """
    card, patch = read_card(model), _classifier(patch_model, device).card
    return {
        "model": {
            "name": card.name,
            "title": card.summary,
            "bands": list(card.features.required(card.features.channels)),
        },
        "patch_model": {"name": patch.name, "title": patch.summary, "classes": list(patch.classes.names)},
    }


def inspect(_on_progress: OnProgress, path: str, name: str, options: Json, values: int, **server: Any) -> Json:  # noqa: ANN401
    """Decide from its header whether an upload is a patch or a scene.

    Args:
        path: File of the upload.
        name: Owner's name of the file.
        options: Fields of the upload: `as`, `bands`, `offset`, `quantification`, `allow_no_georef`.
        values: Largest number of pixels times bands.
        server: `model`, `patch_model`, `device` and `max_memory`.

    Raises:
        InputError: The upload cannot be classified.
        LimitError: It declares too many pixels times bands, or too many bytes of metadata.
        UsageError: An option is refused.
    """
    kind = sniff(Path(path))
    assert kind is not None
    assert kind[0] in TAKEN
    asked = options.get("as", "auto")
    if kind[0] != "GTiff" and asked != "scene":
        return {"kind": "patch"}
    shape = _header(Path(path), name, kind, values)
    if asked == "patch" or (
        asked == "auto" and _patch_sized(shape, _classifier(server["patch_model"], server["device"]))
    ):
        return {"kind": "patch"}
    try:
        plan_classification([Path(path)], _scene_options(options, server), name)
    except StorageError as error:  # nothing is written yet: it is the upload that cannot be read
        raise InputError(error.problem, error.remedy) from error
    return {"kind": "scene"}


def patch(_on_progress: OnProgress, path: str, name: str, folder: str, options: Json, **server: Any) -> Json:  # noqa: ANN401
    """Classify a patch, and write its picture into the folder.

    Raises:
        InputError: The patch is refused.
        LimitError: It is too large.
    """
    from PIL import Image

    bands = spelled_out(options.get("bands"))
    classifier = _classifier(server["patch_model"], server["device"])
    answer = next(iter(classify_files([Path(path)], classifier, bands=bands)))
    image = read_image(Path(path), bands, name)
    Image.fromarray(image.colors()).save(Path(folder) / "picture.png")
    notes = list(
        patch_notes(image, classifier.card, answer.ood_score, "treated as a scene, each of its pixels is classified")
    )
    return {**answer.to_json(), "name": name, "notes": notes, "georeferenced": image.grid.georeferenced}


def scene(on_progress: OnProgress, path: str, name: str, folder: str, options: Json, **server: Any) -> Json:  # noqa: ANN401
    """Classify a scene, and write product, picture, true colour and report into the folder.

    Raises:
        LulcError: As `classify`.
    """
    target, output = Path(folder), Path(folder) / "map.tif"
    asked = _scene_options(options, server)
    done = classify(
        [Path(path)],
        output,
        asked,
        progress=lambda part, whole: on_progress("classifying", part, whole),
        quicklook=target / "map.png",
        name=name,
    )
    on_progress("drawing", 0, 0)
    with open_scene_as([path], asked) as source:
        write_true_color(source, target / "base.tif")
    on_progress("reporting", 0, 0)
    _write_report(output, target, name)
    return {"warnings": list(done.warnings), "seconds": done.seconds}


def base(_on_progress: OnProgress, path: str, name: str, folder: str) -> Json:
    """Draw a scene in true colour, to lie beneath maps.

    Raises:
        InputError: The scene is refused, or lacks B04, B03 or B02.
        UsageError: The file is a map.
    """
    with suppress(InputError), open_product(Path(path)):
        raise UsageError(f"{name} is a map, not a scene", "give it as a map instead")
    with open_scene([path]) as source:
        if not write_true_color(source, Path(folder) / "base.tif"):
            raise InputError(f"{name} has no data in B04, B03 and B02", "leave it out")
    return {}


def report(on_progress: OnProgress, path: str, name: str, folder: str) -> Json:
    """Write the report of a product into the folder.

    Raises:
        InputError: The file is not a product of lulc.
        StorageError: Reading or writing failed.
    """
    on_progress("reporting", 0, 0)
    _write_report(Path(path), Path(folder), name)
    return {}


def explain(
    _on_progress: OnProgress,
    path: str,
    name: str,
    picture: str,
    options: Json,
    target: str | None,
    pixel: tuple[int, int] | None,
    **server: Any,  # noqa: ANN401
) -> Json:
    """Explain a patch, or a scene around a pixel (row, column), and write picture and heat map.

    Raises:
        LulcError: As `explain_patch` and `explain_scene`.
    """
    if pixel is None:
        of_patch = ExplainOptions(
            model=server["patch_model"],
            bands=spelled_out(options.get("bands")),
            target=target,
            device=server["device"],
        )
        found = explain_patch(Path(path), Path(picture), of_patch, name=name)
    else:
        asked = _scene_options(options, server)
        with open_scene([path], bands=asked.bands) as source:
            window = _window_around(pixel, source.grid.shape)
        shared = asked.model_dump(include={"model", "bands", "offset", "quantification", "device"})
        of_scene = ExplainSceneOptions(target=target, window=window, **shared)
        found = explain_scene([Path(path)], Path(picture), of_scene, name=name)
    return _explanation_reply(found, name)


WORK: dict[str, Callable[..., Json]] = {
    "describe": describe,
    "inspect": inspect,
    "patch": patch,
    "scene": scene,
    "report": report,
    "base": base,
    "explain": explain,
}
"""Functions by name of the task."""


def _explanation_reply(found: Explanation, name: str) -> Json:
    renamed = replace(found, input=name, files=())
    return {
        "title": renamed.title,
        "subtitle": renamed.subtitle,
        "class": renamed.explained,
        "notes": list(renamed.notes),
        "details": renamed.to_json(),
    }


def _write_report(product: Path, folder: Path, title: str) -> None:
    """Write `report.zip`, with report.md, report.json and map.png."""
    pages = folder / "report"
    report_map(product, pages, ReportOptions(title=title))
    shutil.make_archive(str(pages), "zip", pages)
    shutil.rmtree(pages)


@cache
def _classifier(model: str, device: str) -> Classifier:
    return Classifier(load_patch_model(model), device, "fp32")


def _scene_options(options: Json, server: Json) -> ClassifyOptions:
    given = {name: value for name, value in options.items() if name != "as"} | {
        "bands": spelled_out(options.get("bands"))
    }
    return ClassifyOptions(model=server["model"], device=server["device"], max_memory=server["max_memory"], **given)


def _patch_sized(shape: Shape, classifier: Classifier) -> bool:
    return max(shape.height, shape.width) <= _LARGEST_PATCH * classifier.card.patch_side


def _header(path: Path, name: str, kind: tuple[str, str], values: int) -> Shape:
    """Rows and columns that a raster declares, after a check of its size."""
    described = metadata_bytes(path) if kind[0] == "GTiff" else 0
    if described > _MOST_METADATA_BYTES:
        raise LimitError(f"{name} has {described / 1e6:.1f} MB of metadata", "save it without them")
    source = RasterSource(path, *kind)
    try:
        shape, bands = source.grid.shape, len(source.labels)
    finally:
        source.close()
    if shape.size * bands > values:
        raise LimitError(
            f"{name} declares {shape.height} x {shape.width} pixels of {bands} bands, at most {values:.3g} values are taken",
            "cut it into parts, or use lulc classify on the command line",
        )
    return shape


def _window_around(pixel: tuple[int, int], shape: Shape) -> tuple[int, int, int, int]:
    height, width = min(EXPLAINED_SIDE, shape.height), min(EXPLAINED_SIDE, shape.width)
    row = min(max(pixel[0] - height // 2, 0), shape.height - height)
    col = min(max(pixel[1] - width // 2, 0), shape.width - width)
    return row, col, height, width
