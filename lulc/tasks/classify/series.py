"""What becomes one map: a scene, or with `--dates` scenes of several dates of one place, on the grid of the first."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from lulc.errors import InputError, UsageError
from lulc.grid import Grid
from lulc.io.files.fingerprint import Unchanged
from lulc.io.files.outputs import refuse_repeated
from lulc.io.scene.clouds import NETWORK, ClearScene
from lulc.io.scene.scene import Scene, open_scene_as
from lulc.model.bundle import read_card
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.stack.clouds import clear_scene
from lulc.tasks.stack.on_grid import Donor, donor

MOST_DATES = 254
"""The band `looks` is uint8, and 255 is nodata."""


class Series:
    """Scenes that become one map.

    Args:
        first: The scene that gives the grid.
        dates: All scenes in order of acquisition, without their clouds where these are left out; a map of one scene has
            one.
        counted: True for a map that counts the dates of each pixel.

    Attributes:
        first: The scene that gives the grid.
        dates: All scenes in order of acquisition, without their clouds where these are left out. Sums run in this order, so the map does not
            depend on the order in which they were given.
        counted: True for a map that counts the dates of each pixel.
        unchanged: All files as they were when the series was opened.
    """

    def __init__(self, first: Scene, dates: Sequence[ClearScene], *, counted: bool) -> None:
        self.first, self.dates, self.counted = first, tuple(dates), counted
        self.unchanged = Unchanged(self.files())

    @property
    def grid(self) -> Grid:
        """Grid of the map."""
        return self.first.grid

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Bands and indices that every scene offers, in the order of the first."""
        return tuple(name for name in self.first.names if all(name in date.scene.names for date in self.dates))

    def readers(self, names: Sequence[str]) -> tuple[Donor, ...]:
        """Each scene of `dates`, read on the grid of the first.

        Raises:
            InputError: One does not overlap the first, or has no place on its grid.
        """
        first = ClearScene(self.first)
        return tuple(donor(date, first, tuple(names)) for date in self.dates)

    def files(self) -> list[Path]:
        """Files on this machine that the scenes are read from, and what lies beside them."""
        return [file for date in self.dates for file in date.scene.files()]

    def fingerprint(self) -> list[str]:
        """Fingerprints of the scenes, in order of `dates`: a change of one does not go unnoticed."""
        return [date.scene.fingerprint() for date in self.dates]

    def tell_empty(self, *, refuse: bool) -> None:
        """Warn that no pixel of the map has data.

        Args:
            refuse: Refuse instead.

        Raises:
            InputError: `refuse` is set.
        """
        masked = any(date.clouds or date.by_network for date in self.dates)
        remedy = "check nodata values and bands"
        remedy = f"mask fewer clouds, or {remedy}" if masked else remedy
        subject = f"the map of {len(self.dates)} dates" if len(self.dates) > 1 else ""
        self.first.tell_empty(remedy, refuse=refuse, subject=subject)


@contextmanager
def open_series(inputs: Sequence[Path], options: ClassifyOptions, name: str | None = None) -> Iterator[Series]:
    """Open what becomes one map.

    Args:
        inputs: One scene, or several files that are stacked; with the option `dates`, one scene for each date.
        options: Options of the run.
        name: Name of a single scene in messages and tags, as in `open_scene`.

    Raises:
        InputError: A scene is refused, or the dates differ in CRS.
        ModelError: The model is refused.
        UsageError: A date is given twice, or there are too many.
    """
    with ExitStack() as opened:
        if not options.dates:
            scene = opened.enter_context(open_scene_as(inputs, options, name))
            scene.use_threads(options.threads)
            # With `auto` a single scene is whole: its clouds are flagged in a band, if the model sees them.
            date = ClearScene(scene) if options.clouds == "auto" else _masked(scene, options)
            yield Series(scene, [date], counted=False)
            return
        refuse_repeated(inputs)
        if len(inputs) > MOST_DATES:
            raise UsageError(f"{len(inputs)} dates are too many for one map", f"give at most {MOST_DATES}")
        scenes = [opened.enter_context(open_scene_as([path], options)) for path in inputs]
        for scene in scenes:
            scene.use_threads(options.threads, beside=len(scenes))
        _check_crs(scenes)
        dates = [_masked(scene, options) for scene in scenes]
        yield Series(scenes[0], sorted(dates, key=_order), counted=True)


def _check_crs(scenes: Sequence[Scene]) -> None:
    first = scenes[0]
    for scene in scenes[1:]:
        if scene.grid.crs != first.grid.crs:
            raise InputError(
                f"{first.info.name} and {scene.info.name} have different CRS",
                "bring all dates to one CRS first, such as with gdalwarp",
            )


def _masked(scene: Scene, options: ClassifyOptions) -> ClearScene:
    """A date without its clouds; with `auto`, one whose clouds nothing tells is taken as it is, and a note says so."""
    unmasked = not {"SCL", "QA60"} & scene.quality.keys()
    left = options.clouds == "auto" and options.cloud_classes is None and unmasked
    if options.clouds == "network" or (left and read_card(options.model).architecture.sees_clouds):
        return ClearScene(scene, masked_by=NETWORK)
    if left:
        return ClearScene(scene, warnings=("no band SCL or QA60 tells clouds: all valid pixels count",))
    return clear_scene(scene, options)


def _order(date: ClearScene) -> tuple[str, str, str]:
    """The order of dates: by acquisition, else by name and content, never as they were given."""
    return date.info.acquired, date.info.name, date.scene.fingerprint(times=False)
