import json
import shutil
import zipfile

import numpy as np
import pytest
import rasterio
from affine import Affine

from lulc.errors import InputError, LulcError
from lulc.grid import Grid, Shape
from lulc.io.cog.check import cog_problems
from lulc.io.product.writer import ProductWriter
from lulc.legend import load_legend
from lulc.model.bundle import read_card
from lulc.model.bundle_files import CARD, WEIGHTS
from lulc.tasks.describe import info
from lulc.tasks.describe.info import describe, is_bundle, shipped_features
from lulc.tasks.describe.product_check import sample_windows

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
LEVELS = (500, 700, 600, 1200, 2200, 2600, 2800, 2000, 1200)
PLACE = Affine(10, 0, 350_000.0, 0, -10, 5_070_000.0)
LEGEND = load_legend("dynamic-world")


def scene_file(path, bands=BANDS, *, shape=(300, 400), add=0, factor=1.0, empty=(), **changes):
    """A plausible vegetated scene; `add` and `factor` spoil its digital numbers, the rows of `empty` have none."""
    rng = np.random.default_rng(0)
    levels = [LEVELS[BANDS.index(band)] if band in BANDS else 1000 for band in bands]
    pixels = np.array(levels)[:, None, None] * rng.uniform(0.6, 1.5, (len(bands), *shape))
    pixels = np.clip(pixels * factor + add, 1, 65_000).astype(np.uint16)
    if empty:
        pixels[:, slice(*empty)] = 0
    profile = {"driver": "GTiff", "dtype": "uint16", "nodata": 0, "crs": "EPSG:32633", "transform": PLACE, **changes}
    with rasterio.open(path, "w", count=len(bands), height=shape[0], width=shape[1], **profile) as raster:
        raster.write(pixels)
        raster.descriptions = bands
        raster.update_tags(REFLECTANCE_SCALE="10000", LEVEL="L2A", ACQUISITION_DATE="2019-04-16")
    return path


def product_file(path, *, spoil=lambda _data: None, activations=True, shape=(600, 700), crs="EPSG:32633"):
    """A product of random activations whose bytes sum to 250, published as `classify` does; `spoil` edits its bytes."""
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.full(len(LEGEND), 0.3), shape).transpose(2, 0, 1)
    steps = np.floor(shares * 250).astype(np.uint8)
    winner = shares.argmax(axis=0)
    rest = 250 - steps.sum(axis=0, dtype=np.int64)
    np.put_along_axis(steps, winner[None], np.take_along_axis(steps, winner[None], 0) + rest.astype(np.uint8), 0)
    data = np.concatenate([winner[None].astype(np.uint8) + 1, steps if activations else steps[:0]])
    data[:, :30] = 255
    spoil(data)
    grid = Grid(rasterio.crs.CRS.from_string(crs) if crs else None, PLACE, Shape(*shape))
    tags = {"LULC_LEGEND": json.dumps(LEGEND.to_table()), "LULC_MODEL": "tiny 1", "LULC_INPUT": "scene.tif"}
    kind = "uint8" if activations else "none"
    writer = ProductWriter(path, grid, LEGEND, activations=kind, tags=tags, fingerprint="f")
    writer.put(0, grid.window, data)
    writer.publish()
    return path


