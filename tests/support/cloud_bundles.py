"""A model with a cloud head that calls bright ground cloud and dark ground shadow, so that its answer is known."""

from tests.support.whole_runs import BANDS

BRIGHT, DARK = 0.5, -0.5
"""Mean of the normalised channels over 4 x 4 pixels beyond which the head sees clouds and shadows."""

_STEEPNESS = 8.0


def write_cloud_bundle(folder):
    """Our own network with random weights for classes; its cloud head sees the mean of the channels alone."""
    import torch  # here, so that tests without a network do not pay for it
    from torch import nn

    from lulc.features import FeatureSpec
    from lulc.legend import load_legend
    from lulc.model.build import OWN_DEPTH, OWN_ENCODER, Architecture, build_network
    from lulc.model.bundle import write_bundle

    torch.manual_seed(5)
    architecture = Architecture(
        network="SpectralUnet",
        encoder=OWN_ENCODER,
        in_channels=4,
        classes=9,
        encoder_depth=OWN_DEPTH,
        options={"full": 4, "half": 6, "spectral": 8, "clouds": 8},
    )
    network = build_network(architecture)
    nn.init.normal_(network.head.weight)
    for layer in network.spectral.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight)
    set_cloud_head(network.clouds)
    write_bundle(
        folder,
        network,
        name="cloudy",
        version="1",
        summary="random, for tests",
        architecture=architecture,
        features=FeatureSpec(bands=BANDS, mean=(0.05, 0.08, 0.09, 0.3), std=(0.02, 0.03, 0.04, 0.1)),
        legend=load_legend("dynamic-world").to_table(),
        temperature=1.7,
    )
    return folder


def set_cloud_head(head):
    """Cloud where the mean m of the channels is above `BRIGHT`, shadow where it is below `DARK`."""
    import torch

    with torch.no_grad():
        mean, same, last = head.layers[0][0], head.layers[1][0], head.layers[2]
        for layer in (mean, same, last):
            layer.weight.zero_()
        mean.weight[0, : len(BANDS)] = 1 / len(BANDS)  # m where it is positive
        mean.weight[1, : len(BANDS)] = -1 / len(BANDS)  # -m where that is
        same.weight[0, 0] = same.weight[1, 1] = 1
        last.weight[1, 0] = last.weight[2, 1] = _STEEPNESS
        last.bias.copy_(torch.tensor([0.0, -_STEEPNESS * BRIGHT, _STEEPNESS * DARK]))
