"""Mosaics as users make them: real texture in two UTM zones, refusals, kills, many maps."""

import csv
import json
import signal
import time

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from rasterio.enums import Resampling
from scipy.ndimage import maximum_filter

from lulc.cli.main import cli
from lulc.errors import InputError, StorageError, UsageError
from lulc.grid import Window
from lulc.io.product.reader import open_product
from lulc.tasks.classify.classify import classify
from lulc.tasks.describe.info import describe_product
from lulc.tasks.mosaic import plan as mosaic_plan
from lulc.tasks.mosaic.merging import merge_of
from lulc.tasks.mosaic.mosaic import _stored, merged_chunk, mosaic
from lulc.tasks.mosaic.options import MosaicOptions
from lulc.tasks.mosaic.plan import plan_mosaic
from tests.support.command import lulc, start
from tests.support.product_samples import LEGEND, grid_of, pixels, write
from tests.support.region_samples import BANDS, WEST, ground_transform, write_region, write_scene
from tests.support.rewritten import rewriting


@pytest.fixture(scope="module")
def region(data, tmp_path_factory):
    """Maps of four overlapping scenes in two zones, of slightly different light, and of their whole ground."""
    folder = tmp_path_factory.mktemp("region")
    with rasterio.open(data / "scenes" / "aber_s2_20210527_10band.tif") as source:
        order = [source.descriptions.index(name) + 1 for name in BANDS]
        ground = np.clip(source.read(order).astype(np.uint16) * 10, 1, None)
    rng = np.random.default_rng(5)
    light = [
        np.clip(ground * (1 + rng.normal(0, 0.02, (len(BANDS), 1, 1))), 1, None).astype(np.uint16) for _ in range(4)
    ]
    scenes = [*write_region(folder, light), write_scene(folder / "ground.tif", ground, WEST, ground_transform(), "")]
    maps = []
    for scene in scenes:
        maps.append(folder / f"map_{scene.name}")
        classify([scene], maps[-1])
    return maps


def small_map(path, row=0, col=0, *, seed=0, shape=(260, 300), tags=None, **options):
    """A product without a network: random activations with a wedge of nodata."""
    grid = grid_of(*shape, Affine(10.0, 0.0, 300_000.0 + 10 * col, 0.0, -10.0, 4_900_020.0 - 10 * row))
    write(path, pixels(*shape, seed=seed), grid=grid, **options)
    if tags:
        with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
            target.update_tags(**tags)
    return path


def bands(path):
    with rasterio.open(path) as source:
        return source.read()


def test_no_seam_shows_where_scenes_of_two_zones_meet(region, tmp_path):
    smooth = mosaic(region[:4], tmp_path / "m.tif", seams=True).seams
    hard = mosaic(region[:4], tmp_path / "first.tif", MosaicOptions(method="first"), seams=True).seams
    assert smooth.pairs_across > 1500
    assert smooth.across_percent < 1.25 * smooth.near_percent
    assert hard.across_percent > 2 * hard.near_percent  # the figure does see a seam


def test_the_mosaic_is_the_map_of_the_whole_ground(region, tmp_path):
    """Against one map of everything: as good near scene borders as elsewhere."""
    mosaic(region[:4], tmp_path / "m.tif", MosaicOptions(crs="EPSG:32631"))
    with rasterio.open(tmp_path / "m.tif") as made, rasterio.open(region[4]) as whole:
        row, col = (round(value) for value in (~made.transform @ (whole.transform.c, whole.transform.f))[::-1])
        window = rasterio.windows.Window(col, row, whole.width, whole.height)
        found, source = made.read(
            [1, made.descriptions.index("source") + 1], window=window, boundless=True, fill_value=255
        )
        expected = whole.read(1)
    known = (found != 255) & (expected != 255)
    assert known.mean() > 0.85
    border = np.zeros(source.shape, np.uint8)
    border[:-1, :-1] = (source[1:, :-1] != source[:-1, :-1]) | (source[:-1, 1:] != source[:-1, :-1])
    near = maximum_filter(border, 65).astype(bool)
    right = found == expected
    assert right[known].mean() > 0.9
    assert right[known & near].mean() > right[known & ~near].mean() - 0.01
    assert set(np.unique(source[known])) == {1, 2, 3, 4}


