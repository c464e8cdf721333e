"""The recipe of the shipped model: what is trained on, and how figures are made."""

import tomllib

import numpy as np
import pytest
import torch
from agreement import Place, calibration_error, macro_f1
from coarse import COARSE, LEAST_SIDE, coarser
from data import BANDS, CLASSES, LABEL_NODATA, Patch, Points, corrected, placed_chips, point_mosaics
from distil import IMAGINED, TEACHER_SHARE, imagined, taught
from other_labels import long_things
from prepare import SHARES, SetOptions, place_weights
from skies import CLEAR, CLOUD, SHADOW, UNKNOWN, Sky, crop_of, with_painted_clouds
from soup import in_terms_of, mean_weights
from stability import CHANGES, kept
from student import Student
from thin import COLOURS, THIN, painted_things
from train import HERE, MEAN_OF, settings_of

from lulc.features import FeatureSpec
from lulc.model.spectral_unet import SpectralUnet

pytestmark = pytest.mark.torch

WATER, TREES, CROPS, SNOW = (CLASSES.index(name) for name in ("water", "trees", "crops", "snow_and_ice"))


def patch(place="somewhere", winner=TREES, second=WATER, side=12, cover="", level="L2A"):
    image = np.full((len(BANDS), side, side), 1000, np.uint16)
    percent = np.full((len(CLASSES), side, side), 2, np.uint8)
    percent[second], percent[winner] = 26, 60
    return Patch(place, "one", level, image, percent, cover)


def test_snow_is_dropped_where_there_is_none():
    assert not corrected(patch(winner=SNOW)).usable.any()
    assert corrected(patch("greenland_ice", winner=SNOW)).usable.all()
    assert corrected(patch(winner=TREES)).usable.all()


def test_crops_of_the_rangeland_become_what_is_next():
    found = corrected(patch("botswana_savanna", winner=CROPS, second=TREES))
    assert (found.percent.argmax(axis=0) == TREES).all()
    assert (corrected(patch(winner=CROPS)).percent.argmax(axis=0) == CROPS).all()


def test_green_crops_of_irish_pasture_are_dropped():
    green = patch("ben_20170617T113321_4_55", winner=CROPS)
    green.image[BANDS.index("B04")] = 200
    green.image[BANDS.index("B08"), :, :6] = 4000
    assert not corrected(green).usable[:, :6].any()
    assert corrected(green).usable[:, 6:].all()


def chips(path, corners):
    count = len(corners)
    number = np.arange(1, count + 1, dtype=np.uint16)[:, None, None, None]
    np.savez(
        path,
        image=np.broadcast_to(number, (count, 9, 64, 64)),
        label=np.broadcast_to(number.astype(np.uint8), (count, 9, 64, 64)),
        bands=np.array(BANDS),
        classes=np.array(CLASSES),
        place=np.array(["there"] * count),
        level=np.array(["L1C"] * count),
        source=np.array(["image.tif"] * count),
        date=np.array(["2020"] * count),
        row=np.array([row for row, _ in corners], np.int16),
        col=np.array([col for _, col in corners], np.int16),
    )
    return [*placed_chips(path)]


def test_chips_of_one_image_are_put_together_again(tmp_path):
    (found,) = chips(tmp_path / "a.npz", [(64, 64), (64, 128), (128, 64)])
    assert found.image.shape == (9, 128, 128)
    assert [int(found.image[0, row, col]) for row, col in ((0, 0), (0, 64), (64, 0), (64, 64))] == [1, 2, 3, 0]
    np.testing.assert_array_equal(found.usable, found.image[0] > 0)


def test_scattered_chips_stay_alone(tmp_path):
    found = chips(tmp_path / "a.npz", [(0, 0), (192, 192)])
    assert [part.image.shape for part in found] == [(9, 64, 64)] * 2


def test_survey_points_become_even_tiles_of_their_class():
    codes = np.array([WATER, TREES, CROPS] * 64)
    reflectance = (codes[:, None] * np.ones(9) / 100 + 0.01).astype(np.float32)
    mosaics = point_mosaics(Points(reflectance, codes))
    assert len(mosaics) == 3
    for mosaic in mosaics:
        named = mosaic.percent.argmax(axis=0)
        assert set(np.unique(named)) <= {WATER, TREES, CROPS}
        np.testing.assert_allclose(mosaic.image[4], named * 100 + 100, atol=1)
        assert (named[:8, :8] == named[0, 0]).all()
        assert set(np.unique(mosaic.percent.sum(axis=0))) == {100}


def test_made_samples_are_drawn_as_often_as_asked():
    places = ("a", *SHARES)
    weights = place_weights({"b": [patch("b", side=30)]} | {place: [patch(place)] for place in places})
    for place, share in SHARES.items():
        assert weights[place] / sum(weights.values()) == pytest.approx(share)
    assert weights["b"] / weights["a"] == pytest.approx(30 / 12)


