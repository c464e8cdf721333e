"""Splits: exact shares in every class, repeatable, duplicates together, and what was found twice is said."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from patch_samples import CLASSES, picture, write_tree
from PIL import Image

from lulc.errors import InputError
from lulc.io.patch_set import Patch, open_patch_set
from lulc.patches.duplicates import look_at, near_pairs, same_pixels
from lulc.patches.settings import SplitSettings
from lulc.patches.split import PatchSplit, deal, read_split


def listed(**counts):
    """A set of so many patches in each class, without files."""
    classes = tuple(sorted(counts))
    patches = [Patch(f"{name}/{k}", code) for code, name in enumerate(classes, 1) for k in range(counts[name])]
    return SimpleNamespace(classes=classes, patches=tuple(patches))


class TestDeal:
    @pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.8, 0.2, 0.0), (0.75, 0.05, 0.2)])
    def test_every_class_by_the_same_shares(self, shares):
        data = listed(A=200, B=100, C=60)
        split = deal(data, SplitSettings(train=shares[0], val=shares[1], test=shares[2]))
        assert len(split.names) == 360
        for code, count in enumerate((200, 100, 60), 1):
            for name, share in zip(("train", "val", "test"), shares, strict=True):
                assert sum(patch.code == code for patch in split.of(data, name)) == round(share * count)

    def test_the_seed_decides(self):
        data = listed(A=50, B=50)
        first, again, other = (deal(data, SplitSettings(seed=seed)) for seed in (1, 1, 2))
        assert first == again != other

    def test_another_class_does_not_move_patches(self):
        few, more = listed(A=50, B=50), listed(A=50, B=50, AA=50)
        settings = SplitSettings()
        before, after = deal(few, settings), deal(more, settings)
        assert all(after.names[name] == split for name, split in before.names.items())

    def test_groups_stay_together(self):
        data = listed(A=60, B=60)
        groups = [data.patches[start : start + 5] for start in range(0, 120, 5)]
        split = deal(data, SplitSettings(), groups)
        assert all(len({split.names[patch.name] for patch in group}) == 1 for group in groups)
        assert Counter(split.names.values())["test"] == 20  # 12 of each class hold two groups of five

    def test_too_few(self):
        with pytest.raises(InputError, match="no patches fall into the split val"):
            deal(listed(A=2, B=2), SplitSettings())

    def test_shares_that_do_not_sum(self):
        with pytest.raises(ValueError, match="must sum to 1"):
            SplitSettings(train=0.5, val=0.1, test=0.1)


class TestFile:
    def test_round_trip(self, tmp_path):
        split = PatchSplit({"A/1": "train", "A/2": "val", "A/3": "test"})
        split.write(tmp_path / "split.csv")
        assert read_split(tmp_path / "split.csv") == split
        split.write(tmp_path / "split.csv", only=("test",))
        assert read_split(tmp_path / "split.csv").names == {"A/3": "test"}

    def test_a_file_decides_the_deal(self, tmp_path):
        data = listed(A=3, B=3)
        names = {patch.name: ("train", "val", "test")[int(patch.name[-1])] for patch in data.patches}
        PatchSplit(names | {"Z/0": "train"}).write(tmp_path / "s.csv")
        assert deal(data, SplitSettings(file=tmp_path / "s.csv")).names == names

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("a,b\n", "no columns"),
            ("name,split\nA/1,tain\n", "line 2"),
            ("name,split\nA/1,val\nA/1,val\n", "line 3"),
            ("", "no columns"),
        ],
    )
    def test_refused(self, tmp_path, text, said):
        (tmp_path / "s.csv").write_text(text)
        with pytest.raises(InputError, match=said):
            read_split(tmp_path / "s.csv")


class TestDuplicates:
    def test_what_is_there_twice(self, tmp_path):
        tree = write_tree(tmp_path / "t", 6)
        town = picture("Town", 0)
        Image.fromarray(town).save(tree / "Town" / "copy.png")
        Image.fromarray(town).save(tree / "Lake" / "wrong.png")
        nearly = np.clip(town.astype(int) + 1, 0, 255).astype(np.uint8)
        Image.fromarray(nearly).save(tree / "Field" / "near.png")
        data = open_patch_set(tree)
        looks = look_at(data)
        groups = same_pixels(data, looks)
        assert [{patch.name for patch in group} for group in groups] == [
            {"Town/Town_0.png", "Town/copy.png", "Lake/wrong.png"}
        ]
        split = PatchSplit(
            {patch.name: "test" if patch.name.startswith("Field/near") else "train" for patch in data.patches}
        )
        assert sorted(name for name, _ in near_pairs(data, split, looks)) == [
            "Lake/wrong.png",
            "Town/Town_0.png",
            "Town/copy.png",
        ]
        assert set(CLASSES) == set(data.classes)

    def test_open_water_is_not_compared(self, tmp_path):
        tree = write_tree(tmp_path / "t", 4)
        for name in ("x", "y"):
            Image.new("RGB", (32, 32), (30, 50, 90)).save(tree / "Lake" / f"{name}.png")
        data = open_patch_set(tree)
        split = PatchSplit({"Lake/x.png": "train", "Lake/y.png": "test"})
        assert near_pairs(data, split, look_at(data)) == []