def test_the_product_keeps_its_promises(region, tmp_path):
    out = tmp_path / "m.tif"
    report = mosaic(region[:4], out)
    described = describe_product(out)
    assert described.problems == ()
    with rasterio.open(out) as made:
        assert made.descriptions == ("class", *LEGEND.names, "source", "confidence", "clouds")
        assert (made.nodata, made.scales[-3:]) == (255, (1, 0.004, 1))
        assert made.tags()["LULC_ACQUIRED"] == "2021-06-10/2021-06-13"
        assert made.tags()["LULC_MAPS"] == "4"
        assert len(made.overviews(1)) == len(made.overviews(made.count)) > 0
        stored, smaller = (
            made.read(),
            made.read(out_shape=(made.count, made.height // 4, made.width // 4), resampling=Resampling.nearest),
        )
    valid = stored[0] != 255
    np.testing.assert_array_equal(stored[1:10, valid].sum(axis=0, dtype=int), 250)
    np.testing.assert_array_equal(
        np.take_along_axis(stored[1:10], np.minimum(stored[:1], 9) - 1, 0)[0][valid], stored[1:10].max(axis=0)[valid]
    )
    assert (stored[:, ~valid] == 255).all()
    assert (np.abs(stored[-2].astype(int) - stored[1:10].max(axis=0))[valid] <= 1).all()
    assert set(np.unique(smaller[-3])) <= {1, 2, 3, 4, 255}
    assert set(np.unique(stored[-1][valid])) <= {0, 1, 2}
    with (tmp_path / "m.tif.sources.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["map"] for row in rows] == [path.name for path in region[:4]]
    assert sum(int(row["main_pixels"]) for row in rows) == valid.sum() == sum(entry.pixels for entry in report.classes)
    assert [int(row["main_pixels"]) for row in rows] == [(stored[-3][valid] == number).sum() for number in (1, 2, 3, 4)]


def test_a_mosaic_of_one_map_is_that_map(tmp_path):
    one = small_map(tmp_path / "a.tif")
    mosaic([one], tmp_path / "m.tif")
    np.testing.assert_array_equal(bands(tmp_path / "m.tif")[:10], bands(one))


def test_chunks_do_not_show(tmp_path):
    """The same windows, merged in other chunks, hold the same bytes; those of other grids too."""
    maps = [small_map(tmp_path / f"{n}.tif", 100 * n, 150 * n, seed=n, shape=(700, 800)) for n in range(2)]
    for options in (MosaicOptions(feather=40), MosaicOptions(feather=40, crs="EPSG:3035", resolution=10.0)):
        plan = plan_mosaic(maps, options)
        whole = merged_chunk(plan, plan.grid.window).data
        for window in (Window(0, 0, 512, 512), Window(512, 512, 250, 380), Window(130, 333, 257, 91)):
            np.testing.assert_array_equal(merged_chunk(plan, window).data, whole[(slice(None), *window.slices())])


@pytest.mark.parametrize(
    ("method", "activations"),
    [("activations", "uint8"), ("activations", "float32"), ("activations", "none"), ("first", "none")],
)
def test_where_no_map_is_nothing_is_written_as_merging_would(tmp_path, method, activations):
    maps = [small_map(tmp_path / f"{n}.tif", 0, 2000 * n, seed=n) for n in range(2)]
    plan = plan_mosaic(maps, MosaicOptions(method=method, activations=activations))
    window = Window(0, 512, 256, 512)
    found = merged_chunk(plan, window).data
    nothing = merge_of(method, len(plan.legend), (window.height, window.width)).result()
    expected = _stored(nothing, plan)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "dates",
    [
        ("2020-05-01", "2021-05-01"),
        ("2020-05-01/2020-09-30", "2020-04-01/2020-10-01"),
        ("2020-9-30", "2020-10-01"),
        ("2020-05-01T09:00+02:00", "2020-05-01T08:00Z"),
    ],
)
def test_rules_for_classes(tmp_path, dates):
    early = small_map(tmp_path / "a.tif", seed=1, tags={"LULC_ACQUIRED": dates[0]})
    late = small_map(tmp_path / "b.tif", 30, 40, seed=2, tags={"LULC_ACQUIRED": dates[1]})
    mosaic([early, late], tmp_path / "first.tif", MosaicOptions(method="first"))
    mosaic([late, early], tmp_path / "swapped.tif", MosaicOptions(method="first"))
    mosaic([early, late], tmp_path / "latest.tif", MosaicOptions(method="latest"))
    first, swapped, latest = (bands(tmp_path / f"{name}.tif")[0] for name in ("first", "swapped", "latest"))
    np.testing.assert_array_equal(latest, swapped)
    np.testing.assert_array_equal(
        first[:260, :300], np.where((inner := bands(early)[0]) == 255, first[:260, :300], inner)
    )
    assert (first != swapped).any()
    with rasterio.open(tmp_path / "first.tif") as made:
        assert made.descriptions == ("class", "source", "confidence")


def test_more_than_250_maps_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(mosaic_plan, "SOURCES_A_BAND", 3)
    for module in ("mosaic.mosaic", "mosaic.sources"):
        monkeypatch.setattr(f"lulc.tasks.{module}.SOURCES_A_BAND", 3)
    maps = [small_map(tmp_path / f"{n}.tif", 0, 60 * n, seed=n, shape=(64, 64)) for n in range(8)]
    report = mosaic(maps, tmp_path / "m.tif")
    assert min(share.main_pixels for share in report.maps) > 1000
    stored = bands(tmp_path / "m.tif")
    with rasterio.open(tmp_path / "m.tif") as made:
        assert made.descriptions[-3:] == ("source", "source 250s", "confidence")
    valid = stored[0] != 255
    number = stored[-3].astype(int) + 3 * stored[-2]
    assert np.bincount(number[valid]).tolist() == [0, *(share.main_pixels for share in report.maps)]


def test_bounds_cut_without_changing_pixels(tmp_path):
    maps = [small_map(tmp_path / "a.tif"), small_map(tmp_path / "b.tif", 90, 120, seed=3)]
    mosaic(maps, tmp_path / "whole.tif")
    mosaic(maps, tmp_path / "part.tif", MosaicOptions(bounds=(301_000, 4_897_520, 303_000, 4_899_020)))
    np.testing.assert_array_equal(bands(tmp_path / "part.tif"), bands(tmp_path / "whole.tif")[:, 100:250, 100:300])


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (lambda folder: [small_map(folder / "a.tif")] * 2, {}, UsageError, "given twice"),
        (lambda folder: [small_map(folder / "a.tif"), folder / "none.tif"], {}, InputError, "none.tif"),
        (
            lambda folder: [small_map(folder / "a.tif"), other_legend(folder / "b.tif")],
            {},
            InputError,
            r"a\.tif.*b\.tif",
        ),
        (
            lambda folder: [small_map(folder / "a.tif"), classes_alone(folder / "b.tif")],
            {},
            InputError,
            r"b\.tif holds no act",
        ),
        (lambda folder: [small_map(folder / "a.tif")], {"method": "latest"}, InputError, r"a\.tif does not say when"),
        (
            lambda folder: [small_map(folder / "a.tif")],
            {"bounds": (0, 0, 10, 10)},
            InputError,
            "no map lies in the bounds",
        ),
    ],
    ids=["twice", "missing", "legend", "classes", "undated", "outside"],
)
def test_refusals_leave_nothing_behind(tmp_path, make, options, error, message):
    maps = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=message):
        mosaic(maps, tmp_path / "m.tif", MosaicOptions(**options))
    assert sorted(tmp_path.iterdir()) == before


