"""Prepare: real scenes and made ones become sets without leaks, and whatever is wrong is said in a line."""

import json
import re

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from lulc.errors import InputError, StorageError, UsageError
from lulc.io.labels.training_set import open_training_set
from lulc.legend import load_legend
from lulc.tasks.dataset.chip_writer import ChannelStatistics
from lulc.tasks.dataset.options import PrepareOptions
from lulc.tasks.dataset.prepare import prepare
from tests.support.unfinished import left_unfinished

BANDS = ("B02", "B03", "B04", "B08")
UTM = CRS.from_epsg(32632)


def options(**changes):
    return PrepareOptions(
        **{"legend": "worldcover", "chip": 32, "block": 640, "gap": 50, "min_labelled": 0.05, **changes}
    )


def write(path, pixels, *, crs=UTM, corner=(500_000, 5_000_000), size=10, names=None, nodata=None, driver="GTiff"):
    pixels = np.asarray(pixels)
    with rasterio.open(
        path,
        "w",
        driver=driver,
        count=len(pixels),
        height=pixels.shape[1],
        width=pixels.shape[2],
        dtype=pixels.dtype,
        nodata=nodata,
        **({"crs": crs, "transform": from_origin(*corner, size, size)} if crs else {}),
    ) as target:
        target.write(pixels)
        for band, name in enumerate(names or (), 1):
            target.set_band_description(band, name)
    return path


@pytest.fixture
def scene(tmp_path):
    """320 x 384 pixels of four bands, DN that tell row and column, a corner without data."""
    rows, columns = np.mgrid[:320, :384]
    pixels = np.stack([1000 + rows, 1000 + columns, 500 + rows, 3000 + columns]).astype(np.uint16)
    pixels[:, :20, :40] = 0
    return write(tmp_path / "scene.tif", pixels, names=BANDS)


@pytest.fixture
def labels(tmp_path):
    """Three classes in patches, at 10 m, on the same grid."""
    values = np.random.default_rng(0).choice(np.array([10, 40, 80], np.uint8), (20, 24))
    return write(tmp_path / "labels.tif", np.kron(values, np.ones((16, 16), np.uint8))[None])


def labelled(data, shape):
    """Which split labels each pixel: 0 none, 1 train, 2 val, 3 test."""
    canvas = np.zeros(shape, int)
    for chip in data.chips:
        part = canvas[chip.row : chip.row + chip.height, chip.col : chip.col + chip.width]
        known = data.label(chip)[0] != 255
        assert not part[known].any(), "a pixel is labelled twice"
        part[known] = 1 + ("train", "val", "test").index(chip.split)
    return canvas


def least_gap(canvas):
    """Least distance, in pixels, between labels of different splits (centre to centre)."""
    return min(distance_transform_edt(canvas != split)[(canvas > 0) & (canvas != split)].min() for split in (1, 2, 3))


@pytest.mark.parametrize("files", ["tif", "npy", "nc"])
def test_chips_are_the_scene_and_its_labels(tmp_path, scene, labels, files):
    report = prepare([scene], [labels], tmp_path / "set", options(files=files, indices=("NDVI",)))
    data = open_training_set(tmp_path / "set")
    assert report.chips == {split: len(data.split(split)) for split in ("train", "val", "test")}
    with rasterio.open(scene) as source, rasterio.open(labels) as reference:
        reflectance, values = source.read() / 1e4, reference.read(1)
    for chip in data.chips:
        part = slice(chip.row, chip.row + 32), slice(chip.col, chip.col + 32)
        image, label = data.image(chip), data.label(chip)[0]
        valid = (reflectance[:, *part] > 0).any(0)
        np.testing.assert_allclose(image[:4, valid], reflectance[:, *part][:, valid], atol=1e-6)
        assert np.isnan(image[:, ~valid]).all()
        ndvi = (image[3] - image[2]) / (image[3] + image[2])
        np.testing.assert_allclose(image[4], ndvi, atol=1e-6)
        expected = np.select([values[part] == 10, values[part] == 40], [1, 4], 8)
        known = label != 255
        assert (label[known] == expected[known]).all()
        assert not known[~valid].any()
        assert chip.pixels == tuple(int((label == code).sum()) for code in range(1, 12))


