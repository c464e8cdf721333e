"""A model that sees one pixel at a time, so that what a change of an image does to its classes is known."""

from tests.support.whole_runs import BANDS


def write_pixelwise_bundle(folder):
    """Our own network, whose branch that sees more than a pixel is silent."""
    import torch  # here, so that tests without a network do not pay for it
    from torch import nn

    from lulc.features import FeatureSpec
    from lulc.legend import load_legend
    from lulc.model.build import OWN_DEPTH, OWN_ENCODER, Architecture, build_network
    from lulc.model.bundle import write_bundle

    torch.manual_seed(1)
    options = {"full": 4, "half": 6, "spectral": 8}
    architecture = Architecture(
        network="SpectralUnet", encoder=OWN_ENCODER, in_channels=4, classes=9, encoder_depth=OWN_DEPTH, options=options
    )
    network = build_network(architecture)
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    for layer in network.spectral.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight)
    write_bundle(
        folder,
        network,
        name="pixelwise",
        version="1",
        summary="random, for tests",
        architecture=architecture,
        features=FeatureSpec(bands=BANDS, mean=(0.05, 0.08, 0.09, 0.3), std=(0.02, 0.03, 0.04, 0.1)),
        legend=load_legend("dynamic-world").to_table(),
    )
    return folder