def other_legend(path):
    table = LEGEND.to_table()
    table["classes"][0]["name"] = "sea"
    return small_map(path, tags={"LULC_LEGEND": json.dumps(table)})


def classes_alone(path):
    data = pixels(260, 300, activations="none")
    write(path, data, grid=grid_of(260, 300))
    return path


def test_nothing_of_the_user_is_overwritten(tmp_path):
    one = small_map(tmp_path / "a.tif")
    with pytest.raises(UsageError, match="is an input"):
        mosaic([one], one)
    (tmp_path / "m.tif.sources.csv").write_text("mine")
    with pytest.raises(StorageError, match=r"sources\.csv exists"):
        mosaic([one], tmp_path / "m.tif")
    assert (tmp_path / "m.tif.sources.csv").read_text() == "mine"
    assert not (tmp_path / "m.tif").exists()


@pytest.mark.process
@pytest.mark.kill
def test_killed_at_any_moment_the_same_command_ends_with_the_same_bytes(tmp_path):
    maps = [small_map(tmp_path / f"{n}.tif", 700 * n, 900 * n, seed=n, shape=(1500, 1700)) for n in range(3)]
    out = tmp_path / "m.tif"
    command = ["mosaic", "-q", "--crs", "EPSG:3035", "--resolution", 10, *maps]
    assert lulc(*command, tmp_path / "clean.tif").returncode == 0
    ended = []
    for number, name in enumerate((signal.SIGKILL, signal.SIGTERM)):
        process = start(*command, out)
        work = tmp_path / "m.tif.lulc"
        while process.poll() is None and len(list(work.glob("chunk-*.tiles"))) < 2 * (number + 1):
            time.sleep(0.01)
        process.send_signal(name)
        ended.append(process.wait())
        assert not out.exists()
    assert ended == [-signal.SIGKILL, 75]
    assert lulc(*command, out).returncode == 0
    assert out.read_bytes() == (tmp_path / "clean.tif").read_bytes()
    tables = [(tmp_path / f"{name}.tif.sources.csv").read_text() for name in ("m", "clean")]
    assert tables[0] == tables[1]
    assert not work.exists()