class TestScene:
    def test_what_it_is(self, tmp_path):
        path = scene_file(tmp_path / "scene.tif", empty=(0, 75))
        found = describe([path])
        facts = found.to_json()
        assert (found.kind, facts["height"], facts["width"]) == ("scene", 300, 400)
        assert (facts["crs"], facts["pixel_size"], facts["origin"]) == ("EPSG:32633", [10, 10], [350_000, 5_070_000])
        assert (facts["offset"], facts["quantification"], facts["radiometry_from"]) == (
            0,
            10_000,
            "metadata, which state no offset",
        )
        assert facts["valid_share_sampled"] == pytest.approx(0.75, abs=0.1)
        assert facts["pixel_area_ha"] == pytest.approx(0.01)
        assert [row["band"] for row in facts["bands"]] == list(BANDS)
        assert facts["bands"][2]["p50"] == pytest.approx(0.063, abs=0.003)
        assert json.loads(json.dumps(facts)) == facts

    def test_nothing_wrong(self, tmp_path):
        assert describe([scene_file(tmp_path / "scene.tif")]).problems == ()

    def test_text_is_aligned(self, tmp_path):
        lines = describe([scene_file(tmp_path / "scene.tif")]).to_text().splitlines()
        assert lines[0].endswith("scene.tif: scene")
        assert lines[-1] == "no problem found"
        header = next(line for line in lines if line.startswith("band "))
        rows = lines[lines.index(header) + 1 : -1]
        assert len(rows) == len(BANDS)
        assert {row[header.index("p50") - 1] for row in rows} == {" "}
        assert not any(line != line.rstrip() for line in lines)

    @pytest.mark.parametrize(
        ("spoil", "problem"),
        [
            ({"add": 1000}, "offset -1000"),
            ({"factor": 0.01}, "quantification"),
            ({"factor": 12.0}, "quantification"),
            ({"crs": None, "transform": Affine.identity()}, "no CRS"),
            ({"empty": (0, 300)}, "no sampled pixel has data"),
        ],
    )
    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_what_would_be_wrong(self, tmp_path, spoil, problem):
        problems = describe([scene_file(tmp_path / "scene.tif", **spoil)]).problems
        assert any(problem in text for text in problems), problems

    def test_an_offset_that_does_not_belong(self, tmp_path):
        problems = describe([scene_file(tmp_path / "scene.tif")], offset=-1000).problems
        assert any("offset -1000 does not seem to belong" in text for text in problems)

    def test_bands_that_a_shipped_model_lacks(self, tmp_path, monkeypatch):
        features = {"tiny": next(iter(shipped_features().values()))}
        monkeypatch.setattr(info, "shipped_features", lambda: features)
        found = describe([scene_file(tmp_path / "scene.tif", BANDS[:-1])])
        assert found.problems == ("it lacks B12, needed by the model tiny",)

    def test_names_given(self, tmp_path):
        path = scene_file(tmp_path / "scene.tif", ("", "", ""))
        with pytest.raises(InputError):
            describe([path])
        assert [row["band"] for row in describe([path], bands=("B04", "B03", "B02")).table] == ["B04", "B03", "B02"]

    def test_degrees(self, tmp_path):
        place = Affine(1e-4, 0, 13.0, 0, -1e-4, 45.8)
        facts = describe([scene_file(tmp_path / "scene.tif", crs="EPSG:4326", transform=place)]).facts
        assert facts["pixel_area_ha"] == pytest.approx(1e-8 * 111_150 * 77_700 / 1e4, rel=5e-3)


class TestProduct:
    def test_what_it_is(self, tmp_path):
        found = describe([product_file(tmp_path / "map.tif")])
        facts = found.to_json()
        assert found.kind == "product"
        assert (facts["legend"], facts["model"], facts["input"]) == (LEGEND.title, "tiny 1", "scene.tif")
        assert facts["valid_share"] == pytest.approx(0.95, abs=0.03)
        assert [row["class"] for row in facts["classes"]] == [entry.name for entry in LEGEND]
        assert sum(row["share"] for row in facts["classes"]) == pytest.approx(1, abs=1e-3)
        assert found.problems == ()
        assert found.to_text().splitlines()[-1] == "no problem found"

    def test_shares_are_those_of_all_pixels(self, tmp_path):
        path = product_file(tmp_path / "map.tif")
        with rasterio.open(path) as source:
            codes = source.read(1)
        facts = describe([path]).to_json()
        counts = np.bincount(codes[codes != 255], minlength=1 + len(LEGEND))[1:]
        assert [row["share"] for row in facts["classes"]] == pytest.approx((counts / counts.sum()).tolist(), abs=6e-5)
        assert facts["valid_share"] == pytest.approx((codes != 255).mean(), abs=6e-5)

    def test_what_would_take_long_to_count_is_not_told(self, tmp_path, monkeypatch):
        monkeypatch.setattr("lulc.tasks.describe.product_check._MOST_COUNTED", 1000)
        facts = describe([product_file(tmp_path / "map.tif")]).to_json()
        assert "valid_share" not in facts
        assert all(row.keys() == {"code", "class", "color"} for row in facts["classes"])

    def test_without_activations(self, tmp_path):
        found = describe([product_file(tmp_path / "map.tif", activations=False)])
        assert found.kind == "product"
        assert found.problems == ()

    @pytest.mark.parametrize(
        ("band", "value", "problem"),
        [
            (0, 200, "class codes that are not in its legend"),
            (0, 255, "disagree on where there is no data"),
            (4, 255, "disagree on where there is no data"),
            (4, 249, "do not sum to 1"),
            (4, 249, "not the one with the largest activation"),
        ],
    )
    def test_broken_invariants(self, tmp_path, band, value, problem):
        def spoil(data):
            data[band, 300:310, 300:310] = value

        if (band, value) == (4, 255):

            def spoil(data):
                data[1:, 300:310, 300:310] = 255

        problems = describe([product_file(tmp_path / "map.tif", spoil=spoil)]).problems
        assert any(problem in text for text in problems), problems

    def test_the_table_of_names_is_missed(self, tmp_path):
        path = product_file(tmp_path / "map.tif")
        (tmp_path / "map.tif.aux.xml").unlink()
        assert any("aux.xml is not beside it" in text for text in describe([path]).problems)

    def test_it_is_no_longer_a_cog(self, tmp_path):
        path, plain = product_file(tmp_path / "map.tif"), tmp_path / "plain.tif"
        with rasterio.open(path) as source:
            profile = {**source.profile, "tiled": False, "compress": None}
            for name in ("blockxsize", "blockysize"):
                profile.pop(name)
            with rasterio.open(plain, "w", **profile) as target:
                target.write(source.read())
                target.update_tags(**source.tags())
        problems = describe([plain]).problems
        assert any("not tiled" in text for text in problems)
        assert any("no overviews" in text for text in problems)


