"""What the OOD score of a patch model finds on pictures that are far from EuroSAT, and what it misses.

python pipelines/patch_model/far_pictures.py FOLDER [--model eurosat-rgb]

FOLDER holds `world_train.npz`, `world2_train.npz`, `world2_val.npz` and `clouds_l1c.npz`: reflectance x 10000 of nine bands, and
percent of nine land-cover classes by a teacher. A prediction is sure from 0.8 on. It is wrong where the teacher's most frequent
class has at least half of the patch and is none that the predicted class may mean.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lulc.patches.card import load_patch_model
from lulc.patches.classifier import AT_ONCE, Classifier
from lulc.patches.pixels import as_trained
from lulc.resources import SHIPPED_PATCH_MODEL

SURE, MAJORITY, PRESENT = 0.8, 0.5, 0.1
WORLD = ("world_train", "world2_train", "world2_val")
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
SNOW = 8
"""Code of snow and ice in the teacher's classes."""

DESERT = {
    "kazakhstan_kyzylkum",
    "libya_rebiana_sand",
    "southafrica_karoo",
    "usa_arizona_desert",
    "west_sahara_29RKH",
}
WINTER = {"belgium_voeren_winter", "sen12mscr_2017_108", "sen12mscr_2017_63", "spain_boadella"}
"""Places without snow in winter."""

MEANINGS: Mapping[str, tuple[int, ...]] = {
    "AnnualCrop": (4,),
    "Forest": (1,),
    "HerbaceousVegetation": (2, 5),
    "Highway": (6,),
    "Industrial": (6,),
    "Pasture": (2,),
    "PermanentCrop": (4,),
    "Residential": (6,),
    "River": (0,),
    "SeaLake": (0,),
}
"""Teacher's classes that a class of EuroSAT may mean; narrow rivers and highways are right where a tenth shows them."""


@dataclass(frozen=True)
class Found:
    """Predictions of n chips: places, continents, classes, confidence and OOD scores, and the teacher's fractions (n, 9)."""

    places: NDArray[np.str_]
    continents: NDArray[np.str_]
    classes: NDArray[np.str_]
    confidence: NDArray[np.float32]
    scores: NDArray[np.float64]
    fractions: NDArray[np.float64]

    def right(self) -> NDArray[np.bool_]:
        """Whether the teacher's most frequent class is one that the predicted class may mean: (n,)."""
        top = self.fractions.argmax(axis=1)
        right = [
            code in MEANINGS[name] or (name in ("Highway", "River") and share[MEANINGS[name][0]] >= PRESENT)
            for name, code, share in zip(self.classes, top, self.fractions, strict=True)
        ]
        return np.array(right)


def main() -> None:
    """Print one row of a table for each group of pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=SHIPPED_PATCH_MODEL)
    given = parser.parse_args()
    classifier = Classifier(load_patch_model(given.model), "auto", "fp32")
    print(
        "| pictures | number | flagged | sure | sure and wrong | of these flagged | sure and right flagged | unflagged, sure: wrong |"
    )
    print("|---|---|---|---|---|---|---|---|")
    found = [predicted(given.folder / f"{name}.npz", classifier) for name in WORLD]
    world = Found(*(np.concatenate([getattr(one, key) for one in found]) for key in Found.__dataclass_fields__))
    for title, chosen in groups(world):
        print_row(title, world, chosen)
    print_clouds(given.folder / "clouds_l1c.npz", classifier)


def groups(world: Found) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Groups of chips by name."""
    snow = world.fractions.argmax(axis=1) == SNOW
    desert, europe = np.isin(world.places, list(DESERT)), world.continents == "Europe"
    yield "all places", np.ones(len(snow), bool)
    yield "snow and ice by the teacher", snow
    yield "deserts", desert
    yield "winter without snow", np.isin(world.places, list(WINTER))
    yield "Europe without snow", europe & ~snow
    yield "elsewhere without snow and deserts", ~europe & ~snow & ~desert
    yield "named Industrial", world.classes == "Industrial"


def print_row(title: str, world: Found, chosen: NDArray[np.bool_]) -> None:
    """Print the row of a group."""
    flagged, right = world.scores > 1, world.right()
    sure = chosen & (world.confidence >= SURE) & (world.fractions.max(axis=1) >= MAJORITY)
    cells = [f"{chosen.sum()}", percent(flagged[chosen]), f"{sure.sum()}", f"{(sure & ~right).sum()}"]
    cells += [percent(flagged[sure & ~right]), percent(flagged[sure & right])]
    cells += [f"{(sure & ~flagged & ~right).sum()} of {(sure & ~flagged).sum()}"]
    print(f"| {title} | {' | '.join(cells)} |")


def print_clouds(path: Path, classifier: Classifier) -> None:
    """Print the row of cells of cloudy images that are mostly cloud."""
    file = np.load(path)
    count, side = len(file["mask"]), classifier.card.patch_side
    per = file["mask"].shape[1] // side
    cut = file["cloudy"].reshape(count, 9, per, side, per, side).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 9, side, side)
    cloud = (file["mask"] == 1).reshape(count, per, side, per, side).mean(axis=(2, 4)).ravel() > MAJORITY
    probabilities, scores = answers(cut[cloud], np.full(cloud.sum(), "L1C"), classifier)
    sure = probabilities.max(axis=1) >= SURE
    unflagged = (sure & (scores <= 1)).sum()
    cells = [f"{cloud.sum()}", percent(scores > 1), f"{sure.sum()}", f"{sure.sum()}", percent(scores[sure] > 1), "-"]
    print(f"| clouds | {' | '.join(cells)} | {unflagged} of {unflagged} |")


def predicted(path: Path, classifier: Classifier) -> Found:
    """Predictions of the chips of a file."""
    file = np.load(path)
    probabilities, scores = answers(file["image"], file["level"], classifier)
    top = file["label"].argmax(axis=1)
    fractions = np.stack([(top == code).mean(axis=(1, 2)) for code in range(SNOW + 1)], axis=1)
    names = np.array(classifier.classes)[probabilities.argmax(axis=1)]
    return Found(file["place"], file["continent"], names, probabilities.max(axis=1), scores, fractions)


def answers(
    chips: NDArray[np.uint16], levels: NDArray[np.str_], classifier: Classifier
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Probabilities (n, K) and OOD scores (n,) of chips (n, 9, side, side), shown as the pictures of the model."""
    card = classifier.card
    values = chips[:, [BANDS.index(name) for name in card.features.bands]].astype(np.float32)
    values /= 10_000
    for level in np.unique(levels):
        of = levels == level
        values[of] = as_trained(values[of], card, picture=False, level=str(level), name="chip")
    probabilities, scores = [], []
    for start in range(0, len(values), AT_ONCE):
        part = values[start : start + AT_ONCE]
        found = card.ood_scores(part)
        assert found is not None, f"{card.name} does not know the statistics of its training patches"
        scores.append(found)
        probabilities.append(classifier.probabilities(classifier.channels(part)))
    return np.concatenate(probabilities), np.concatenate(scores)


def percent(flags: NDArray[np.bool_]) -> str:
    """Share of true values as text."""
    return f"{flags.mean():.0%}" if len(flags) else "-"


if __name__ == "__main__":
    main()
