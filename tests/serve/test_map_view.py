"""Layers of a map on the page."""

import numpy as np
import pytest

from lulc.io.product.bands import CONFIDENCE, FAMILIARITY, MARGIN
from lulc.serve.map_view import MapView
from tests.support.product_samples import pixels, write


def test_bands_of_trust_are_layers(tmp_path):
    data = pixels(60, 80)
    valid = data[0] != 255
    extra = [CONFIDENCE, MARGIN, FAMILIARITY]
    shares = np.where(valid, np.array([200, 150, 10])[:, None, None], 255).astype(np.uint8)
    write(tmp_path / "map.tif", np.concatenate([data, shares]), extra=extra, activations="uint8")
    view = MapView(tmp_path / "map.tif")
    assert [layer.title for name, layer in view.layers.items() if name.startswith("share-")] == [
        "Margin",
        "Familiarity",
    ]
    row, col = np.argwhere(valid)[0].tolist()
    assert view.at(row, col).others == pytest.approx({"margin": 0.6, "familiarity": 0.04})
