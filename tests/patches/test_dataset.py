"""Class folders in a tree and in a zip."""

import zipfile

import pytest
from PIL import Image

from lulc.errors import InputError, LimitError, StorageError
from lulc.patches import dataset
from lulc.patches.dataset import open_patch_set


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (len(name), 2, 3)).save(folder / name)
    return folder


def zipped(folder, path, extra=()):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
        for name in extra:
            archive.writestr(name, "")
    return path


class TestListing:
    def test_tree_and_zip_say_the_same(self, tmp_path):
        tree = make(tmp_path / "t", "deep/er/A/1.png", "deep/er/B/2.png", "deep/er/B/1.jpg")
        (tree / "deep/er/A/.hidden.png").write_bytes(b"")
        (tree / "deep/er/A/notes.txt").write_bytes(b"")
        for path in (tree, zipped(tree, tmp_path / "t.zip", ["__MACOSX/deep/er/A/1.png"])):
            found = open_patch_set(path)
            assert found.classes == ("A", "B")
            assert [(patch.name, patch.code) for patch in found.patches] == [
                ("A/1.png", 1),
                ("B/1.jpg", 2),
                ("B/2.png", 2),
            ]
            assert found.read(found.patches[0]).values.shape == (3, 16, 16)

    @pytest.mark.whole
    def test_eurosat(self, data):
        found = open_patch_set(data / "eurosat_rgb.zip")
        assert len(found.patches) == 21_600
        assert found.classes[0] == "AnnualCrop"
        assert sum(patch.code == 6 for patch in found.patches) == 1_600  # Pasture


class TestRefusals:
    def test_nothing_there(self, tmp_path):
        with pytest.raises(InputError, match="there is no"):
            open_patch_set(tmp_path / "none")

    def test_no_images(self, tmp_path):
        with pytest.raises(InputError, match="holds no JPEG, PNG or TIFF"):
            open_patch_set(tmp_path)

    def test_an_empty_class_folder(self, tmp_path):
        tree = make(tmp_path / "t", "A/1.png", "B/1.png")
        (tree / "C").mkdir()
        for path in (tree, zipped(tree, tmp_path / "t.zip")):
            with pytest.raises(InputError, match="the class folder C holds no patches"):
                open_patch_set(path)

    def test_one_class(self, tmp_path):
        with pytest.raises(InputError, match="holds one class"):
            open_patch_set(make(tmp_path, "A/1.png"))

    def test_patches_outside_class_folders(self, tmp_path):
        with pytest.raises(InputError, match="outside class folders"):
            open_patch_set(make(tmp_path, "1.png"))

    def test_pictures_beside_class_folders(self, tmp_path):
        with pytest.raises(InputError, match=r"outside class folders, such as plot\.png"):
            open_patch_set(make(tmp_path, "A/1.png", "B/1.png", "plot.png"))

    def test_folders_at_two_levels(self, tmp_path):
        with pytest.raises(InputError, match="class folders lie in"):
            open_patch_set(make(tmp_path, "A/1.png", "more/B/1.png"))

    def test_no_zip(self, tmp_path):
        (tmp_path / "a.zip").write_bytes(b"hello")
        with pytest.raises(InputError, match="is no zip archive"):
            open_patch_set(tmp_path / "a.zip")

    def test_a_member_that_is_there_twice(self, tmp_path):
        path = zipped(make(tmp_path / "t", "A/1.png", "B/1.png"), tmp_path / "t.zip")
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("A/1.png", b"")
        with pytest.raises(InputError, match=r"t\.zip holds A/1\.png twice; pack the archive again"):
            open_patch_set(path)

    def test_a_damaged_member(self, tmp_path):
        path = zipped(make(tmp_path / "t", "A/1.png", "B/1.png"), tmp_path / "t.zip")
        content = bytearray(path.read_bytes())
        at = content.index(b"IDAT") + 8
        content[at : at + 8] = b"\xff" * 8
        path.write_bytes(content)
        found = open_patch_set(path)
        with pytest.raises(StorageError, match=r"t\.zip/A/1\.png cannot be read"):
            found.read(found.patches[0])


class TestLimits:
    def test_too_many_patches(self, tmp_path, monkeypatch):
        monkeypatch.setattr(dataset, "_MOST_PATCHES", 2)
        with pytest.raises(LimitError, match="holds 3 patches; lulc takes at most 2"):
            open_patch_set(make(tmp_path, "A/1.png", "B/1.png", "B/2.png"))

    def test_a_member_that_unpacks_to_too_much(self, tmp_path, monkeypatch):
        found = open_patch_set(zipped(make(tmp_path / "t", "A/1.png", "B/1.png"), tmp_path / "t.zip"))
        monkeypatch.setattr(dataset, "MOST_BYTES", 8)
        with pytest.raises(LimitError, match=r"A/1\.png would unpack to \d+ bytes; leave it out"):
            found.read(found.patches[0])

    def test_names_that_are_no_plain_text(self, tmp_path):
        with pytest.raises(InputError, match=r"a name that is not plain text: 'B/1\\x07\.png'; rename it"):
            open_patch_set(make(tmp_path, "A/1.png", "B/1\a.png"))
