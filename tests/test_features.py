import numpy as np
import pytest
import torch
from pydantic import ValidationError

from lulc.bands import Radiometry
from lulc.errors import ConfigError
from lulc.features import FeatureSpec


def spec(bands=("B04", "B08"), indices=("NDVI",), **changes):
    count = len(bands) + len(indices)
    values = {"mean": (0.0,) * count, "std": (1.0,) * count, **changes}
    return FeatureSpec(bands=bands, indices=indices, **values)


class TestRefusals:
    @pytest.mark.parametrize(
        "changes",
        [
            {"mean": (0.0, 0.0)},
            {"std": (1.0, 1.0)},
            {"std": (1.0, 0.0, 1.0)},
            {"std": (1.0, -1.0, 1.0)},
            {"bands": ()},
            {"bands": ("B04", "B04")},
            {"colour": "red"},
        ],
    )
    def test_what_does_not_fit_together(self, changes):
        with pytest.raises(ValidationError):
            spec(**changes)

    def test_unknown_index(self):
        with pytest.raises(ConfigError, match="did you mean 'NDVI'"):
            spec(indices=("NDVO",))

    def test_it_cannot_be_changed(self):
        with pytest.raises(ValidationError):
            spec().bands = ("B02",)


class TestRequired:
    def test_bands_of_the_indices_are_added_once(self):
        assert spec(("B02", "B08"), ("NDVI", "NDMI")).required(["B02"]) == ("B02", "B08", "B04", "B11")

    def test_an_index_in_the_file_is_read(self):
        assert spec(("B02",), ("NDVI",)).required(["B02", "NDVI"]) == ("B02", "NDVI")


PLANES = {"B04": np.array([[1000, 3000]], np.uint16), "B08": np.array([[3000, 3000]], np.uint16)}


class TestNormalised:
    def as_float(self, plane):
        return plane.astype(np.float32)

    def test_channels_in_order_without_integer_wrap(self):
        red, nir, ndvi = spec().normalised(PLANES, Radiometry(), self.as_float)
        np.testing.assert_allclose(red, [[0.1, 0.3]], rtol=1e-6)
        np.testing.assert_allclose(nir, [[0.3, 0.3]], rtol=1e-6)
        np.testing.assert_allclose(ndvi, [[0.5, 0.0]], rtol=1e-6)

    def test_offset_comes_before_the_index(self):
        *_, ndvi = spec().normalised(PLANES, Radiometry(offset=-500), self.as_float)
        np.testing.assert_allclose(ndvi, [[2000 / 3000, 0.0]], rtol=1e-6)

    def test_mean_and_spread_of_each_channel(self):
        first, *_ = spec(mean=(0.1, 0, 0), std=(0.2, 1, 1)).normalised(PLANES, Radiometry(), self.as_float)
        np.testing.assert_allclose(first, [[0.0, 1.0]], atol=1e-6)

    def test_an_index_of_the_scene_is_used_as_it_is(self):
        planes = {**PLANES, "NDVI": np.array([[0.7, -0.2]], np.float32)}
        *_, ndvi = spec().normalised(planes, Radiometry(offset=-1000), self.as_float)
        np.testing.assert_allclose(ndvi, [[0.7, -0.2]], rtol=1e-6)

    def test_torch_gives_the_same(self):
        tensors = {name: torch.from_numpy(plane.astype(np.int32)) for name, plane in PLANES.items()}
        there = spec().normalised(tensors, Radiometry(offset=-500), lambda plane: plane.float())
        here = spec().normalised(PLANES, Radiometry(offset=-500), self.as_float)
        for ours, theirs in zip(here, there, strict=True):
            np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-6)

    def test_an_empty_denominator_is_not_finite(self):
        planes = {name: np.zeros((1, 1), np.uint16) for name in ("B04", "B08")}
        *_, ndvi = spec().normalised(planes, Radiometry(), self.as_float)
        assert np.isnan(ndvi).all()


def test_card_round_trip():
    given = spec()
    assert FeatureSpec.model_validate_json(given.model_dump_json()) == given
