"""A small network with real statistics, and scenes with texture, for the tests of whole runs."""

import numpy as np
import rasterio
from rasterio.transform import from_origin

BANDS = ("B02", "B03", "B04", "B08")


def write_textured_bundle(folder):
    """A U-Net of depth 3 (stride 8, half field 71 px) whose answers change over a scene."""
    import torch  # here, so that tests without a network do not pay for it
    from torch import nn

    from lulc.features import FeatureSpec
    from lulc.legend import load_legend
    from lulc.model.build import Architecture, build_network
    from lulc.model.bundle import write_bundle

    torch.manual_seed(3)
    architecture = Architecture(
        network="Unet",
        encoder="resnet18",
        in_channels=4,
        classes=9,
        encoder_depth=3,
        options={"decoder_channels": [16, 16, 16]},
    )
    network = build_network(architecture)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.8, 1.2)
            nn.init.uniform_(layer.bias, -0.3, 0.3)
    nn.init.normal_(network.segmentation_head[0].weight, std=0.2)
    write_bundle(
        folder,
        network,
        name="textured",
        version="1",
        summary="random, for tests",
        architecture=architecture,
        features=FeatureSpec(bands=BANDS, mean=(0.05, 0.08, 0.09, 0.3), std=(0.02, 0.03, 0.04, 0.1)),
        legend=load_legend("dynamic-world").to_table(),
        attribution=("Made for tests.",),
    )
    return folder


def texture(height, width, seed=0):
    """uint16 (4, height, width): fields of some 20 px, finer grain, and never 0."""
    rng = np.random.default_rng(seed)
    planes = []
    for level, spread in ((500, 200), (800, 300), (900, 400), (3000, 1000)):
        coarse = np.kron(rng.normal(size=(height // 20 + 2, width // 20 + 2)), np.ones((20, 20)))[:height, :width]
        planes.append(level + spread * (coarse + 0.3 * rng.normal(size=(height, width))))
    return np.clip(planes, 1, 10_000).astype(np.uint16)


def write_scene(path, height, width, *, pixels=None, descriptions=BANDS, seed=0, gcps=None, tags=None, **profile):
    """Write a scene; further keyword arguments go into the profile."""
    pixels = texture(height, width, seed) if pixels is None else pixels
    settings = {
        "driver": "GTiff",
        "count": len(pixels),
        "height": height,
        "width": width,
        "dtype": pixels.dtype,
        "crs": "EPSG:32631",
        "transform": from_origin(356040, 4835680, 10, 10),
        "nodata": 0,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
    } | profile
    with rasterio.open(path, "w", **settings) as target:
        target.write(pixels)
        if descriptions:
            target.descriptions = descriptions
        if gcps:
            target.gcps = gcps
        target.update_tags(**(tags or {}))
    return path


def messages(stderr):
    """Lines of stderr without those of progress: a run prints one every half minute, so a busy machine adds some."""
    return [line for line in stderr.splitlines() if " Mpx (" not in line]
