"""A small training set with texture that a network can learn in a few steps."""

import numpy as np

from lulc.features import FeatureSpec
from lulc.io.labels.training_set import Chip, SetCard, label_pixels, open_training_set, write_pair, write_set_lists
from lulc.training.settings import TrainSettings

BANDS = ("B02", "B03", "B04", "B08")
LEVELS = ("", "L1C", "L2A")


def blobs(rng, side):
    """Three classes in smooth patches: float (side, side) of 0, 1, 2."""
    coarse = rng.integers(0, 3, (side // 16 + 1, side // 16 + 1))
    return np.kron(coarse, np.ones((16, 16), int))[:side, :side]


def make_set(folder, *, sides=(64,) * 12, labels="codes", files="npy", val=3):
    """Chips whose reflectance follows their class, with noise, a nodata corner and an unlabelled corner."""
    rng = np.random.default_rng(5)
    folder.mkdir()
    legend = {
        "name": "three",
        "classes": [
            {"code": 1, "name": "water", "color": "#0000ff"},
            {"code": 2, "name": "trees", "color": "#00ff00"},
            {"code": 3, "name": "bare", "color": "#ff0000"},
        ],
    }
    card = SetCard(
        name="blobs",
        features=FeatureSpec(
            bands=BANDS, indices=("NDVI",), mean=(0.1, 0.1, 0.1, 0.2, 0.2), std=(0.1, 0.1, 0.1, 0.1, 0.3)
        ),
        planes=(*BANDS, "NDVI"),
        legend=legend,
        labels=labels,
        files=files,
        resolution_m=10.0,
        levels=("L1C", "L2A"),
    )
    colors = np.array([[0.05, 0.05, 0.03, 0.02], [0.03, 0.06, 0.03, 0.35], [0.2, 0.22, 0.25, 0.3]], np.float32)
    chips = []
    for number, side in enumerate(sides):
        classes = blobs(rng, side)
        image = colors[classes].transpose(2, 0, 1) + rng.normal(0, 0.01, (4, side, side)).astype(np.float32)
        image = np.concatenate([image, (image[3:] - image[2:3]) / (image[3:] + image[2:3])]).astype(np.float32)
        image[:, :5, :7] = np.nan
        codes = (classes + 1).astype(np.uint8)
        codes[-6:, :4] = 255
        codes[:5, :7] = 255
        if labels == "shares":
            label = np.stack([np.where(codes == code, 200, 25) for code in (1, 2, 3)]).astype(np.uint8)
            label[:, codes == 255] = 255
        else:
            label = codes[None]
        name = f"chip_{number}"
        write_pair(folder, card, name, image, label)
        chips.append(
            Chip(
                name=name,
                split="val" if number < val else "train",
                source="blobs",
                row=0,
                col=0,
                height=side,
                width=side,
                block=number,
                level=LEVELS[number % 3],
                weight=1.0,
                pixels=label_pixels(label, 3),
            )
        )
    write_set_lists(folder, card, chips)
    return open_training_set(folder)


def settings(data, **changes):
    """Settings for a tiny run; `fit__steps=3` changes a key."""
    table = {
        "name": "tiny",
        "data": str(data.path),
        "network": {"encoder": "resnet18", "encoder_depth": 3, "options": {"decoder_channels": [16, 16, 16]}},
        "samples": {"crop": 64, "workers": 1},
        "fit": {
            "steps": 6,
            "batch": 2,
            "learning_rate": 2e-3,
            "validate_every": 3,
            "checkpoint_every": 2,
            "precision": "fp32",
            "device": "cpu",
        },
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        place = table
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return TrainSettings.model_validate(table)
