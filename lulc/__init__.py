"""lulc: whole Sentinel-2 scenes to land-cover maps.

Public names load their module on first use, so that `import lulc` takes milliseconds.
"""

import os
from importlib import import_module
from typing import Any

# OpenMP threads that spin while they wait cost two to four times the work on a busy machine. Both variables are read
# once, when torch loads its OpenMP library, which no module may do before this; whatever the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("KMP_BLOCKTIME", "0")

_PUBLIC = {
    "ClassifyOptions": "lulc.tasks.classify.options",
    "FeatureSpec": "lulc.features",
    "Grid": "lulc.grid",
    "Legend": "lulc.legend",
    "LulcError": "lulc.errors",
    "Predictor": "lulc.model.predictor",
    "Scene": "lulc.io.scene.scene",
    "TilePlan": "lulc.tiling",
    "Window": "lulc.grid",
    "classify": "lulc.tasks.classify.classify",
    "load_bundle": "lulc.model.bundle",
    "load_legend": "lulc.legend",
    "estimate_areas": "lulc.tasks.accuracy.estimate",
    "evaluate_map": "lulc.tasks.accuracy.evaluate",
    "evaluate_model": "lulc.tasks.accuracy.evaluate_model",
    "fetch": "lulc.tasks.fetch.fetch",
    "map_change": "lulc.tasks.change.change",
    "map_polygons": "lulc.tasks.polygons.polygons",
    "measure_robustness": "lulc.tasks.accuracy.robustness",
    "open_scene": "lulc.io.scene.scene",
    "open_training_set": "lulc.io.labels.training_set",
    "prepare": "lulc.tasks.dataset.prepare",
    "Classifier": "lulc.patches.classifier",
    "classify_files": "lulc.patches.predict",
    "classify_grid": "lulc.patches.cell_map",
    "evaluate_patches": "lulc.patches.study.evaluation",
    "explain_patch": "lulc.explain.patch",
    "explain_scene": "lulc.explain.scene",
    "load_patch_model": "lulc.patches.card",
    "read_image": "lulc.patches.image",
    "train_patches": "lulc.patches.learn.train",
    "sample_map": "lulc.tasks.accuracy.sample",
    "stack": "lulc.tasks.stack.stack",
    "train": "lulc.training.scenes:train_scenes",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute may be anything
    if name not in _PUBLIC:
        raise AttributeError(f"module 'lulc' has no attribute {name!r}")
    module, _, own_name = _PUBLIC[name].partition(":")
    return getattr(import_module(module), own_name or name)


def __dir__() -> list[str]:
    return __all__