def place(agree, total, name="a"):
    teacher = np.zeros((total, 9), np.float32)
    teacher[:, TREES] = 1
    logits = np.zeros((total, 9), np.float32)
    logits[:agree, TREES], logits[agree:, WATER] = 3, 3
    return Place(name, logits, teacher)


def test_each_place_has_one_vote():
    few, many = place(10, 10), place(0, 1000)
    assert (few.agreement, many.agreement) == (1, 0)
    mean, f1 = macro_f1([few, many])
    assert f1 == {"trees": pytest.approx(2 / 3)}  # half of all trees are found, and nothing else is called so
    assert mean == f1["trees"]


def test_the_calibration_error_is_the_gap_between_confidence_and_truth():
    logits = torch.log(torch.tensor([[0.8, 0.2]])).repeat(100, 1)
    truth = torch.tensor([0] * 60 + [1] * 40)
    assert calibration_error(logits, truth) == pytest.approx(0.2, abs=1e-6)
    assert calibration_error(logits, truth, temperature=float(np.log(4) / np.log(1.5))) == pytest.approx(0, abs=1e-6)


def test_a_long_thing_is_found_by_its_extent():
    line, dots = np.full((64, 64), TREES), np.full((64, 64), TREES)
    for step in range(45):
        line[step, step] = WATER
    dots[::3, ::3] = WATER
    river = patch(cover="River", side=64)
    highway = patch(cover="Highway", side=64)
    found = long_things([river, river, highway], [line, dots, dots])
    assert found == {"River": 0.5, "Highway": 0.0}


class Brightness(torch.nn.Module):
    """Names a pixel by its first band alone."""

    output_stride = 1

    def forward(self, image):
        first = image[:, :1]
        return torch.cat([first - 0.2, 0.2 - first, *[torch.full_like(first, -9)] * 7], dim=1)


@pytest.mark.parametrize("change", CHANGES)
def test_a_network_of_one_pixel_keeps_its_classes_but_in_other_light(change):
    spec = FeatureSpec(bands=BANDS, indices=(), mean=(0.0,) * 9, std=(1.0,) * 9)
    speckled = patch(side=40)
    speckled.image[0] = np.random.default_rng(0).integers(1000, 3000, (40, 40))
    same = kept(Student("one pixel", Brightness(), spec), [speckled])[change]
    assert same == 1 if change in {"shift 1 px", "turn 90"} else 0.7 < same < 1


def brightness():
    return Student("one pixel", Brightness(), FeatureSpec(bands=BANDS, indices=(), mean=(0.0,) * 9, std=(1.0,) * 9))


def test_a_student_has_its_share_of_a_label_and_all_where_the_teacher_is_not_heard():
    given = patch(winner=TREES, side=24)
    given.image[0] = 9000  # water to the student, with a probability of 0.8
    given.percent[:, :6] = LABEL_NODATA
    given.image[:, :, -3:] = 0
    found = taught(given, [brightness()])
    ours = float(torch.tensor([0.7, -0.7, *[-9.0] * 7]).softmax(0)[0])
    heard, unheard = found.percent[:, 10, 5], found.percent[:, 2, 5]
    assert heard[WATER] == round(100 * ((1 - TEACHER_SHARE) * ours + TEACHER_SHARE * 26 / 100))
    assert heard[TREES] == pytest.approx(100 * ((1 - TEACHER_SHARE) * (1 - ours) + TEACHER_SHARE * 60 / 100), abs=1)
    assert unheard[WATER] == round(100 * ours)
    assert (found.percent[:, :, -3:] == LABEL_NODATA).all()


def test_imagined_images_are_labelled_as_the_students_see_them():
    patches = [patch("a", side=24), patch("b", side=160)]
    patches[1].image[0] = 5000
    for made in imagined(patches, [brightness()], 12, np.random.default_rng(0)):
        logit = made.image[0] / 10000.0 - 0.2
        expected = torch.tensor(np.stack([logit, -logit, *[np.full_like(logit, -9)] * 7])).softmax(0).numpy()
        assert (made.place, made.image.shape) == (IMAGINED, (9, 128, 128))
        np.testing.assert_allclose(made.percent, 100 * expected, atol=0.51)


def clear(side=96, reflectance=0.1):
    image = np.full((len(BANDS), side, side), reflectance, np.float32)
    return Sky("somewhere", "L1C", image, np.full((side, side), CLEAR, np.uint8))


