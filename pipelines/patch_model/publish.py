"""Make the shipped patch model from a run: its weights, its card with the words of the configuration, its test patches.

python pipelines/patch_model/publish.py RUN lulc/model/pretrained/eurosat-rgb
"""

import argparse
import json
import shutil
from pathlib import Path

from lulc.config import read_config
from lulc.model.bundle_files import CARD, WEIGHTS
from lulc.patches.card import PatchCard, load_patch_model
from lulc.patches.learn.settings import PatchSettings
from lulc.patches.learn.split import SPLIT_FILE, read_split
from lulc.resources import config_path


def main() -> None:
    """Write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("bundle", type=Path)
    given = parser.parse_args()
    told = read_config(PatchSettings, config_path("patches", "eurosat-rgb")).card
    card = json.loads((given.run / CARD).read_text("utf-8"))
    card |= {
        "version": told.version,
        "summary": told.summary,
        "good_at": told.good_at,
        "bad_at": told.bad_at,
        "attribution": told.attribution,
        "licence": told.licence,
    }
    given.bundle.mkdir(parents=True, exist_ok=True)
    text = json.dumps(PatchCard.model_validate(card).model_dump(mode="json"), indent=2, ensure_ascii=False)
    (given.bundle / CARD).write_text(text + "\n", "utf-8")
    shutil.copyfile(given.run / WEIGHTS, given.bundle / WEIGHTS)
    read_split(given.run / SPLIT_FILE).write(given.bundle / SPLIT_FILE, only=("test",))
    print(load_patch_model(given.bundle).card.metrics["test"]["accuracy"])


if __name__ == "__main__":
    main()
