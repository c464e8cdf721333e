"""How much the classes of a model change where the ground stays the same, and its frame, light, level or season does not.

No labels are needed: a pixel of the same ground that changes its class is wrong at least once. Sample windows of the
scenes are read with margins, so memory does not grow with a scene.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.io.files.outputs import refuse_repeated
from lulc.io.files.paths import AnyPaths, as_paths
from lulc.io.scene.scene import Scene, open_scene_as
from lulc.metrics.confusion import ConfusionMatrix
from lulc.model.build import total_stride
from lulc.model.bundle import Bundle, load_bundle
from lulc.model.device import choose_placement
from lulc.model.provenance import required_names
from lulc.model.receptive_field import ReceptiveField, measure_receptive_field
from lulc.run import Progress, silent
from lulc.tasks.accuracy.image_changes import OTHER_LEVEL
from lulc.tasks.accuracy.options import RobustnessOptions
from lulc.tasks.accuracy.robustness_report import SEASON, Comparison, RobustnessReport
from lulc.tasks.accuracy.scene_trial import SceneTrial
from lulc.tasks.accuracy.window_classes import WindowClassifier
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
        UsageError: A scene is given twice; there is no such device, or it does not support the precision.
        LimitError: The device has not enough memory.
        StorageError: A scene cannot be read.
    """
    start, options = time.monotonic(), options or RobustnessOptions()
    paths = as_paths(scenes)
    refuse_repeated(paths)
    bundle = load_bundle(model)
    channels, stride = len(bundle.card.features.channels), total_stride(bundle.network)
    field = measure_receptive_field(bundle.network, channels, stride)
    side = round_up(WINDOW, stride)
    with ExitStack() as stack:
        opened = [stack.enter_context(open_scene_as([path], options)) for path in paths]
        trials = _trials(opened, bundle, field, options)
        pairs = [_DatePair(*pair) for pair in combinations(trials, 2) if pair[0].is_other_date_than(pair[1])]
        _look(trials, pairs, (side, options.windows), progress)
    return RobustnessReport(
        model=f"{bundle.card.name} {bundle.card.version}",
        legend=bundle.card.classes,
        field=field,
        window=side,
        scenes=tuple(trial.described() for trial in trials),
        comparisons=tuple(_comparisons(trials, pairs)),
        not_measured=tuple(_not_measured(trials, pairs)),
        notes=tuple(note for trial in trials for note in trial.notes),
        seconds=time.monotonic() - start,
    )


def _trials(
    scenes: Sequence[Scene], bundle: Bundle, field: ReceptiveField, options: RobustnessOptions
) -> list[SceneTrial]:
    """All scenes with what classifies them; what does not fit is refused before a pixel is classified."""
    placement = choose_placement(options.device, options.precision)
    classifiers: dict[tuple[str, ...], WindowClassifier] = {}
    trials = []
    for scene in scenes:
        names = required_names(scene, bundle.card)
        scene.check_reflectance()
        if names not in classifiers:
            classifiers[names] = WindowClassifier(bundle, names, field, placement)
        trials.append(SceneTrial(scene, bundle.card, classifiers[names]))
    return trials


class _DatePair:
    """Classes of one place on two dates."""

    def __init__(self, first: SceneTrial, second: SceneTrial) -> None:
        self.first, self.second = first, second
        self._found = ConfusionMatrix.empty(first.classes)

    def add(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> None:
        """Count a window: codes of both dates, uint8 of one shape; pixels that are 255 in either are left out."""
        self._found += ConfusionMatrix.from_codes(first, second, self._found.names)

    def comparison(self) -> Comparison:
        """What was counted."""
        return Comparison(SEASON, (self.first.path, self.second.path), self._found)


def _look(
    trials: Sequence[SceneTrial], pairs: Sequence[_DatePair], side_and_count: tuple[int, int], progress: Progress
) -> None:
    """Look at all sample windows. Scenes of one grid are looked at together, so that no classes are kept for later."""
    groups = [(group, spread_windows(group[0].scene.grid.shape, *side_and_count)) for group in _by_grid(trials)]
    total = sum(len(group) * window.shape.size for group, windows in groups for window in windows)
    done = 0
    for group, windows in groups:
        for window in windows:
            codes = {}
            for trial in group:
                codes[trial] = trial.look(window)
                done += window.shape.size
                progress(done, total)
            for pair in pairs:
                if {pair.first, pair.second} <= codes.keys():
                    pair.add(codes[pair.first], codes[pair.second])
        for trial in group:
            trial.refuse_empty()


def _by_grid(trials: Sequence[SceneTrial]) -> Iterator[list[SceneTrial]]:
    """The scenes of each grid."""
    left = list(trials)
    while left:
        group = [trial for trial in left if trial.on_grid_of(left[0])]
        yield group
        left = [trial for trial in left if trial not in group]


def _comparisons(trials: Sequence[SceneTrial], pairs: Sequence[_DatePair]) -> Iterator[Comparison]:
    for trial in trials:
        yield from trial.comparisons()
    for pair in pairs:
        yield pair.comparison()


def _not_measured(trials: Sequence[SceneTrial], pairs: Sequence[_DatePair]) -> Iterator[str]:
    """Changes that could not be shown, with the reason."""
    for trial in trials:
        if trial.no_other_level:
            yield f"{OTHER_LEVEL} of {trial.name}: {trial.no_other_level}"
    paired = {trial for pair in pairs for trial in (pair.first, pair.second)}
    if not pairs:
        yield f"{SEASON}: it takes scenes of two dates on one grid, with their dates in the metadata"
    for trial in trials:
        if paired and trial not in paired:
            yield f"{SEASON} of {trial.name}: no other scene has its grid and another date"
