"""Pair scenes with labels: one raster for all, one for each, or folders whose file names match."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lulc.errors import InputError, UsageError
from lulc.io.labels.labels import Labels, open_labels
from lulc.io.scene.scene import Scene, open_scene
from lulc.legend import load_legend
from lulc.tasks.dataset.options import PrepareOptions

_IMAGES = {".npy", ".tif", ".tiff", ".img", ".nc", ".jp2", ".jpg", ".jpeg", ".png"}
_ENDINGS = ("_sat", "_image", "_img", "_mask", "_label", "_labels", "_lc")
"""Endings that images and masks of one chip add to its name."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A scene and its labels."""

    scene: Path
    labels: Path


def find_pairs(scenes: Sequence[Path], labels: Sequence[Path]) -> list[Pair]:
    """Pair scenes with labels.

    Args:
        scenes: Scenes, or folders of chips when `labels` are folders.
        labels: One for all scenes, one for each, or folders.

    Raises:
        UsageError: The number of labels is neither 1 nor that of the scenes.
        InputError: An image of a folder has no label, or the folder has no images.
    """
    if len(labels) not in {1, len(scenes)}:
        raise UsageError(f"{len(scenes)} scenes and {len(labels)} labels", "give --labels once, or once for each scene")
    each = list(labels) * len(scenes) if len(labels) == 1 else list(labels)
    pairs: list[Pair] = []
    for scene, label in zip(scenes, each, strict=True):
        pairs += (
            _in_folders(scene, label)
            if scene.is_dir() and label.is_dir() and label.suffix != ".zarr"
            else [Pair(scene, label)]
        )
    return pairs


def _in_folders(images: Path, labels: Path) -> list[Pair]:
    """Pair images and labels of the same name; one folder may hold both, told apart by `_sat` and `_mask`."""
    if images.resolve() == labels.resolve():
        found = {path: _key(path) for path in _files(images)}
        masks = {key: path for path, key in found.items() if path.stem.endswith(("_mask", "_label", "_labels", "_lc"))}
        pictures = {key: path for path, key in found.items() if path not in masks.values()}
    else:
        pictures = {_key(path): path for path in _files(images)}
        masks = {_key(path): path for path in _files(labels)}
    unpaired = sorted(set(pictures) - set(masks))
    if unpaired or not pictures:
        which = f"{pictures[unpaired[0]]} has no label in {labels}" if unpaired else f"{images} holds no images"
        raise InputError(
            which, "images and labels are paired by name: 1_sat.jpg and 1_mask.png, or a/1.tif and b/1.tif"
        )
    return [Pair(pictures[key], masks[key]) for key in sorted(pictures)]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGES)


def _key(path: Path) -> str:
    """Name of the chip that a file belongs to."""
    ending = next((ending for ending in _ENDINGS if path.stem.endswith(ending)), "")
    return path.stem.removesuffix(ending)


@contextmanager
def open_pair(pair: Pair, options: PrepareOptions) -> Iterator[tuple[Scene, Labels]]:
    """Open a scene and its labels; both are closed at the end of the block.

    Raises:
        InputError: The scene or the labels cannot be used.
        ConfigError: The legend is unknown or not valid.
        StorageError: A file cannot be read.
    """
    scene = open_scene([pair.scene], bands=options.bands, offset=options.offset, quantification=options.quantification)
    with (
        scene,
        open_labels(
            pair.labels,
            load_legend(options.legend),
            kind=options.label_kind,
            attribute=options.attribute,
            layer=options.layer,
            tolerance=options.tolerance,
        ) as labels,
    ):
        scene.check_reflectance()
        yield scene, labels
