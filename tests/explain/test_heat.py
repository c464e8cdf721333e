import io

import numpy as np
import pytest
import rasterio
from affine import Affine
from matplotlib import colormaps
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from lulc.errors import StorageError
from lulc.explain.explanation import write_heat_raster
from lulc.explain.figure import COLOR_MAP, _Layout, write_heat_figure
from lulc.grid import Grid, Shape
from lulc.io.figures.page import DPI

UTM = CRS.from_epsg(32632)
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def heat_of(shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def colors_of(shape):
    return np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)


def panel_of(path, shape, position):
    """Pixels of a panel, without its frame."""
    left, top, width, height = (round(DPI * side) for side in _Layout(Shape(*shape)).panel(position))
    return np.asarray(Image.open(path).convert("RGB"))[top : top + height, left : left + width]


class TestFigure:
    @pytest.mark.parametrize("shape", [(64, 64), (8, 8), (512, 512), (1500, 700), (9, 300), (300, 9), (1, 1)])
    @pytest.mark.whole
    def test_any_size(self, tmp_path, shape):
        write_heat_figure(tmp_path / "heat.png", colors_of(shape), heat_of(shape), "Forest, 99.1%", "by Grad-CAM")
        width, height = Image.open(tmp_path / "heat.png").size
        assert 600 < width < 3000
        assert 100 < height < 1200

    def test_small_patches_are_shown_pixel_by_pixel(self, tmp_path):
        heat = heat_of((64, 64))
        write_heat_figure(tmp_path / "heat.png", colors_of((64, 64)), heat, "Forest")
        for position, small in ((0, colors_of((64, 64))), (1, colormaps[COLOR_MAP](heat, bytes=True)[..., :3])):
            large = panel_of(tmp_path / "heat.png", (64, 64), position)
            scale = len(large) // 64
            assert large.shape == (64 * scale, 64 * scale, 3)
            inner = large[scale // 2 :: scale, scale // 2 :: scale].astype(int)
            assert np.abs(inner - small).max() <= 1
            blocks = large.reshape(64, scale, 64, scale, 3)[1:-1, :, 1:-1]
            assert (blocks == blocks[:, :1, :, :1]).all()

    def test_no_data_is_grey(self, tmp_path):
        heat = heat_of((64, 64))
        heat[:10] = np.nan
        write_heat_figure(tmp_path / "heat.png", colors_of((64, 64)), heat, "Forest")
        for position in (1, 2):
            assert (panel_of(tmp_path / "heat.png", (64, 64), position)[4:60, 4:-4] == 235).all()

    def test_where_nothing_speaks_the_image_shows(self, tmp_path):
        colors = np.full((64, 64, 3), 200, np.uint8)
        write_heat_figure(tmp_path / "heat.png", colors, np.zeros((64, 64), np.float32), "Forest")
        assert panel_of(tmp_path / "heat.png", (64, 64), 2)[10:-10, 10:-10].min() > 150

    def test_the_region_is_outlined(self, tmp_path):
        region = np.zeros((64, 64), bool)
        region[20:40, 20:40] = True
        for name, shown in (("with", region), ("without", None)):
            write_heat_figure(tmp_path / name, colors_of((64, 64)), heat_of((64, 64)), "crops", region_yx=shown)
        one, other = (panel_of(tmp_path / name, (64, 64), 0) for name in ("with", "without"))
        rows, columns = np.nonzero((one != other).any(axis=2))
        scale = len(one) // 64
        assert abs(rows.min() - 20 * scale) <= 2
        assert abs(columns.max() - 40 * scale) <= 2
        assert np.array_equal(*(panel_of(tmp_path / name, (64, 64), 1) for name in ("with", "without")))

    def test_the_same_numbers_give_the_same_file(self, tmp_path):
        for name in ("first", "second"):
            write_heat_figure(tmp_path / name, colors_of((64, 64)), heat_of((64, 64)), "Forest")
        assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()

    def test_names_are_text_and_not_formulas(self, tmp_path):
        title = r"$\frac{a}$ & _b_ " + 400 * "x"
        write_heat_figure(tmp_path / "heat.png", colors_of((64, 64)), heat_of((64, 64)), title, title)
        assert Image.open(io.BytesIO((tmp_path / "heat.png").read_bytes())).size[0] < 2000

    def test_no_folder(self, tmp_path):
        with pytest.raises(StorageError, match="its folder does not exist"):
            write_heat_figure(tmp_path / "none/heat.png", colors_of((9, 9)), heat_of((9, 9)), "Forest")


class TestRaster:
    @pytest.mark.parametrize("shape", [(64, 64), (300, 520), (1, 7)])
    def test_heat_comes_back_bit_for_bit_on_its_grid(self, tmp_path, shape):
        heat = heat_of(shape)
        heat[0, 0] = np.nan
        tags = {"LULC_MODEL": "eurosat-rgb 1.0", "LULC_CLASS": "Forest", "LULC_METHOD": "Grad-CAM"}
        write_heat_raster(tmp_path / "heat.tif", heat, Grid(UTM, PLACE, Shape(*shape)), "Grad-CAM of Forest", tags)
        with rasterio.open(tmp_path / "heat.tif") as raster:
            np.testing.assert_array_equal(raster.read(1), heat)
            assert (raster.crs, raster.transform, raster.shape) == (UTM, PLACE, shape)
            assert (raster.count, raster.dtypes, raster.descriptions) == (1, ("float32",), ("heat",))
            assert np.isnan(raster.nodata)
            assert raster.read_masks(1)[0, 0] == 0
            assert raster.tags().items() >= tags.items()
            assert raster.tags(1)["long_name"] == "Grad-CAM of Forest"

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_control_points(self, tmp_path):
        points = [GroundControlPoint(row, col, 10 + col / 1e4, 50 - row / 1e4) for row, col in ((0, 0), (0, 9), (9, 0))]
        grid = Grid(None, Affine.identity(), Shape(9, 9), points, CRS.from_epsg(4326))
        write_heat_raster(tmp_path / "heat.tif", heat_of((9, 9)), grid, "Grad-CAM", {})
        with rasterio.open(tmp_path / "heat.tif") as raster:
            assert [(p.row, p.col, p.x, p.y) for p in raster.gcps[0]] == grid.control_points()

    def test_nothing_is_overwritten_unasked(self, tmp_path):
        (tmp_path / "heat.tif").write_bytes(b"mine")
        grid = Grid(UTM, PLACE, Shape(9, 9))
        with pytest.raises(StorageError, match="--overwrite"):
            write_heat_raster(tmp_path / "heat.tif", heat_of((9, 9)), grid, "Grad-CAM", {})
        assert (tmp_path / "heat.tif").read_bytes() == b"mine"
        write_heat_raster(tmp_path / "heat.tif", heat_of((9, 9)), grid, "Grad-CAM", {}, overwrite=True)
        assert [path.name for path in tmp_path.iterdir()] == ["heat.tif"]
        with rasterio.open(tmp_path / "heat.tif") as raster:
            assert raster.shape == (9, 9)
