"""Augmentation: image and label move together, nothing leaks over nodata, a step repeats itself."""

import numpy as np
import pytest
import torch

from lulc.errors import ConfigError
from lulc.features import FeatureSpec
from lulc.training.augment import Augment, rotated, side_by_side, target_of
from lulc.training.samples import LEVELS, Pieces
from lulc.training.settings import AugmentSettings
from tests.support.training_sets import BANDS

SPEC = FeatureSpec(bands=BANDS, mean=(0.0,) * 4, std=(1.0,) * 4)
STILL = {"gain": 0, "band_gain": 0, "band_offset": 0, "haze": 0, "noise": 0, "holes": 0}
CPU = torch.device("cpu")


def pieces(count=8, side=32, across=1, level=""):
    """The label of a pixel is its first band: 1 + 10 * reflectance, rounded down."""
    rng = np.random.default_rng(0)
    image = rng.uniform(0.05, 0.25, (count, 4, side, side)).astype(np.float32)
    label = (1 + np.floor(image[:, :1] * 10)).astype(np.uint8)
    return Pieces(across, image, label, np.full(count, LEVELS.index(level)))


def augment(crop=32, **settings):
    return Augment(AugmentSettings(**{**STILL, **settings}), SPEC, BANDS, crop)


@pytest.mark.parametrize("rotate", ["none", "quarter"])
def test_image_and_label_are_turned_together(rotate):
    image, target = augment(rotate=rotate)([pieces()], 3, CPU)
    torch.testing.assert_close(torch.floor(image[:, 0] * 10).long(), target.codes)


def test_sixteen_angles_move_both_alike_and_ignore_the_corners():
    smooth = torch.linspace(0.1, 0.3, 64)[None, None, :, None].expand(40, 4, 64, 64).contiguous()
    label = (1 + (smooth[:, :1] * 100)).to(torch.uint8)
    both = Pieces(1, smooth.numpy().copy(), label.numpy(), np.zeros(40, np.int64))
    image, target = augment(crop=64, rotate="sixteen")([both], 1, CPU)
    known = target.known
    assert 0.7 < known.float().mean() < 1
    difference = image[:, 0][known] * 100 - target.codes[known]
    assert (difference.abs() < 2).all()
    assert (image[:, 0][~known] == 0).all()


def test_turning_by_a_full_circle_is_the_identity():
    planes = torch.rand(2, 16, 16)
    torch.testing.assert_close(rotated(planes, 360.0), planes, rtol=0, atol=1e-5)


def test_rotation_never_mixes_with_pixels_without_data():
    planes = torch.ones(1, 32, 32)
    planes[0, 10:12, 10:12] = torch.nan
    turned = rotated(planes, 22.5)
    assert (turned[turned.isfinite()] - 1).abs().max() < 1e-5
    assert turned.isnan().sum() > 4


def test_pixels_without_data_are_zero_and_ignored():
    batch = pieces()
    batch.image[:, :, :4] = np.nan
    image, target = augment(rotate="none", flip=False, gain=0.2, band_offset=0.05)([batch], 0, CPU)
    assert (image[:, :, :4] == 0).all()
    assert not target.known[:, :4].any()
    assert target.known[:, 4:].all()


def test_a_call_repeats_itself_by_its_seed():
    settings = {"rotate": "sixteen", "gain": 0.1, "noise": 0.01, "holes": 1, "band_dropout": 0.5, "haze": 0.1}
    one, other, third = (augment(**settings)([pieces()], seed, CPU)[0] for seed in (5, 5, 6))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_holes_take_part_of_the_samples_and_at_most_half_of_one():
    _, target = augment(holes=1.0)([pieces(64)], 0, CPU)
    missing = 1 - target.known.float().mean((1, 2))
    assert missing.max() < 0.55
    assert (missing > 0).float().mean() > 0.8
    _, whole = augment(holes=0.0)([pieces(64)], 0, CPU)
    assert whole.known.all()


def test_a_dropped_band_is_its_mean():
    image, _ = augment(band_dropout=1.0, rotate="none")([pieces(32)], 0, CPU)
    assert ((image <= 1e-4).all((2, 3)).sum(1) == 1).all()  # the mean, 0 here, or the least reflectance


def test_atmosphere_moves_levels_in_opposite_directions():
    settings = {"atmosphere": 1.0, "rotate": "none", "flip": False}
    surface, top, unknown = (augment(**settings)([pieces(level=level)], 2, CPU)[0] for level in ("L2A", "L1C", ""))
    plain = torch.from_numpy(pieces().image)
    darkest = [image[:, 0].amin((1, 2)) for image in (plain, surface, top)]
    assert (darkest[1] > darkest[0] + 0.02).all()  # blue gains path reflectance
    assert (darkest[2] < darkest[1]).any()  # some lose theirs and get none back
    assert torch.equal(unknown, plain)


def test_a_low_sun_is_no_lower_than_asked():
    """A higher sun adds less light of the air: the darkest blue pixel tells."""

    def darkest(sun_zenith):
        settings = {"atmosphere": 1.0, "rotate": "none", "flip": False, "sun_zenith": sun_zenith, "aerosol": 0.03}
        return augment(**settings)([pieces(level="L2A")], 2, CPU)[0][:, 0].amin((1, 2))

    assert float(darkest(20.0).max()) < float(darkest(75.0).max())


def test_atmosphere_is_refused_for_bands_without_constants():
    spec = FeatureSpec(bands=("B01",), mean=(0.0,), std=(1.0,))
    with pytest.raises(ConfigError, match="B01"):
        Augment(AugmentSettings(atmosphere=0.5), spec, ("B01",), 32)


def test_small_pieces_lie_side_by_side_row_by_row():
    parts = torch.arange(8.0)[:, None, None, None].expand(8, 1, 3, 3)
    joined = side_by_side(parts, 2, 5)
    assert joined.shape == (2, 1, 5, 5)
    assert joined[1, 0, [0, 0, 4, 4], [0, 4, 0, 4]].tolist() == [4, 5, 6, 7]


def test_indices_are_computed_from_the_varied_bands():
    spec = FeatureSpec(bands=BANDS, indices=("NDVI",), mean=(0.0,) * 5, std=(1.0,) * 5)
    image, _ = Augment(AugmentSettings(**{**STILL, "band_gain": 0.2}), spec, BANDS, 32)([pieces()], 0, CPU)
    expected = (image[:, 3] - image[:, 2]) / (image[:, 3] + image[:, 2])
    torch.testing.assert_close(image[:, 4], expected)


def test_soft_labels_become_shares_that_sum_to_one():
    label = torch.tensor([[50, 255], [200, 255]], dtype=torch.uint8).reshape(1, 2, 1, 2)
    target = target_of(label, torch.ones(1, 1, 2, dtype=torch.bool))
    assert target.codes.flatten().tolist() == [1, 255]
    torch.testing.assert_close(target.shares[0, :, 0, 0], torch.tensor([0.2, 0.8]))


def test_a_band_after_an_index_is_refused():
    spec = FeatureSpec(bands=("B04", "B08"), indices=("NDVI",), mean=(0.0,) * 3, std=(1.0,) * 3)
    with pytest.raises(ConfigError, match="planes B04, NDVI, B08; bands come before indices"):
        Augment(AugmentSettings(), spec, ("B04", "NDVI", "B08"), 32)