@pytest.mark.parametrize("gap", [0, 50, 100, 155])
def test_labels_of_different_splits_keep_their_distance(tmp_path, scene, labels, gap):
    report = prepare([scene], [labels], tmp_path / "set", options(gap=gap))
    data = open_training_set(tmp_path / "set")
    canvas = labelled(data, (320, 384))
    assert least_gap(canvas) >= max(1, gap / 10)
    # and not much more ground than that is given up
    lost = (canvas == 0) & ~((np.mgrid[:320, :384][0] < 20) & (np.mgrid[:320, :384][1] < 40))
    assert report.masked <= lost.sum()
    near_another = np.zeros(canvas.shape, bool)
    for split in (1, 2, 3):
        near_another |= (distance_transform_edt(canvas != split) <= gap / 10 + 1) & (canvas != split)
    assert (lost & ~near_another).sum() < 0.03 * canvas.size


@pytest.mark.parametrize("corner", [(500_000, 5_000_000), (300_000, 6_500_000)])
def test_a_gap_of_zero_masks_no_label_of_one_scene(tmp_path, corner):
    rows, columns = np.mgrid[:320, :384]
    scene = write(
        tmp_path / "scene.tif",
        np.stack([1000 + rows, 1000 + columns]).astype(np.uint16),
        names=BANDS[:2],
        corner=corner,
    )
    labels = write(
        tmp_path / "labels.tif", np.where((rows + columns) % 2, 10, 40).astype(np.uint8)[None], corner=corner
    )
    report = prepare([scene], [labels], tmp_path / "set", options(gap=0))
    assert report.masked == 0
    assert (labelled(open_training_set(tmp_path / "set"), (320, 384)) > 0).all()


def test_a_class_that_may_be_any_of_several_labels_nothing_and_is_told(tmp_path, scene):
    """Esri's rangeland (11) is grass or shrub: half of these labels teach neither."""
    values = np.where(np.mgrid[:320, :384][1] % 2, 11, 2).astype(np.uint8)
    labels = write(tmp_path / "esri.tif", values[None])
    report = prepare([scene], [labels], tmp_path / "set", options(legend="esri", to="dynamic-world", gap=0))
    assert "esri's rangeland may be grass or shrub & scrub: not labelled" in report.warnings
    data = open_training_set(tmp_path / "set")
    trees = load_legend("dynamic-world").names.index("trees")
    counts = sum(data.class_pixels(split) for split in ("train", "val", "test"))
    dropped = 12 * 32  # what the corner without data leaves of its chip
    assert counts[trees] == (320 * 384 - 20 * 40 - dropped) // 2
    assert counts.sum() == counts[trees]


def test_blocks_stay_whole(tmp_path, scene, labels):
    prepare([scene], [labels], tmp_path / "set", options())
    by_block = {}
    for chip in open_training_set(tmp_path / "set").chips:
        by_block.setdefault(chip.block, set()).add(chip.split)
    assert all(len(splits) == 1 for splits in by_block.values())


def test_two_dates_of_one_place_share_its_split(tmp_path, scene, labels):
    with rasterio.open(scene) as source:
        moved = write(tmp_path / "later.tif", source.read() + np.uint16(7), names=BANDS)
    prepare([scene, moved], [labels], tmp_path / "set", options(gap=0))
    data = open_training_set(tmp_path / "set")
    splits = {}
    for chip in data.chips:
        splits.setdefault((chip.row, chip.col), set()).add(chip.split)
    assert all(len(found) == 1 for found in splits.values())