class TestModel:
    @pytest.fixture
    def copy(self, bundle, tmp_path):
        return shutil.copytree(bundle, tmp_path / "bundle")

    def test_folder(self, copy):
        found = describe([copy])
        card = read_card(copy)
        facts = found.to_json()
        assert (found.kind, found.problems) == ("model", ())
        assert facts["weights_sha256"] == card.weights_sha256
        assert facts["channels"] == list(card.features.channels)
        assert len(facts["classes"]) == 9
        assert json.loads(json.dumps(facts)) == facts

    def test_zip(self, copy, tmp_path):
        path = tmp_path / "bundle.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in (CARD, WEIGHTS):
                archive.write(copy / name, f"bundle/{name}")
        assert describe([path]).kind == "model"
        assert describe([path]).problems == ()

    def test_other_weights(self, copy):
        weights = bytearray((copy / WEIGHTS).read_bytes())
        weights[-1] ^= 1
        (copy / WEIGHTS).write_bytes(weights)
        assert any("is not the file that card.json describes" in text for text in describe([copy]).problems)

    def test_no_weights(self, copy):
        (copy / WEIGHTS).unlink()
        assert len(describe([copy]).problems) == 1

    @pytest.mark.parametrize("text", ["{", "{}", '{"name": "x"}'])
    def test_a_bad_card(self, copy, text):
        (copy / CARD).write_text(text)
        with pytest.raises(LulcError) as refusal:
            describe([copy])
        assert "\n" not in str(refusal.value)

    def test_a_zip_of_something_else_is_no_bundle(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
            archive.writestr("readme.txt", "hello")
        assert not is_bundle(tmp_path / "other.zip")

    def test_the_shipped_models_are_whole(self):
        from lulc.resources import pretrained_dir

        for name in shipped_features():
            assert describe([pretrained_dir() / name]).problems == ()


@pytest.mark.parametrize("content", [b"", b"hello", b"II*\x00" + bytes(40)])
def test_neither(tmp_path, content):
    path = tmp_path / "thing.tif"
    path.write_bytes(content)
    with pytest.raises(LulcError) as refusal:
        describe([path])
    assert "\n" not in str(refusal.value)


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="there is no"):
        describe([tmp_path / "absent.tif"])


@pytest.mark.parametrize("shape", [(1, 1), (10, 3000), (256, 256), (257, 256), (10_980, 10_980)])
def test_sampled_windows_lie_inside_and_reach_the_corners(shape):
    windows = list(sample_windows(Shape(*shape)))
    assert 1 <= len(windows) <= 16
    assert len(set(windows)) == len(windows)
    assert min(window.row for window in windows) == min(window.col for window in windows) == 0
    assert (max(window.row_end for window in windows), max(window.col_end for window in windows)) == shape


def test_cog_check_agrees_with_the_validator(tmp_path):
    validate = pytest.importorskip("rio_cogeo").cog_validate
    path = product_file(tmp_path / "map.tif")
    assert cog_problems(path) == []
    assert validate(path, strict=True, quiet=True)[0]


class TestRealScenes:
    @pytest.mark.parametrize(
        ("name", "problems"),
        [
            ("aber_s2_20210527_10band.tif", 0),
            ("aquileia_20190416_l2a_12band.tif", 0),
            ("australia_20181201_l2a_12band.tif", 0),
            ("australia_20190105_l2a_10band.tif", 1),
        ],
    )
    def test_no_false_alarm(self, data, name, problems):
        found = describe([data / "scenes" / name])
        assert len(found.problems) == problems, found.problems  # B12 is what dw9-s2-10m needs

    def test_the_scale_of_a_thousand_is_noticed_when_not_told(self, data):
        found = describe([data / "scenes" / "aber_s2_20210527_10band.tif"], quantification=100)
        assert any("quantification" in text for text in found.problems)


def test_a_shipped_model_is_described_by_its_name():
    found = describe(["dw9-s2-10m"])
    assert (found.kind, found.problems) == ("model", ())
    assert found.to_text().splitlines()[0].endswith("dw9-s2-10m: model")


def test_indices_alone_say_nothing_of_the_scale(tmp_path):
    path = scene_file(tmp_path / "ndvi.tif", ("NDVI",))
    assert all("needed by the model" in problem for problem in describe([path]).problems)


def test_patches_of_which_none_can_be_read(tmp_path):
    for name in "AB":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"no image")
    found = describe([tmp_path])
    assert found.facts == {"patches": 2, "looked_at": 2}
    assert found.problems[0].startswith("2 of 2 looked at are refused; ")
