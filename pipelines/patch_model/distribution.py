"""Write the statistics of the training pictures of eurosat-rgb into its card; the weights stay as they are.

python pipelines/patch_model/distribution.py eurosat_rgb.zip lulc/model/pretrained/eurosat-rgb

The split is drawn again from the recipe in the card and checked against the test pictures that the bundle lists. Prints
the share of the held-out pictures with an OOD score above 1.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from lulc.errors import InputError
from lulc.model.bundle_files import CARD
from lulc.patches.card import PatchCard, load_patch_model
from lulc.patches.dataset import Patch, PatchSet, open_patch_set
from lulc.patches.distribution import TrainingDistribution
from lulc.patches.learn.distribution import learnt_distribution, statistics_of
from lulc.patches.learn.samples import PatchReader
from lulc.patches.learn.settings import SplitSettings
from lulc.patches.learn.split import PatchSplit, model_split, split_patches

_CACHE_MB = 4000


def main() -> None:
    """Write the card, and print what share of other pictures is unlike."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("bundle", type=Path)
    given = parser.parse_args()
    card, data = load_patch_model(given.bundle).card, open_patch_set(given.data)
    split = split_again(data, card, given.bundle)
    reader = PatchReader(data, card.features.bands, card.patch_side, _CACHE_MB, pictures=card.pictures)
    distribution = learnt_distribution(reader, split.of(data, "train"), split.of(data, "val"))
    if distribution is None:
        raise InputError(f"{data.path} has no pictures with data", "give the pictures of the bundle")
    write_card(given.bundle / CARD, card.model_copy(update={"distribution": distribution}))
    for part in ("val", "test"):
        print_unlike(part, split.of(data, part), data, reader, distribution)


def split_again(data: PatchSet, card: PatchCard, bundle: Path) -> PatchSplit:
    """The split that a bundle was trained on.

    Raises:
        InputError: These are not the pictures of the bundle.
    """
    split = split_patches(data, SplitSettings.model_validate(card.training["recipe"]["split"]))
    listed = model_split(bundle)
    tests = {patch.name for patch in split.of(data, "test")}
    if listed is None or tests != {name for name, part in listed.names.items() if part == "test"}:
        raise InputError(f"{data.path} has other test pictures than {bundle} lists", "give the pictures of the bundle")
    return split


def write_card(path: Path, card: PatchCard) -> None:
    """Write the card of a bundle as `publish.py` does."""
    path.write_text(json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n", "utf-8")


def print_unlike(
    part: str, patches: tuple[Patch, ...], data: PatchSet, reader: PatchReader, distribution: TrainingDistribution
) -> None:
    """Print the share of pictures with an OOD score above 1, in all and of each class."""
    unlike = distribution.scores(statistics_of(reader, patches)) > 1
    codes = np.array([patch.code for patch in patches])
    print(f"{part}: {unlike.mean():.2%} of {len(patches)}")
    for code, name in enumerate(data.classes, 1):
        print(f"  {name:22} {unlike[codes == code].mean():.2%}")


if __name__ == "__main__":
    main()