def test_the_command(tmp_path):
    maps = [small_map(tmp_path / "a.tif"), small_map(tmp_path / "b.tif", 90, 120, seed=3)]
    result = CliRunner().invoke(cli, ["mosaic", *map(str, maps), str(tmp_path / "m.tif"), "--seams"])
    assert result.exit_code == 0, result.output
    assert "across scene borders" in result.output
    assert "no estimate of area" in result.output
    refused = CliRunner().invoke(cli, ["mosaic", str(maps[0]), str(tmp_path / "n.tif"), "--bounds", "1,2,3"])
    assert refused.exit_code == 2
    with open_product(tmp_path / "m.tif") as product:
        assert product.has_activations
        assert product.band("confidence", Window(0, 0, 5, 5)).shape == (5, 5)


@pytest.mark.parametrize(
    ("crs", "reason"),
    [
        ('LOCAL_CS["drawing",UNIT["metre",1]]', "the CRS 'drawing' has no place on Earth"),
        ("+proj=longlat +a=3396190 +b=3376200 +no_defs", "not one of the Earth"),
    ],
    ids=["drawing", "mars"],
)
def test_maps_that_are_not_on_earth_are_refused(tmp_path, crs, reason):
    with rasterio.open(small_map(tmp_path / "odd.tif"), "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
        target.crs = crs
    with pytest.raises(InputError, match=rf"odd\.tif.*{reason}"):
        mosaic([small_map(tmp_path / "a.tif"), tmp_path / "odd.tif"], tmp_path / "m.tif")


def test_a_date_that_leads_nowhere_has_a_part_in_the_mean(tmp_path):
    maps = [small_map(tmp_path / f"{number}.tif", seed=number) for number in range(2)]
    report = mosaic(maps, tmp_path / "m.tif")
    has_data = [int((bands(path)[0] != 255).sum()) for path in maps]
    assert [share.pixels for share in report.maps] == has_data
    with (tmp_path / "m.tif.sources.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["pixels"]) for row in rows] == has_data
    assert int(rows[1]["main_pixels"]) < has_data[1]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_maps_on_both_sides_of_the_antimeridian_meet_in_any_order(tmp_path, order):
    west, east = Affine(1e-4, 0, 179.99, 0, -1e-4, -17.0), Affine(1e-4, 0, -179.995, 0, -1e-4, -17.0)
    maps = []
    for number, place in enumerate((west, east)):
        maps.append(tmp_path / f"{number}.tif")
        write(maps[-1], pixels(60, 100, seed=number), grid=grid_of(60, 100, place, "EPSG:4326"))
    report = mosaic([maps[number] for number in order], tmp_path / "m.tif")
    assert (report.height, report.width) == (60, 250)
    assert min(share.main_pixels for share in report.maps) > 4000


def test_a_map_of_change_is_no_map_to_merge(tmp_path):
    changed = small_map(tmp_path / "c.tif", tags={"LULC_KIND": "change-map"})
    with pytest.raises(InputError, match=r"c\.tif is a map of change"):
        mosaic([changed], tmp_path / "m.tif", MosaicOptions(method="first"))


def damaged(path, change):
    small_map(path)
    with rasterio.open(path, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
        data = target.read()
        change(data)
        target.write(data)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[0, 200:].fill(77), "class code .*, which its legend lacks"),
        (lambda data: data[0, 200:].fill(0), "class code .*, which its legend lacks"),
        (lambda data: data[3, 200:].fill(9), "do not sum to 1"),
        (lambda data: data[1:, 200:].fill(255), "do not sum to 1"),
    ],
    ids=["code", "zero", "sum", "nodata"],
)
def test_pixels_that_break_the_promises_of_a_product_are_refused(tmp_path, change, message):
    wrong = damaged(tmp_path / "wrong.tif", change)
    for options in (MosaicOptions(), MosaicOptions(crs="EPSG:3035", resolution=10.0)):
        with pytest.raises(InputError, match=message):
            mosaic([wrong, small_map(tmp_path / f"{options.crs}.tif", 100, 100)], tmp_path / "m.tif", options)
    assert not (tmp_path / "m.tif").exists()
    assert not (tmp_path / "m.tif.lulc").exists()


