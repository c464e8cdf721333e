"""lulc: whole Sentinel-2 scenes to land-cover maps.

The public names are loaded on first use, so that `import lulc` costs next to nothing.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "ClassifyOptions": "lulc.tasks.job",
    "FeatureSpec": "lulc.features",
    "Grid": "lulc.grid",
    "Legend": "lulc.legend",
    "LulcError": "lulc.errors",
    "Predictor": "lulc.model.predictor",
    "Scene": "lulc.io.scene",
    "TilePlan": "lulc.tiling",
    "Window": "lulc.grid",
    "classify": "lulc.tasks.classify",
    "load_bundle": "lulc.model.bundle",
    "load_legend": "lulc.legend",
    "estimate_areas": "lulc.tasks.estimate",
    "evaluate_map": "lulc.tasks.evaluate",
    "evaluate_model": "lulc.tasks.evaluate_model",
    "open_scene": "lulc.io.scene",
    "open_training_set": "lulc.io.training_set",
    "prepare": "lulc.tasks.prepare",
    "sample_map": "lulc.tasks.sample",
    "stack": "lulc.tasks.stack",
    "train": "lulc.tasks.train",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute may be anything
    if name not in _PUBLIC:
        raise AttributeError(f"module 'lulc' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
