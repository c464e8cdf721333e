"""Maps in a drawing's own system (an engineering CRS), which has no place on Earth."""

import pytest
from affine import Affine

from lulc.errors import InputError, UsageError
from lulc.tasks.accuracy.evaluate import evaluate_map
from lulc.tasks.accuracy.options import EvaluateOptions
from lulc.tasks.change.change import map_change
from lulc.tasks.change.options import ChangeOptions
from lulc.tasks.mosaic.mosaic import mosaic
from lulc.tasks.mosaic.options import MosaicOptions
from tests.support.change_samples import PLACE, changed, product, shares, sharp
from tests.support.disguised import collection
from tests.support.evaluation_samples import COARSE, CROSSWALK

DRAWING = 'LOCAL_CS["drawing",UNIT["metre",1]]'


@pytest.fixture
def drawings(tmp_path):
    """Two dates in one drawing, and the same ground in UTM."""
    first = sharp(shares())
    later = changed(first)
    return (
        product(tmp_path / "before.tif", first, crs=DRAWING),
        product(tmp_path / "after.tif", later, crs=DRAWING),
        product(tmp_path / "utm.tif", later),
    )


def test_equal_drawings_need_no_projection(drawings, tmp_path):
    before, after, _ = drawings
    mosaic([before, after], tmp_path / "mosaic.tif")
    assert evaluate_map(before, before).matrix.total == 200 * 300
    moved = product(tmp_path / "moved.tif", sharp(shares()), crs=DRAWING, transform=PLACE @ Affine.translation(5.5, 0))
    assert evaluate_map(before, moved).matrix.total > 0


def test_change_is_told_in_hectares_which_a_drawing_has_not(drawings, tmp_path):
    for minimum in (0, 0.5):
        with pytest.raises(InputError, match=r"before\.tif: its CRS tells no ground area"):
            map_change(*drawings[:2], tmp_path / "change.tif", ChangeOptions(mmu=minimum))


@pytest.mark.parametrize("order", [(0, 2), (2, 0)])
def test_a_drawing_and_a_map_on_earth_are_refused_by_name(drawings, tmp_path, order):
    one, other = (drawings[number] for number in order)
    said = "no place on Earth"
    with pytest.raises(InputError, match=rf"\.tif.*'drawing'.*{said}"):
        map_change(one, other, tmp_path / "change.tif")
    with pytest.raises(InputError, match=rf"\.tif.*'drawing'.*{said}"):
        mosaic([one, other], tmp_path / "mosaic.tif")
    with pytest.raises(InputError, match=rf"\.tif.*'drawing'.*{said}"):
        evaluate_map(one, other)
    crs = "EPSG:32630" if one == drawings[0] else DRAWING
    with pytest.raises(InputError, match=rf"\.tif.*'drawing'.*{said}"):
        mosaic([one], tmp_path / "mosaic.tif", MosaicOptions(crs=crs, resolution=10))


def test_polygons_cannot_be_placed_on_a_drawing(drawings, tmp_path):
    path = tmp_path / "field.geojson"
    path.write_text(collection())
    legend, crosswalk = tmp_path / "coarse.toml", tmp_path / "fine-to-coarse.toml"
    legend.write_text(COARSE)
    crosswalk.write_text(CROSSWALK)
    options = EvaluateOptions(legend=legend, attribute="class", crosswalk=(crosswalk,))
    with pytest.raises(InputError, match=r"field\.geojson.*no place on Earth"):
        evaluate_map(drawings[0], path, options)


@pytest.mark.parametrize("crs", ["EPSG:4978", "EPSG:5773"])
def test_a_mosaic_is_in_a_crs_of_two_axes(drawings, tmp_path, crs):
    with pytest.raises(UsageError, match="cannot hold a map"):
        mosaic([drawings[2]], tmp_path / "mosaic.tif", MosaicOptions(crs=crs, resolution=10))