def test_painted_clouds_are_bright_their_shadows_dark_and_the_rest_is_untouched():
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(20):
        painted = with_painted_clouds(clear(), random)
        blue, infrared = painted.image[0], painted.image[BANDS.index("B08")]
        seen |= set(np.unique(painted.codes))
        assert (blue[painted.codes == CLOUD] > 0.15).all()
        assert (infrared[painted.codes == SHADOW] < 0.105).all()
        np.testing.assert_allclose(painted.image[:, painted.codes == CLEAR], 0.1, atol=0.03)  # thin edges
    assert seen == {CLEAR, CLOUD, SHADOW, UNKNOWN}


def test_no_shadow_is_claimed_on_dark_water():
    random = np.random.default_rng(1)
    assert not any((with_painted_clouds(clear(reflectance=0.03), random).codes == SHADOW).any() for _ in range(10))


def test_a_square_of_a_small_image_is_mirrored():
    square = crop_of(clear(side=40), 128, np.random.default_rng(0))
    assert square.image.shape == (9, 128, 128)
    assert square.codes.shape == (128, 128)


def statistics(mean, std):
    return FeatureSpec(bands=BANDS, indices=(), mean=(mean,) * 9, std=(std,) * 9)


def test_a_network_in_terms_of_other_statistics_answers_as_before():
    torch.manual_seed(0)
    network, changed = SpectralUnet(9, 9).eval(), SpectralUnet(9, 9).eval()
    changed.load_state_dict(network.state_dict())
    in_terms_of(changed, statistics(0.1, 0.08), statistics(0.12, 0.1))
    reflectance = torch.rand(1, 9, 160, 160) * 0.4
    inner = (..., slice(48, -48), slice(48, -48))
    with torch.inference_mode():
        before, after = network((reflectance - 0.1) / 0.08)[inner], changed((reflectance - 0.12) / 0.1)[inner]
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_the_mean_of_weights_is_of_one_network():
    small, large = SpectralUnet(9, 9).state_dict(), SpectralUnet(9, 9, full=24).state_dict()
    doubled = {name: 3 * tensor for name, tensor in small.items()}
    mean = mean_weights([small, doubled])
    torch.testing.assert_close(mean["head.weight"], 2 * small["head.weight"])
    with pytest.raises(ValueError, match="not of one network"):
        mean_weights([small, large])


def test_every_run_can_be_read_and_stands_on_what_is_made_before(tmp_path):
    plan = tomllib.loads((HERE / "runs.toml").read_text())
    made = {"version-1.1"}
    for name, changes in plan["runs"].items():
        options = SetOptions(**plan["sets"][changes["set"]])
        settings = settings_of(changes, tmp_path, tmp_path / "set")
        assert {*options.students, changes.get("start", "version-1.1")} <= made
        assert settings.fit.steps == changes.get("fit.steps", 2500)
        made.add(name)
    assert set(MEAN_OF) <= made


def test_a_painted_thing_has_its_own_colour_and_label():
    lenders = [patch(name, winner=CLASSES.index(name), side=24) for name in COLOURS]
    for number, lender in enumerate(lenders):
        lender.image[:] = 3000 + 500 * number
    host = patch("forest", side=140)
    hosts = [host, *lenders]
    widths = set()
    for made in painted_things(hosts, 12, np.random.default_rng(0)):
        assert (made.place, made.image.shape) == (THIN, (9, 128, 128))
        known = made.percent[0] != LABEL_NODATA
        named = made.percent.argmax(axis=0)
        for number, name in enumerate(COLOURS):
            here = known & (named == CLASSES.index(name))
            widths.add(bool(here.any()))
            assert (made.image[6][here] > 1000 + 0.5 * (2000 + 500 * number) * 0.5).all()
        assert (made.image[6][known & (named == TREES)] < 2000).all()
    assert widths == {True, False}


def test_a_coarser_image_holds_the_means_of_what_is_labelled_whole():
    random = np.random.default_rng(0)
    image = random.integers(1, 9000, (9, 4 * LEAST_SIDE + 3, 4 * LEAST_SIDE)).astype(np.uint16)
    percent = random.integers(0, 12, image.shape).astype(np.uint8)
    percent[:, 5, 7] = LABEL_NODATA
    third, quarter = coarser([Patch("here", "one", "L2A", image, percent)])
    assert third.place == quarter.place == COARSE
    assert third.image.shape == (9, 54, 53)
    assert quarter.image.shape == (9, LEAST_SIDE, LEAST_SIDE)
    assert not quarter.usable[1, 1]
    assert quarter.usable.sum() == LEAST_SIDE**2 - 1
    assert quarter.image[3, 2, 9] == np.rint(image[3, 8:12, 36:40].mean())
    assert quarter.percent[3, 2, 9] == np.rint(percent[3, 8:12, 36:40].mean())


def test_images_that_would_be_too_small_are_not_made_coarser():
    image = np.ones((9, 64, 64), np.uint16)
    assert not [*coarser([Patch("here", "one", "L1C", image, np.ones(image.shape, np.uint8))])]
