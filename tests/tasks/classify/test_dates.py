"""Maps of several dates: the mean of their probabilities over the dates that show a pixel, in bounded memory."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError

from lulc.errors import InputError, LimitError, UsageError
from lulc.hpc.plan import make_plan
from lulc.io.product.reader import open_product
from lulc.io.scene.clouds import ClearScene
from lulc.io.scene.scene import open_scene
from lulc.model.bundle import load_bundle
from lulc.model.channels import REFLECTANCE
from lulc.model.device import choose_placement
from lulc.model.predictor import Predictor
from lulc.tasks.classify.classify import classify, plan_classification
from lulc.tasks.classify.job import plan_job
from lulc.tasks.classify.options import ClassifyOptions
from lulc.tasks.classify.series import MOST_DATES, open_series
from lulc.tasks.describe.info import describe
from lulc.tasks.describe.map_report import report_map
from lulc.tasks.mosaic.mosaic import mosaic
from lulc.tasks.stack.on_grid import donor
from tests.support.command import lulc
from tests.support.date_scenes import SHAPE, write_date
from tests.support.stopped_runs import stopped_after

HALO = 72


def options(bundle, **fields):
    return ClassifyOptions(
        **({"model": bundle, "precision": "fp32", "device": "cpu", "window": 272, "dates": True} | fields)
    )


def read(path):
    with rasterio.open(path) as product:
        return product.read()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def clouds(seed, shape=SHAPE):
    """Round clouds over a third of a scene."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    covered = np.zeros(shape, bool)
    for row, col in rng.uniform((0, 0), shape, (8, 2)):
        covered |= (rows - row) ** 2 + (cols - col) ** 2 < 30**2
    return covered


def probabilities(bundle, reflectance, valid):
    """Of one pass over a whole grid, mirrored around it and padded to the stride: (K, height, width)."""
    names, (height, width) = load_bundle(bundle).card.features.bands, valid.shape
    padding = ((HALO, HALO + -height % 8), (HALO, HALO + -width % 8))
    predictor = Predictor(load_bundle(bundle), REFLECTANCE, names, choose_placement("cpu", "fp32"))
    mirrored = np.pad(reflectance, ((0, 0), *padding), mode="symmetric"), np.pad(valid, padding, mode="symmetric")
    answer = predictor.predict(np.nan_to_num(mirrored[0])[None], mirrored[1][None])[0]
    return answer[:, HALO : HALO + height, HALO : HALO + width].numpy()


def mean_of_whole(bundle, dates):
    """Mean over dates of untiled passes, and the number of dates; of reflectance with NaN where a date is not clear."""
    total, looks = 0, 0
    for reflectance in dates:
        valid = ~np.isnan(reflectance[0])
        total = total + np.where(valid, probabilities(bundle, reflectance, valid), 0)
        looks = looks + valid.astype(int)
    return total / np.maximum(looks, 1), looks


def clear(path, grid_of=None):
    """Reflectance of a date on its own grid, or on that of another file; NaN under clouds and where it has no data."""
    with open_scene([path]) as scene, open_scene([grid_of or path]) as first:
        reader = donor(ClearScene(scene), ClearScene(first), scene.names)
        planes = reader.whole(first.grid.window)
        if "SCL" in scene.quality:
            planes[:, scene.quality["SCL"].read(scene.grid.window) == 9] = np.nan
        return planes


@pytest.fixture
def three(tmp_path):
    """Three dates of one grid with clouds, of which one has an offset."""
    return [
        write_date(tmp_path / f"{day}.tif", day, day=day, clouds=clouds(day), offset=-1000 if day == 3 else 0)
        for day in (12, 3, 25)
    ]


@pytest.mark.parametrize("fade", [{}, {"halo": 24, "blend": 24, "window": 176}])
def test_the_map_is_that_of_the_mean_of_untiled_passes(three, bundle, tmp_path, fade):
    classify(three, tmp_path / "map.tif", options(bundle, activations="float32", **fade))
    product = read(tmp_path / "map.tif")
    mean, looks = mean_of_whole(bundle, map(clear, three))
    assert sorted(np.unique(looks)) == [0, 1, 2, 3]
    seen = looks > 0
    assert (product[:, ~seen] == 255).all()
    np.testing.assert_array_equal(product[-1][seen], looks[seen])
    if not fade:
        assert np.abs(product[1:-1] - mean)[:, seen].max() < 1e-5
        assert (product[0] - 1 != mean.argmax(0))[seen].mean() <= 1e-5
    np.testing.assert_allclose(product[1:-1, seen].sum(0), 1, atol=1e-5)
    assert np.abs(product[1:-1] - mean)[:, seen].mean() < 0.01


