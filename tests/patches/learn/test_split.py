"""Splits: exact shares in every class, repeatable, duplicates together, and what was found twice is said."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from affine import Affine
from PIL import Image
from rasterio.crs import CRS

from lulc.errors import InputError
from lulc.grid import Grid, Shape
from lulc.patches.dataset import Patch, open_patch_set
from lulc.patches.learn.duplicates import PatchSignature, near_pairs, patch_signatures, same_pixels
from lulc.patches.learn.places import on_shared_ground, same_block
from lulc.patches.learn.settings import SplitSettings
from lulc.patches.learn.split import PatchSplit, read_split, split_patches
from tests.support.patch_samples import CLASSES, picture, write_tree


def listed(**counts):
    """A set of so many patches in each class, without files."""
    classes = tuple(sorted(counts))
    patches = [Patch(f"{name}/{k}", code) for code, name in enumerate(classes, 1) for k in range(counts[name])]
    return SimpleNamespace(classes=classes, patches=tuple(patches))


class TestNoFile:
    def test_what_is_no_list(self, tmp_path):
        (tmp_path / "latin.csv").write_bytes(b"name,split\nB\xe4ume/1.png,test\n")
        for name in ("latin.csv", "none.csv"):
            with pytest.raises(InputError, match=f"{name} cannot be read: .*columns name and split"):
                read_split(tmp_path / name)


class TestDeal:
    @pytest.mark.parametrize("shares", [(0.6, 0.2, 0.2), (0.8, 0.2, 0.0), (0.75, 0.05, 0.2)])
    def test_every_class_by_the_same_shares(self, shares):
        data = listed(A=200, B=100, C=60)
        split = split_patches(data, SplitSettings(train=shares[0], val=shares[1], test=shares[2]))
        assert len(split.names) == 360
        for code, count in enumerate((200, 100, 60), 1):
            for name, share in zip(("train", "val", "test"), shares, strict=True):
                assert sum(patch.code == code for patch in split.of(data, name)) == round(share * count)

    def test_the_seed_decides(self):
        data = listed(A=50, B=50)
        first, again, other = (split_patches(data, SplitSettings(seed=seed)) for seed in (1, 1, 2))
        assert first == again != other

    def test_another_class_does_not_move_patches(self):
        few, more = listed(A=50, B=50), listed(A=50, B=50, AA=50)
        settings = SplitSettings()
        before, after = split_patches(few, settings), split_patches(more, settings)
        assert all(after.names[name] == split for name, split in before.names.items())

    def test_groups_stay_together(self):
        data = listed(A=60, B=60)
        groups = [data.patches[start : start + 5] for start in range(0, 120, 5)]
        split = split_patches(data, SplitSettings(), groups)
        assert all(len({split.names[patch.name] for patch in group}) == 1 for group in groups)
        assert Counter(split.names.values())["test"] == 20  # 12 of each class hold two groups of five

    def test_too_few(self):
        with pytest.raises(InputError, match="no patches fall into the split val"):
            split_patches(listed(A=2, B=2), SplitSettings())

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
        assert split_patches(data, SplitSettings(file=tmp_path / "s.csv")).names == names

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
        signatures = patch_signatures(data)
        groups = same_pixels(data, signatures)
        assert [{patch.name for patch in group} for group in groups] == [
            {"Town/Town_0.png", "Town/copy.png", "Lake/wrong.png"}
        ]
        split = PatchSplit(
            {patch.name: "test" if patch.name.startswith("Field/near") else "train" for patch in data.patches}
        )
        assert sorted(name for name, _ in near_pairs(data, split, signatures)) == [
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
        assert near_pairs(data, split, patch_signatures(data)) == []


def placed(data, side=64, step=64, epsg=32632, columns=20):
    """Looks of patches that lie on a lattice, `step` pixels of 10 m apart."""
    signatures = {}
    for number, patch in enumerate(data.patches):
        row, column = divmod(number, columns)
        corner = Affine(10, 0, 300_000 + 10 * step * column, 0, -10, 5_900_000 - 10 * step * row)
        grid = Grid(CRS.from_epsg(epsg) if epsg else None, corner, Shape(side, side))
        signatures[patch.name] = PatchSignature(b"", np.zeros(1, np.float32), 1.0, picture=False, grid=grid)
    return signatures


class TestPlaces:
    def test_whole_blocks_are_dealt(self):
        data = listed(A=150, B=150, C=100)
        signatures = placed(data)
        blocks = same_block(data, signatures, 2000.0)
        split = split_patches(data, SplitSettings(), blocks=blocks)
        assert len(split.names) == 400
        assert all(len({split.names[patch.name] for patch in block}) == 1 for block in blocks)
        assert all(6 <= len(block) <= 16 for block in blocks if len(block) > 5)
        for name, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
            assert split.counts()[name] == pytest.approx(400 * share, abs=20)

    def test_equal_patches_bind_their_blocks(self):
        data = listed(A=150, B=150, C=100)
        blocks = same_block(data, placed(data), 2000.0)
        twins = (blocks[0][0], blocks[-1][0])
        split = split_patches(data, SplitSettings(), [twins], blocks)
        assert len({split.names[patch.name] for patch in (*blocks[0], *blocks[-1])}) == 1

    def test_patches_without_a_place_are_refused(self):
        data = listed(A=3, B=3)
        with pytest.raises(InputError, match=r"A/0 does not say where it lies; leave split\.block_m out"):
            same_block(data, placed(data, epsg=None), 2000.0)

    @pytest.mark.parametrize(("step", "shared"), [(64, []), (60, ["A/1", "B/1"]), (70, [])])
    def test_overlap_is_seen_and_touching_is_none(self, step, shared):
        data = listed(A=3, B=3)
        split = PatchSplit({patch.name: "test" if patch.name.endswith("1") else "train" for patch in data.patches})
        assert on_shared_ground(data, split, placed(data, step=step)) == shared

    def test_patches_without_a_place_share_no_ground(self):
        data = listed(A=3, B=3)
        split = PatchSplit({patch.name: "test" if patch.name.endswith("1") else "train" for patch in data.patches})
        assert on_shared_ground(data, split, placed(data, step=1, epsg=None)) == []

    def test_a_block_and_a_file_exclude_each_other(self, tmp_path):
        with pytest.raises(ValueError, match="exclude each other"):
            SplitSettings(block_m=100.0, file=tmp_path / "s.csv")