def test_overlapping_scenes_in_two_zones_share_splits(tmp_path, scene, labels):
    """The same ground in UTM 32 and 31: chips of different splits stay apart on the ground."""
    with rasterio.open(scene) as source:
        other = np.zeros((4, 400, 460), np.uint16)
        corner = (971_400, 5_017_800)
        reproject(
            source.read(),
            other,
            src_transform=source.transform,
            src_crs=UTM,
            dst_transform=from_origin(*corner, 10, 10),
            dst_crs=CRS.from_epsg(32631),
            resampling=Resampling.nearest,
        )
    west = write(tmp_path / "west.tif", other, crs=CRS.from_epsg(32631), corner=corner, names=BANDS)
    prepare([scene, west], [labels], tmp_path / "set", options(gap=200))
    data = open_training_set(tmp_path / "set")
    assert {chip.source for chip in data.chips} == {"scene", "west"}
    from pyproj import Transformer

    move = Transformer.from_crs(32631, 32632, always_xy=True)
    places, splits = [], []
    for chip in data.chips:
        x0, y0 = (500_000, 5_000_000) if chip.source == "scene" else corner
        rows, columns = np.nonzero(data.label(chip)[0] != 255)
        x, y = x0 + 10 * (chip.col + columns + 0.5), y0 - 10 * (chip.row + rows + 0.5)
        places.append(np.column_stack(move.transform(x, y) if chip.source == "west" else (x, y)))
        splits += [chip.split] * len(x)
    places, splits = np.concatenate(places), np.array(splits)
    for split in set(splits):
        away, _ = cKDTree(places[splits == split]).query(places[splits != split])
        assert away.min() > 200 * 0.99


def test_statistics_are_those_of_the_training_pixels(tmp_path, scene, labels):
    prepare([scene], [labels], tmp_path / "set", options())
    data = open_training_set(tmp_path / "set")
    pixels = np.concatenate([data.image(chip).reshape(4, -1) for chip in data.split("train")], axis=1).astype(float)
    np.testing.assert_allclose(data.card.features.mean, np.nanmean(pixels, axis=1), rtol=1e-5)
    np.testing.assert_allclose(data.card.features.std, np.nanstd(pixels, axis=1), rtol=1e-4)


def test_statistics_survive_a_large_mean():
    values = np.random.default_rng(0).normal(1000, 0.01, (1, 10, 64, 64)).astype(np.float64)
    statistics = ChannelStatistics()
    for chip in values[0]:
        statistics.feed(chip[None])
    mean, std = statistics.result()
    assert mean[0] == pytest.approx(values.mean())
    assert std[0] == pytest.approx(values.std(), rel=1e-4)


def test_labels_are_translated_by_a_crosswalk(tmp_path, scene, labels):
    prepare([scene], [labels], tmp_path / "set", options(to="dynamic-world"))
    data = open_training_set(tmp_path / "set")
    assert data.card.classes.name == "dynamic-world"
    seen = {int(code) for chip in data.chips for code in np.unique(data.label(chip))}
    assert seen - {255} == {1, 2, 5}