def test_the_cross_fade_of_the_mean_is_the_mean_of_the_cross_fades(tmp_path, bundle):
    dates = [write_date(tmp_path / f"{day}.tif", day, day=day) for day in (1, 2)]
    fading = {"halo": 24, "blend": 24, "window": 176, "activations": "float32"}
    for name, inputs in (("both", dates), ("a", dates[:1]), ("b", dates[1:])):
        classify(inputs, tmp_path / f"map_{name}.tif", options(bundle, **fading))
    both, one, other = (read(tmp_path / f"map_{name}.tif")[1:-1] for name in ("both", "a", "b"))
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-6)


@pytest.mark.parametrize("stored", ["uint8", "float32", "none"])
def test_one_date_gives_the_map_of_the_scene(tmp_path, bundle, stored):
    date = write_date(tmp_path / "a.tif", 1, offset=-1000)
    with rasterio.open(date, "r+") as raster:
        pixels = raster.read()
        pixels[:, :100, :200] = 0
        raster.write(pixels)
    classify([date], tmp_path / "scene.tif", options(bundle, dates=False, activations=stored))
    classify([date], tmp_path / "dates.tif", options(bundle, activations=stored))
    scene, dates = read(tmp_path / "scene.tif"), read(tmp_path / "dates.tif")
    np.testing.assert_array_equal(dates[:-1], scene)
    assert (dates[-1] == np.where(scene[0] == 255, 255, 1)).all()


def test_dates_on_other_pixels_are_read_on_those_of_the_first(tmp_path, bundle):
    paths = [
        write_date(tmp_path / "first.tif", 1, day=9),
        write_date(tmp_path / "shifted.tif", 2, day=2, shift=(-40, 60)),
        write_date(tmp_path / "between.tif", 3, day=5, shape=(160, 200), shift=(30.5, 100.25)),
    ]
    classify(paths, tmp_path / "map.tif", options(bundle, activations="float32"))
    product = read(tmp_path / "map.tif")
    mean, looks = mean_of_whole(bundle, [clear(path, grid_of=paths[0]) for path in paths])
    assert product.shape[1:] == SHAPE
    assert sorted(np.unique(looks)) == [1, 2, 3]
    np.testing.assert_array_equal(product[-1], looks)
    assert np.abs(product[1:-1] - mean).max() < 1e-5
    with open_product(tmp_path / "map.tif") as map_of_dates:
        assert map_of_dates.tags["LULC_GRID_OF"] == "first.tif"  # the order that tags list does not say it


def test_the_order_of_dates_changes_no_byte(three, bundle, tmp_path):
    for name, inputs in (("a", three), ("b", three[::-1]), ("c", [three[1], three[2], three[0]])):
        classify(inputs, tmp_path / f"map_{name}.tif", options(bundle))
    assert len({sha256(tmp_path / f"map_{name}.tif") for name in "abc"}) == 1


def test_every_date_is_named(three, bundle, tmp_path):
    report = classify(three, tmp_path / "map.tif", options(bundle, dilate=2), quicklook=tmp_path / "map.png")
    with open_product(tmp_path / "map.tif") as product:
        tags, extra = product.tags, product.extra_bands
    assert extra == {"looks": (11, "number of dates")}
    assert tags["LULC_INPUT"] == "3.tif, 12.tif, 25.tif"
    assert [tags[f"LULC_INPUT_{number}"] for number in (1, 2, 3)] == ["3.tif", "12.tif", "25.tif"]
    assert (tags["LULC_DATES"], tags["LULC_ACQUIRED"]) == ("3", "2021-05-03/2021-05-25")
    assert (tags["LULC_OFFSET_1"], tags["LULC_OFFSET_2"][:2]) == ("-1000 (metadata)", "0 ")
    assert tags["LULC_CLOUDS_3"] == "SCL 1,3,8,9,10, dilated by 2 px"
    assert not {"LULC_OFFSET", "LULC_GRID_OF"} & tags.keys()
    assert tags["LULC_INPUT_KIND_3"] == "GeoTIFF L2A 2021-05-25"
    assert [date.name for date in report.dates] == ["3.tif", "12.tif", "25.tif"]
    assert report.warnings == ()
    assert (tmp_path / "map.png").exists()


