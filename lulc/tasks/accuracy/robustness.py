"""How much the classes of a model change where the scene is the same, and its frame, light, level or season is not.

No reference is needed: a pixel that changes its class says that one of the two classes is wrong. Sample windows of the
scenes are read with margins, so memory does not grow with a scene.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.files.paths import AnyPaths, as_paths
from lulc.io.scene.acquired import first_moment, last_moment
from lulc.io.scene.scene import Scene, open_scene_as
from lulc.legend import NODATA_CODE
from lulc.metrics.confusion import ConfusionMatrix
from lulc.model.build import total_stride
from lulc.model.bundle import Bundle, load_bundle
from lulc.model.device import choose_placement
from lulc.model.provenance import compatibility_warnings, required_names
from lulc.model.receptive_field import ReceptiveField, measure_receptive_field
from lulc.run import Progress, silent
from lulc.tasks.accuracy.image_changes import OTHER_LEVEL, image_changes, no_other_level
from lulc.tasks.accuracy.options import RobustnessOptions
from lulc.tasks.accuracy.robustness_report import SEASON, Comparison, RobustnessReport, TriedScene
from lulc.tasks.accuracy.window_classes import WindowClassifier, has_data
from lulc.tiling import round_up, spread_windows

WINDOW = 256
"""Side of a sample window, pixels; rounded up to the stride of the network."""


def measure_robustness(
    model: Path | str,
    scenes: AnyPaths,
    options: RobustnessOptions | None = None,
    *,
    progress: Progress = silent,
) -> RobustnessReport:
    """Measure the share of pixels that keep their class when a scene changes and its ground does not.

    Args:
        model: Bundle, by path or name.
        scenes: One or several; each path is a scene of its own. Dates of one grid are compared with each other.
        options: How; None for the defaults.
        progress: Called with the pixels done and in all.

    Raises:
        ModelError: The model is refused, or gives values that are not finite.
        InputError: A scene is refused, lacks a band, or has no valid pixel in its sample windows.
        UsageError: There is no such device, or it does not support the precision.
        LimitError: The device has not enough memory.
        StorageError: A scene cannot be read.
    """
    start, options = time.monotonic(), options or RobustnessOptions()
    bundle = load_bundle(model)
    channels, stride = len(bundle.card.features.channels), total_stride(bundle.network)
    field = measure_receptive_field(bundle.network, channels, stride)
    with ExitStack() as stack:
        opened = [stack.enter_context(open_scene_as([path], options)) for path in as_paths(scenes)]
        trials = _trials(opened, bundle, field, options)
        pairs = [_DatePair(*pair) for pair in combinations(trials, 2) if _are_dates_of_one_place(*pair)]
        _run(trials, pairs, round_up(WINDOW, stride), options.windows, progress)
        for trial in trials:
            trial.refuse_empty()
        return RobustnessReport(
            model=f"{bundle.card.name} {bundle.card.version}",
            legend=bundle.card.classes,
            field=field,
            window=round_up(WINDOW, stride),
            scenes=tuple(trial.described() for trial in trials),
            comparisons=(
                *(found for trial in trials for found in trial.comparisons()),
                *(p.comparison() for p in pairs),
            ),
            not_measured=tuple(_not_measured(trials, pairs)),
            notes=tuple(note for trial in trials for note in trial.notes),
            seconds=time.monotonic() - start,
        )


def _trials(
    scenes: Sequence[Scene], bundle: Bundle, field: ReceptiveField, options: RobustnessOptions
) -> list["_Trial"]:
    """All scenes with what classifies them; refuses what does not fit before a pixel is classified."""
    placement = choose_placement(options.device, options.precision)
    classifiers: dict[tuple[str, ...], WindowClassifier] = {}
    trials = []
    for scene in scenes:
        names = required_names(scene, bundle.card)
        scene.check_reflectance()
        if names not in classifiers:
            classifiers[names] = WindowClassifier(bundle, names, field, placement)
        trials.append(_Trial(scene, names, bundle, classifiers[names], field.stride))
    return trials


def _run(trials: Sequence["_Trial"], pairs: Sequence["_DatePair"], side: int, windows: int, progress: Progress) -> None:
    """Look at all sample windows; scenes of one grid are looked at together, so no classes are kept."""
    work = [
        (window, group)
        for group in _by_grid(trials)
        for window in spread_windows(group[0].scene.grid.shape, side, windows)
    ]
    total, done = sum(window.shape.size * len(group) for window, group in work), 0
    for window, group in work:
        codes = {}
        for trial in group:
            codes[trial] = trial.look(window)
            done += window.shape.size
            progress(done, total)
        for pair in pairs:
            if {pair.first, pair.second} <= codes.keys():
                pair.add(codes[pair.first], codes[pair.second])


def _by_grid(trials: Sequence["_Trial"]) -> Iterator[list["_Trial"]]:
    """The scenes of each grid."""
    left = list(trials)
    while left:
        yield [trial for trial in left if trial.scene.grid.same_as(left[0].scene.grid)]
        left = [trial for trial in left if not trial.scene.grid.same_as(left[0].scene.grid)]


class _Trial:
    """One scene under all changes.

    Args:
        scene: Open.
        names: Bands and indices that are read.
        bundle: Of the model.
        classify: The model, for these names.
        stride: Total stride of its network, pixels.
    """

    def __init__(
        self, scene: Scene, names: tuple[str, ...], bundle: Bundle, classify: WindowClassifier, stride: int
    ) -> None:
        self.scene, self._names, self._classify = scene, names, classify
        warnings = (*scene.warnings, *compatibility_warnings(scene, bundle.card))
        self.notes = tuple(f"{scene.info.name}: {warning}" for warning in warnings)
        self._changes = image_changes(names, scene.info.level, stride)
        self._found = {change.name: ConfusionMatrix.empty(bundle.card.classes.names) for change in self._changes}
        self._windows = 0

    def look(self, window: Window) -> NDArray[np.uint8]:
        """Classify a window as it is and under all changes.

        Returns:
            uint8 (height, width): codes of the window as it is, 255 where there is no data.
        """
        image = self._classify.read(self.scene, window)
        inside = window.slices(self._classify.around(window))
        if not has_data(image)[inside].any():
            return np.full((window.height, window.width), NODATA_CODE, np.uint8)
        codes = self._classify(image)[inside]
        for change in self._changes:
            after = change.classes(self._classify, image)[inside]
            self._found[change.name] += ConfusionMatrix.from_codes(codes, after, self._found[change.name].names)
        self._windows += 1
        return codes

    def refuse_empty(self) -> None:
        """Refuse a scene of which nothing was compared.

        Raises:
            InputError: No sample window holds a valid pixel.
        """
        if not self._windows:
            problem = f"{self.scene.info.name} has no valid pixel in its sample windows"
            raise InputError(problem, "take more of them with --windows, or leave the scene out")

    def described(self) -> TriedScene:
        """What the report says of the scene."""
        info = self.scene.info
        return TriedScene(str(info.paths[0]), info.level, info.acquired, self._windows)

    def comparisons(self) -> Iterator[Comparison]:
        """One of each change."""
        for change, matrix in self._found.items():
            yield Comparison(change, (str(self.scene.info.paths[0]),), matrix)

    def no_other_level(self) -> str:
        """Why the other level was not shown; empty where it was."""
        return no_other_level(self._names, self.scene.info.level)


class _DatePair:
    """Classes of two dates of one place."""

    def __init__(self, first: _Trial, second: _Trial) -> None:
        self.first, self.second = first, second
        self._found = ConfusionMatrix.empty(next(first.comparisons()).matrix.names)

    def add(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> None:
        """Count a window: codes of both dates, uint8 of one shape; pixels that are 255 in either are left out."""
        self._found += ConfusionMatrix.from_codes(first, second, self._found.names)

    def comparison(self) -> Comparison:
        """What was counted."""
        paths = (str(trial.scene.info.paths[0]) for trial in (self.first, self.second))
        return Comparison(SEASON, tuple(paths), self._found)


def _are_dates_of_one_place(first: _Trial, second: _Trial) -> bool:
    """True for two scenes with one place on the ground and two dates."""
    grids, dates = (first.scene.grid, second.scene.grid), (_days(first.scene), _days(second.scene))
    return grids[0].georeferenced and grids[0].same_as(grids[1]) and all(dates) and dates[0] != dates[1]


def _days(scene: Scene) -> str:
    """First and last day of a scene; empty when it does not say."""
    day = len("2021-05-27")
    return first_moment(scene.info.acquired)[:day] + last_moment(scene.info.acquired)[:day]


def _not_measured(trials: Sequence[_Trial], pairs: Sequence[_DatePair]) -> Iterator[str]:
    """Changes that could not be shown, with the reason."""
    for trial in trials:
        if reason := trial.no_other_level():
            yield f"{OTHER_LEVEL} of {trial.scene.info.name}: {reason}"
    if not pairs:
        yield f"{SEASON}: it takes scenes of two dates on one grid, with their dates in the metadata"