def test_soft_labels_keep_their_shares(tmp_path, data):
    scenes = data / "scenes/aquileia_20190416_l2a_12band.tif"
    soft = data / "segmentation/scene_labels/aquileia_20190416_dw_percent.tif"
    chosen = options(legend="dynamic-world", select=BANDS, chip=64, block=2000, gap=100)
    prepare([scenes], [soft], tmp_path / "set", chosen)
    done = open_training_set(tmp_path / "set")
    assert done.card.labels == "shares"
    chip = done.split("train")[0]
    with rasterio.open(soft) as source:
        window = ((chip.row, chip.row + 64), (chip.col, chip.col + 64))
        percent = source.read(window=window).astype(float)
    label = done.label(chip)
    known = label[0] != 255
    shares = label[:, known] / label[:, known].sum(0)
    np.testing.assert_allclose(shares, percent[:, known] / percent[:, known].sum(0), atol=0.015)  # steps of 1/250


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_folders_of_pictures_and_colour_masks(tmp_path):
    """DeepGlobe's layout: N_sat.jpg and N_mask.png in one folder, no georeference."""
    from lulc.legend import load_legend

    legend = load_legend("deepglobe")
    colors = np.array([entry.rgb for entry in legend] + [(0, 0, 0)], np.uint8)
    folder = tmp_path / "land"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        classes = np.kron(rng.integers(0, 7, (4, 4)), np.ones((32, 32), int))
        write(folder / f"{number}_mask.png", colors[classes].transpose(2, 0, 1), crs=None, driver="PNG")
        picture = np.clip(colors[classes].transpose(2, 0, 1) * 0.5 + 40, 0, 255).astype(np.uint8)
        write(folder / f"{number}_sat.jpg", picture, crs=None, driver="JPEG")
    chosen = options(legend="deepglobe", bands=("B04", "B03", "B02"), quantification=255, chip=64, block=128, gap=0)
    prepare([folder], [folder], tmp_path / "set", chosen)
    done = open_training_set(tmp_path / "set")
    assert len(done.chips) == 24
    assert set(done.card.planes) == {"B02", "B03", "B04"}
    by_source = {}
    for chip in done.chips:
        by_source.setdefault(chip.source, set()).add(chip.split)
    assert all(len(splits) == 1 for splits in by_source.values())
    chip = done.chips[0]
    with rasterio.open(folder / f"{chip.source.split('_')[0]}_mask.png") as source:
        mask = source.read(window=((chip.row, chip.row + 64), (chip.col, chip.col + 64)))
    label = done.label(chip)[0]
    for code, color in enumerate(colors, 1):
        assert ((mask == color[:, None, None]).all(0) == (label == (code if code < 7 else 255))).all()