def test_a_map_of_dates_is_a_product_as_any_other(three, bundle, tmp_path):
    out = tmp_path / "map.tif"
    classify(three, out, options(bundle))
    facts = describe([out])
    assert facts.problems == ()
    assert facts.facts["dates"] == "3"
    mosaic([out], tmp_path / "mosaic.tif")
    np.testing.assert_array_equal(read(tmp_path / "mosaic.tif")[:10], read(out)[:10])
    report = report_map(out, tmp_path / "report")
    assert report.facts["input"] == "3.tif, 12.tif, 25.tif"


def test_a_date_without_a_mask_counts_with_all_its_pixels_and_a_note_says_so(three, bundle, tmp_path):
    plain = write_date(tmp_path / "plain.tif", 8, day=8)
    report = classify([*three, plain], tmp_path / "map.tif", options(bundle))
    assert report.warnings == ("plain.tif: no band SCL or QA60 tells clouds: all valid pixels count",)
    assert (read(tmp_path / "map.tif")[-1] >= 1).all()
    refused = tmp_path / "refused.tif"
    with pytest.raises(InputError, match=r"plain\.tif has no band SCL"):
        classify([*three, plain], refused, options(bundle, clouds="scl"))
    classify(three, tmp_path / "through.tif", options(bundle, clouds="none"))
    assert (read(tmp_path / "through.tif")[-1] == 3).all()
    assert not refused.exists()


def test_seams_are_verified_with_all_dates(tmp_path, bundle):
    shape = (400, 300)
    dates = [
        write_date(tmp_path / f"{day}.tif", day, day=day, shape=shape, clouds=clouds(day, shape)) for day in (1, 2)
    ]
    report = classify(dates, tmp_path / "map.tif", options(bundle), seam_windows=3)
    assert report.seams.windows == 3
    assert report.seams.flips_percent == 0
    assert report.seams.max_difference <= 1 / 250 + 1e-5


def planned(bundle, *paths, **fields):
    return plan_classification(paths, options(bundle, **fields))


def test_refusals_name_the_date(tmp_path, bundle):
    first = write_date(tmp_path / "first.tif", 1)
    far = write_date(tmp_path / "far.tif", 1, shift=(400, 500))
    other = write_date(tmp_path / "other.tif", 1, crs="EPSG:32632")
    lacking = write_date(tmp_path / "lacking.tif", 1)
    with rasterio.open(lacking, "r+") as raster:
        raster.descriptions = ("B02", "B03", "B04", "B05")
    link = tmp_path / "link.tif"
    os.link(first, link)
    for paths, refusal, said in (
        ((first, far), InputError, r"far\.tif lies outside first\.tif"),
        ((first, other), InputError, r"first\.tif and other\.tif have different CRS"),
        ((first, lacking), InputError, r"lacking\.tif lacks B08"),
        ((first, first), UsageError, r"first\.tif is given twice"),
        ((first, link), UsageError, r"link\.tif is given twice"),
        ((first,) * (MOST_DATES + 1), UsageError, "given twice"),
        ((first, tmp_path / "none.tif"), InputError, r"no such file: .*none\.tif"),
    ):
        with pytest.raises(refusal, match=said):
            planned(bundle, *paths)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".tif"] * 5


def test_more_dates_than_a_byte_counts_are_refused(tmp_path, bundle):
    with pytest.raises(UsageError, match="255 dates are too many"):
        planned(bundle, *(tmp_path / f"{number}.tif" for number in range(MOST_DATES + 1)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"dates": True, "date": "2021-05-27"}, "--date takes one date of a cube"),
        ({"cloud_classes": ("cirrus",)}, "give --clouds scl, qa60 or model"),
        ({"dilate": 3}, "give --clouds scl, qa60 or model"),
        ({"dates": True, "clouds": "network", "dilate": 3}, "does not grow the clouds of the network"),
        ({"dates": True, "clouds": "qa60", "cloud_classes": ("cirrus",)}, "give --clouds scl or auto"),
        ({"dates": True, "clouds": "none", "dilate": 3}, "leave out --clouds none"),
    ],
)
def test_options_that_do_not_fit_are_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        ClassifyOptions(**fields)


def test_shards_and_clusters_refuse_dates(three, bundle, tmp_path):
    with pytest.raises(UsageError, match="several dates"):
        make_plan([three], tmp_path, options(bundle))
    with pytest.raises(UsageError, match="cluster"):
        classify(three, tmp_path / "map.tif", options(bundle), fill=lambda *_: None)


