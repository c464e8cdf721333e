"""Choose the cloud mask of a scene: a band of its own, or a network."""

from lulc.errors import InputError
from lulc.io.scene.clouds import DEFAULT_CLASSES, ClearScene, Dilated, Qa60Clouds, SclClouds, scl_codes
from lulc.io.scene.scene import Scene
from lulc.model.cloud_network import CloudNetwork
from lulc.tasks.stack.options import CloudOptions

_QA60_EMPTY = ("2022-01-25", "2024-02-28")
"""Between these dates QA60 holds no clouds.

Products from processing baseline 04.00 on lack the polygons it was made of. It was rebuilt from the classification only
later (Google Earth Engine's notes on COPERNICUS/S2).
"""


def clear_scene(scene: Scene, options: CloudOptions) -> ClearScene:
    """Mask the clouds of a scene as the options state.

    Args:
        scene: The scene.
        options: Source of the mask, SCL classes, and dilation in pixels.

    Raises:
        InputError: The scene lacks the band or what the network needs, or the network is not installed.
        UsageError: An SCL class does not exist.
    """
    if options.clouds == "none":
        return ClearScene(scene)
    seen = _masked(scene, options)
    if not options.dilate or seen.clouds is None:
        return seen
    grown = Dilated(seen.clouds, options.dilate, scene.grid)
    return ClearScene(scene, grown, f"{seen.masked_by}, dilated by {options.dilate} px", seen.warnings)


def _masked(scene: Scene, options: CloudOptions) -> ClearScene:
    if options.clouds == "model":
        return ClearScene(scene, CloudNetwork(scene), "ukis-csmask")
    if options.clouds in {"auto", "scl"} and "SCL" in scene.quality:
        codes = DEFAULT_CLASSES if options.cloud_classes is None else scl_codes(options.cloud_classes)
        named = f"SCL {','.join(str(code) for code in sorted(codes))}"
        return ClearScene(scene, SclClouds(scene.quality["SCL"], codes), named)
    if options.clouds in {"auto", "qa60"} and "QA60" in scene.quality and options.cloud_classes is None:
        return ClearScene(scene, Qa60Clouds(scene.quality["QA60"]), "QA60", _doubts(scene))
    lacking = {"scl": "no band SCL", "qa60": "no band QA60", "auto": "neither a band SCL nor QA60"}
    if options.cloud_classes is not None:
        lacking["auto"] = "no band SCL, whose classes --cloud-classes names"
    raise InputError(
        f"{scene.info.name} has {lacking[options.clouds]}",
        "add the band under that name, or use --clouds model (pip install 'lulc[cloud]') or --clouds none",
    )


def _doubts(scene: Scene) -> tuple[str, ...]:
    start, end = _QA60_EMPTY
    if not start <= scene.info.acquired[:10] <= end:
        return ()
    return (f"{scene.info.name}: QA60 holds no clouds from {start} to {end}; use --clouds scl or model",)