def test_a_copy_that_lost_its_scales_is_read_right(tmp_path):
    one = small_map(tmp_path / "a.tif")
    mosaic([one], tmp_path / "m.tif", MosaicOptions(crs="EPSG:3035", resolution=10.0))
    with rasterio.open(one, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as target:
        target.scales = [1.0] * target.count
    mosaic([one], tmp_path / "n.tif", MosaicOptions(crs="EPSG:3035", resolution=10.0))
    np.testing.assert_array_equal(bands(tmp_path / "n.tif"), bands(tmp_path / "m.tif"))


@pytest.mark.parametrize("value", ["inf", "nan", "1e-300", "1e300", "0", "-10"])
def test_a_resolution_out_of_range_is_a_usage_error(tmp_path, value):
    result = CliRunner().invoke(
        cli, ["mosaic", str(small_map(tmp_path / "a.tif")), str(tmp_path / "m.tif"), "--resolution", value]
    )
    assert result.exit_code == 2


def test_a_map_that_is_rewritten_is_refused_and_no_mixture_is_kept(tmp_path):
    first, second = small_map(tmp_path / "a.tif"), small_map(tmp_path / "b.tif", col=150, seed=1)
    with pytest.raises(StorageError, match=r"b\.tif was changed while it was read"):
        mosaic([first, second], tmp_path / "m.tif", progress=rewriting(second))
    assert not (tmp_path / "m.tif").exists()