def test_chips_that_others_made(tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        np.save(images / f"{number}.npy", rng.random((4, 32, 32)).astype(np.float32))
        np.save(masks / f"{number}.npy", rng.choice(np.array([10, 40], np.uint8), (32, 32)))
    prepare([images], [masks], tmp_path / "set", options(bands=BANDS))
    assert len(open_training_set(tmp_path / "set").chips) == 5
    np.save(images / "lonely.npy", rng.random((4, 32, 32)))
    with pytest.raises(InputError, match=r"lonely\.npy has no label"):
        prepare([images], [masks], tmp_path / "other", options(bands=BANDS))


def test_the_report_says_what_was_made(tmp_path, scene, labels):
    report = prepare([scene], [labels], tmp_path / "set", options())
    assert json.loads(json.dumps(report.to_json()))["chips"] == report.chips
    text = (tmp_path / "set/report.md").read_text()
    assert re.search(r"^\| tree cover +\|", text, re.MULTILINE)
    assert f"masked {report.masked:,d} labels closer than 50 m" in text
    assert (tmp_path / "set/blocks.png").read_bytes().startswith(b"\x89PNG")
    assert any("does not occur" in warning for warning in report.warnings)


def test_the_same_seed_makes_the_same_set(tmp_path, scene, labels):
    for name in ("one", "other"):
        prepare([scene], [labels], tmp_path / name, options(seed=3))
    assert (tmp_path / "one/chips.csv").read_text() == (tmp_path / "other/chips.csv").read_text()
    prepare([scene], [labels], tmp_path / "third", options(seed=4))
    assert (tmp_path / "one/chips.csv").read_text() != (tmp_path / "third/chips.csv").read_text()


def test_nothing_is_replaced_unless_asked_and_never_something_else(tmp_path, scene, labels):
    prepare([scene], [labels], tmp_path / "set", options())
    with pytest.raises(StorageError, match="--overwrite"):
        prepare([scene], [labels], tmp_path / "set", options())
    prepare([scene], [labels], tmp_path / "set", options(overwrite=True, chip=64))
    assert open_training_set(tmp_path / "set").chips[0].height == 64
    (tmp_path / "mine").mkdir()
    with pytest.raises(StorageError, match="something else"):
        prepare([scene], [labels], tmp_path / "mine", options(overwrite=True))


def test_a_failure_leaves_nothing_behind(tmp_path, scene, labels):
    before = sorted(path.name for path in tmp_path.iterdir())
    cases = [
        (options(legend="corine-3"), "does not know"),
        (options(block=100_000), "--block"),
        (options(gap=100_000), "--gap"),
        (options(select=("B11",)), "has no B11"),
        (options(min_labelled=1.0, max_nodata=0.0, chip=4096), "no chip can be cut"),
    ]
    for chosen, message in cases:
        with pytest.raises(InputError, match=message):
            prepare([scene], [labels], tmp_path / "set", chosen)
    with pytest.raises(UsageError, match="2 scenes and 3 labels"):
        prepare([scene, scene], [labels] * 3, tmp_path / "set", options())
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_labels_elsewhere_are_said_to_cover_nothing(tmp_path, scene):
    far = write(tmp_path / "far.tif", np.full((1, 50, 50), 10, np.uint8), corner=(700_000, 5_000_000))
    with pytest.raises(InputError, match="check that the labels cover the scenes"):
        prepare([scene], [far], tmp_path / "set", options())


def test_splits_stay_apart_across_the_antimeridian(tmp_path):
    """A scene of UTM 60 S that crosses 180 degrees, and the same ground in UTM 1 S."""
    from pyproj import Transformer

    rng = np.random.default_rng(0)
    corner = Transformer.from_crs(4326, 32760, always_xy=True).transform(179.985, -17.0)
    values = np.kron(rng.choice(np.array([10, 40], np.uint8), (20, 24)), np.ones((16, 16), np.uint8))[None]
    pixels = rng.integers(500, 3000, (4, 320, 384)).astype(np.uint16)
    place = {"crs": CRS.from_epsg(32760), "corner": corner}
    west = write(tmp_path / "west.tif", pixels, names=BANDS, **place)
    known = write(tmp_path / "known.tif", values, **place)
    other = Transformer.from_crs(4326, 32701, always_xy=True).transform(179.99, -17.005)
    east = write(tmp_path / "east.tif", pixels, names=BANDS, crs=CRS.from_epsg(32701), corner=other)
    prepare([west, east], [known], tmp_path / "set", options(gap=320, chip=16, block=640, min_labelled=0))
    data = open_training_set(tmp_path / "set")
    places, splits = [], []
    for chip in data.chips:
        zone, (x0, y0) = (32760, corner) if chip.source == "west" else (32701, other)
        rows, columns = np.nonzero(data.label(chip)[0] != 255)
        move = Transformer.from_crs(zone, 4978, always_xy=True)  # metres from the centre of the Earth
        x, y = x0 + 10 * (chip.col + columns + 0.5), y0 - 10 * (chip.row + rows + 0.5)
        places.append(np.column_stack(move.transform(x, y, np.zeros(len(x)))))
        splits += [chip.split] * len(x)
    places, splits = np.concatenate(places), np.array(splits)
    assert {chip.source for chip in data.chips} == {"west", "east"}
    for split in set(splits):
        away, _ = cKDTree(places[splits == split]).query(places[splits != split])
        assert away.min() > 320


def test_scenes_of_one_name_keep_their_own_chips(tmp_path, scene, labels):
    paths = []
    for folder in ("x", "y", "z"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / ("scene-2.tif" if folder == "x" else "scene.tif")
        path.write_bytes(scene.read_bytes())
        paths.append(path)
    prepare(paths, [labels], tmp_path / "set", options(gap=0))
    data = open_training_set(tmp_path / "set")
    assert len({chip.source for chip in data.chips}) == 3
    assert len(list((tmp_path / "set" / "images").iterdir())) == len(data.chips)


def test_inputs_and_other_files_inside_the_output_are_never_removed(tmp_path, scene, labels):
    prepare([scene], [labels], tmp_path / "set", options())
    (tmp_path / "set/notes.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"notes\.txt"):
        prepare([scene], [labels], tmp_path / "set", options(overwrite=True))
    (tmp_path / "set/notes.txt").unlink()
    inside = tmp_path / "set/images/scene.tif"
    inside.write_bytes(scene.read_bytes())
    with pytest.raises(StorageError, match=r"scene\.tif"):
        prepare([inside], [labels], tmp_path / "set", options(overwrite=True))
    assert inside.exists()


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path, scene, labels):
    orphan = left_unfinished(tmp_path / "set", bytes(10))
    prepare([scene], [labels], tmp_path / "set", options())
    assert not orphan.exists()


def test_shares_below_zero_are_refused_and_steps_sum_to_a_whole(tmp_path, scene):
    shares = np.random.default_rng(0).dirichlet(np.ones(9), (320, 384)).transpose(2, 0, 1).astype(np.float32)
    soft = write(tmp_path / "soft.tif", shares)
    prepare([scene], [soft], tmp_path / "set", options(legend="dynamic-world"))
    data = open_training_set(tmp_path / "set")
    label = data.label(data.chips[0])
    assert set(label.sum(0, dtype=int)[label[0] != 255]) == {250}
    shares[3, 50, 50] = -0.2
    with pytest.raises(InputError, match="below 0"):
        prepare([scene], [write(tmp_path / "bad.tif", shares)], tmp_path / "other", options(legend="dynamic-world"))


def test_uneven_splits_empty_scenes_and_lost_edges_are_told(tmp_path, scene, labels):
    far = write(tmp_path / "far.tif", np.full((4, 64, 64), 900, np.uint16), corner=(600_000, 5_000_000), names=BANDS)
    report = prepare([scene, far], [labels], tmp_path / "set", options(chip=100, block=1700))
    told = " ".join(report.warnings)
    assert "far.tif gives no chip" in told
    assert "% of scene.tif lies in strips at its edges" in told
    even = prepare([scene], [labels], tmp_path / "even", options(chip=16, block=320, gap=0))
    assert not any("follows --fractions" in warning for warning in even.warnings)
    shares = {split: sum(pixels) for split, pixels in even.pixels.items()}
    assert shares["train"] / sum(shares.values()) == pytest.approx(0.7, abs=0.05)


def test_eight_bit_pictures_are_reflectance_over_255(tmp_path, labels):
    pixels = np.random.default_rng(0).integers(1, 256, (3, 320, 384)).astype(np.uint8)
    picture = write(tmp_path / "picture.tif", pixels, names=("B04", "B03", "B02"))
    prepare([picture], [labels], tmp_path / "set", options())
    data = open_training_set(tmp_path / "set")
    assert data.image(data.chips[0]).max() == pytest.approx(1.0, abs=0.02)


def test_scenes_of_other_bands_and_a_file_in_the_way_are_refused(tmp_path, scene, labels):
    with rasterio.open(scene) as source:
        less = write(tmp_path / "less.tif", source.read()[:3], names=BANDS[:3])
    with pytest.raises(InputError, match=r"less\.tif offers B02, B03, B04, the first scene B02, B03, B04, B08"):
        prepare([scene, less], [labels, labels], tmp_path / "set", options())
    (tmp_path / "set").write_text("mine")
    with pytest.raises(StorageError, match="set is a file; a training set is a folder"):
        prepare([scene], [labels], tmp_path / "set", options())


def test_an_index_that_the_scene_holds_is_kept_as_it_is(tmp_path, labels):
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0.1, 0.4, (3, 320, 384)).astype(np.float32)
    prepare([write(tmp_path / "own.tif", pixels, names=("B04", "B08", "NDVI"))], [labels], tmp_path / "set",
            options(indices=("NDVI",), select=("B04", "B08")))  # fmt: skip
    data = open_training_set(tmp_path / "set")
    chip = data.chips[0]
    image = data.image(chip)
    np.testing.assert_array_equal(image[2], pixels[2, chip.row : chip.row + 32, chip.col : chip.col + 32])
