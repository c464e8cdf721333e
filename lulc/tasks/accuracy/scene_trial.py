"""One scene that a model sees as it is, and under every change that can be shown of it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lulc.errors import InputError
from lulc.grid import Window
from lulc.io.scene.acquired import first_moment, last_moment
from lulc.io.scene.scene import Scene
from lulc.legend import NODATA_CODE
from lulc.metrics.confusion import ConfusionMatrix
from lulc.model.bundle import Card
from lulc.model.provenance import compatibility_warnings
from lulc.tasks.accuracy.image_changes import image_changes, no_other_level
from lulc.tasks.accuracy.robustness_report import Comparison, TriedScene
from lulc.tasks.accuracy.window_classes import WindowClassifier, has_data

_DAY = len("2021-05-27")


class SceneTrial:
    """One scene under all changes, window by window.

    Args:
        scene: Open.
        card: Of the model.
        classify: The model, for the bands and indices that it reads from this scene.

    Attributes:
        scene: As given.
        path: Where the scene lies.
        classes: Names of the K classes.
        notes: What is implausible about the scene, or unlike the training of the model.
        no_other_level: Why the other product level is not shown; empty where it is.
    """

    def __init__(self, scene: Scene, card: Card, classify: WindowClassifier) -> None:
        names, level = classify.names, scene.info.level
        self.scene, self.path, self.classes = scene, str(scene.info.paths[0]), card.classes.names
        self._classify = classify
        self.notes = tuple(f"{self.name}: {note}" for note in (*scene.warnings, *compatibility_warnings(scene, card)))
        self.no_other_level = no_other_level(names, level)
        self._changes = image_changes(names, level, classify.stride)
        self._found = {change.name: ConfusionMatrix.empty(self.classes) for change in self._changes}
        self._windows = 0

    @property
    def name(self) -> str:
        """File name of the scene."""
        return self.scene.info.name

    def look(self, window: Window) -> NDArray[np.uint8]:
        """Classify a window as it is and under all changes, and count which pixels keep their class.

        Args:
            window: Inside the scene; it starts at a multiple of the stride.

        Returns:
            uint8 (height, width): codes of the window as it is, 255 where there is no data.

        Raises:
            ModelError: The network gives values that are not finite.
            LimitError: The device has not enough memory.
            StorageError: The scene cannot be read there.
        """
        image = self._classify.read(self.scene, window)
        inside = window.slices(self._classify.around(window))
        if not has_data(image)[inside].any():
            return np.full((window.height, window.width), NODATA_CODE, np.uint8)
        codes = self._classify(image)[inside]
        for change in self._changes:
            after = change.classes(self._classify, image)[inside]
            self._found[change.name] += ConfusionMatrix.from_codes(codes, after, self.classes)
        self._windows += 1
        return codes

    def refuse_empty(self) -> None:
        """Refuse a scene of which nothing was compared.

        Raises:
            InputError: No window that was looked at holds a valid pixel.
        """
        if not self._windows:
            problem = f"{self.name} has no valid pixel in its sample windows"
            raise InputError(problem, "take more of them with --windows, or leave the scene out")

    def on_grid_of(self, other: "SceneTrial") -> bool:
        """True when the pixels of both scenes lie on each other."""
        return self.scene.grid.same_as(other.scene.grid)

    def is_other_date_than(self, other: "SceneTrial") -> bool:
        """True when both scenes show one place on the ground and say that they were taken on different days."""
        days, others = (
            (first_moment(scene.info.acquired)[:_DAY], last_moment(scene.info.acquired)[:_DAY])
            for scene in (self.scene, other.scene)
        )
        return self.scene.grid.georeferenced and self.on_grid_of(other) and all(days + others) and days != others

    def described(self) -> TriedScene:
        """What the report says of the scene."""
        return TriedScene(self.path, self.scene.info.level, self.scene.info.acquired, self._windows)

    def comparisons(self) -> Iterator[Comparison]:
        """What was counted, by change."""
        for change, matrix in self._found.items():
            yield Comparison(change, (self.path,), matrix)