def test_dates_that_show_nothing_are_one_warning_or_a_refusal(tmp_path, bundle, caplog):
    dates = [write_date(tmp_path / f"{day}.tif", day, clouds=np.ones(SHAPE, bool)) for day in (1, 2)]
    report = classify(dates, tmp_path / "map.tif", options(bundle))
    assert report.valid_share == 0
    assert (read(tmp_path / "map.tif") == 255).all()
    assert "mask fewer clouds" in caplog.text
    with pytest.raises(InputError, match="the map of 2 dates has no valid pixel; mask fewer clouds"):
        classify(dates, tmp_path / "refused.tif", options(bundle, require_data=True))
    assert not (tmp_path / "refused.tif").exists()


def test_a_date_under_clouds_alone_is_told(tmp_path, bundle, caplog):
    clear_one = write_date(tmp_path / "clear.tif", 1)
    covered = write_date(tmp_path / "covered.tif", 2, clouds=np.ones(SHAPE, bool))
    classify([clear_one, covered], tmp_path / "map.tif", options(bundle))
    assert [line.getMessage()[:40] for line in caplog.records] == ["covered.tif shows no pixel of the map: i"]
    assert (read(tmp_path / "map.tif")[-1] == 1).all()


def test_memory_of_the_sums_is_planned(three, bundle):
    one, several = planned(bundle, three[0], dates=False), planned(bundle, *three)
    assert several.peak_bytes - one.peak_bytes >= SHAPE[0] * SHAPE[1] * 10 * 4
    assert several.summary()["dates"] == 3
    with pytest.raises(LimitError, match="--max-memory"):
        planned(bundle, *three, max_memory=several.peak_bytes // 2)


@pytest.fixture
def tall(tmp_path):
    """Two dates of several chunks."""
    return [write_date(tmp_path / f"{day}.tif", day, day=day, shape=(1050, 300)) for day in (1, 2)]


def test_an_interrupted_run_is_resumed_in_any_order_of_dates(tall, bundle, tmp_path, monkeypatch):
    out = tmp_path / "map.tif"
    with stopped_after(1, monkeypatch):
        classify(tall, out, options(bundle))
    assert (tmp_path / "map.tif.lulc").is_dir()
    assert classify(tall[::-1], out, options(bundle)).resumed_chunks == 1
    assert classify(tall, tmp_path / "whole.tif", options(bundle)).resumed_chunks == 0
    assert sha256(out) == sha256(tmp_path / "whole.tif")


def test_a_changed_date_is_another_job(tall, bundle, tmp_path):
    before = planned(bundle, *tall).fingerprint
    assert planned(bundle, *reversed(tall)).fingerprint == before
    assert planned(bundle, tall[0]).fingerprint != before
    shutil.copy(tall[0], tmp_path / "kept.tif")
    write_date(tall[1], 7, day=2, shape=(1050, 300))
    assert planned(bundle, *tall).fingerprint != before


@pytest.mark.process
@pytest.mark.kill
def test_the_command_tells_its_dates_and_exit_codes(three, bundle, tmp_path):
    out = tmp_path / "map.tif"
    given = ("--model", bundle, "--precision", "fp32", "--dates")
    done = lulc("classify", *three, out, *given, "--json")
    assert done.returncode == 0, done.stderr
    assert [date["masked_by"] for date in json.loads(done.stdout)["dates"]] == ["SCL 1,3,8,9,10"] * 3
    other = write_date(tmp_path / "other.tif", 1, crs="EPSG:32632")
    refused = lulc("classify", three[0], other, tmp_path / "refused.tif", *given)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (3, 1)
    twice = lulc("classify", three[0], three[0], tmp_path / "refused.tif", *given)
    assert (twice.returncode, len(twice.stderr.splitlines())) == (2, 1)
    assert not (tmp_path / "refused.tif").exists()


@pytest.mark.parametrize(
    ("fields", "ahead"), [({"dates": True}, 0), ({"dates": False}, 1), ({"dates": False, "blend": 8}, 0)]
)
def test_chunks_begin_ahead_only_where_windows_are_finished_by_themselves(scene_file, bundle, fields, ahead):
    scene = scene_file(64, 80)
    chosen = options(bundle, **fields)
    with open_series([scene], chosen) as series:
        job = plan_job(series, load_bundle(bundle), chosen)
    assert job.in_flight == ahead
    assert job.independent == bool(ahead)
