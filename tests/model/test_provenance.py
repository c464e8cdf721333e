import pytest
from rasterio.transform import from_origin

from lulc.errors import InputError
from lulc.features import FeatureSpec
from lulc.io.scene.scene import open_scene
from lulc.model.bundle import read_card
from lulc.model.provenance import compatibility_warnings, required_names


@pytest.mark.parametrize(
    ("side", "level", "warnings"),
    [
        (10, "L2A", []),
        (10, "", []),
        (14, "L2A", []),
        (20, "L2A", ["pixels are 20 m, textured was trained at 10 m: expect errors"]),
        (10, "L1C", ["the scene is L1C, textured was trained for L2A: expect errors"]),
    ],
)
def test_a_scene_unlike_those_of_the_training_is_warned_of(scene_file, bundle, side, level, warnings):
    tags = {"LEVEL": level} if level else {}
    path = scene_file(40, 40, transform=from_origin(356040, 4835680, side, side), tags=tags)
    card = read_card(bundle).model_copy(update={"resolution_m": 10.0, "input_levels": ("L2A",)})
    with open_scene([path]) as scene:
        assert compatibility_warnings(scene, card) == warnings


def test_a_scene_without_a_band_of_the_model_is_refused(scene_file, bundle):
    card = read_card(bundle)
    with open_scene(scene_file(40, 40)) as scene:
        assert required_names(scene, card) == ("B02", "B03", "B04", "B08")
        with pytest.raises(InputError, match=r"lacks B11: it has .*; textured needs B02, B11: give a scene"):
            required_names(scene, card.model_copy(update={"features": _features("B02", "B11")}))


def _features(*bands):
    return FeatureSpec(bands=bands, mean=(0.1,) * len(bands), std=(0.1,) * len(bands))
