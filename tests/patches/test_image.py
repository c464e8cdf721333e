"""Images of patches: bands by name, pictures as they are, and one line for everything that is none."""

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.io import MemoryFile

from lulc.errors import InputError, LimitError, StorageError
from lulc.patches.image import EUROSAT_MS, decode_image, read_image


def encoded(colors, kind="png", **options):
    data = io.BytesIO()
    Image.fromarray(colors).save(data, kind, **options)
    return data.getvalue()


@pytest.fixture
def colors():
    return np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)


class TestPictures:
    def test_red_green_and_blue_are_bands(self, colors):
        image = decode_image(encoded(colors), "a.png")
        assert image.names == ("B04", "B03", "B02")
        np.testing.assert_array_equal(image.values, colors.transpose(2, 0, 1))
        np.testing.assert_array_equal(image.colors(), colors)
        assert (image.is_picture, image.radiometry.quantification, image.grid.crs) == (True, 255.0, None)
        assert image.valid.all()

    def test_jpeg_is_what_gdal_decodes(self, colors):
        data = encoded(colors, "jpeg", quality=90, subsampling=0)
        with MemoryFile(data) as memory, pytest.warns(rasterio.errors.NotGeoreferencedWarning), memory.open() as file:
            other = file.read().astype(int)
        # With halved colours the two differ by how they interpolate them: 0.6 of 255 on EuroSAT.
        assert np.abs(decode_image(data, "a.jpg").values - other).max() <= 1

    def test_transparent_pixels_have_no_data(self, colors):
        alpha = np.full((20, 24, 1), 255, np.uint8)
        alpha[:5] = 0
        image = decode_image(encoded(np.concatenate([colors, alpha], axis=2)), "a.png")
        assert not image.valid[:5].any()
        assert image.valid[5:].all()

    def test_other_names_for_its_colours(self, colors):
        assert decode_image(encoded(colors), "a.png", ("B02", "B03", "B04")).names == ("B02", "B03", "B04")
        with pytest.raises(InputError, match="3 colours, --bands names 2 bands"):
            decode_image(encoded(colors), "a.png", ("B02", "B03"))

    def test_real_patches(self, data):
        import zipfile

        with zipfile.ZipFile(data / "eurosat_rgb.zip") as archive:
            name = next(name for name in archive.namelist() if name.endswith(".jpg"))
            assert decode_image(archive.read(name), name).values.shape == (3, 64, 64)


class TestRasters:
    def test_bands_without_names_must_be_named(self, tmp_path):
        path = tmp_path / "a.tif"
        self.write(path, 13, "uint16")
        with pytest.raises(InputError, match=r"does not name its 13 bands.*--bands eurosat-ms"):
            read_image(path)
        image = read_image(path, ["eurosat-ms"])
        assert image.names == EUROSAT_MS
        assert image.values[12, 0, 0] == 13
        assert image.radiometry.quantification == 10_000
        assert not image.is_picture

    def test_bands_with_names(self, tmp_path):
        path = tmp_path / "a.tif"
        self.write(path, 2, "uint16", ("B08", "B04"))
        assert read_image(path).names == ("B08", "B04")
        with pytest.raises(InputError, match="names 3 bands, the input has 2"):
            read_image(path, ("B02", "B03", "B04"))

    def test_three_bytes_without_names_are_a_picture(self, tmp_path):
        path = tmp_path / "a.tif"
        self.write(path, 3, "uint8")
        assert read_image(path).is_picture

    def test_it_keeps_its_place(self, data):
        from zipfile import ZipFile

        with ZipFile(data / "eurosat_ms.zip") as archive:
            name = next(name for name in archive.namelist() if name.endswith(".tif"))
            content = archive.read(name)
        image = decode_image(content, name, ["eurosat-ms"])
        with MemoryFile(content) as memory, memory.open() as file:
            assert (image.grid.crs, image.grid.transform) == (file.crs, file.transform)
            np.testing.assert_array_equal(image.values, file.read())
            np.testing.assert_array_equal(image.values[image.names.index("B8A")], file.read(13))

    @staticmethod
    def write(path, bands, dtype, names=None):
        with rasterio.open(
            path, "w", driver="GTiff", width=16, height=16, count=bands, dtype=dtype, transform=[10, 0, 5, 0, -10, 5]
        ) as file:
            file.write(np.arange(1, bands + 1, dtype=dtype)[:, None, None].repeat(16, 1).repeat(16, 2))
            if names:
                file.descriptions = names


class TestRefusals:
    @pytest.mark.parametrize("content", [b"", b"hello", b"GIF89a" + bytes(50), b"<!DOCTYPE html>"])
    def test_what_is_no_image(self, content):
        with pytest.raises(InputError, match="x is not an image"):
            decode_image(content, "x")

    def test_the_head_of_a_png_alone(self):
        for length in (8, 20, 24, 25):
            with pytest.raises(InputError, match="x is damaged"):
                decode_image(b"\x89PNG\r\n\x1a\n".ljust(length, b"\0"), "x")

    @pytest.mark.parametrize("kind", ["jpeg", "png"])
    @pytest.mark.parametrize("kept", [0.3, 0.9])
    def test_truncated(self, colors, kind, kept):
        whole = encoded(colors, kind)
        with pytest.raises(InputError, match="x is damaged"):
            decode_image(whole[: int(kept * len(whole))], "x")

    def test_truncated_tiff(self, tmp_path):
        path = tmp_path / "a.tif"
        TestRasters.write(path, 13, "uint16")
        path.write_bytes(path.read_bytes()[:-3000])
        with pytest.raises(InputError, match=r"a\.tif"):
            read_image(path, ["eurosat-ms"])

    def test_too_small(self):
        with pytest.raises(InputError, match="1 x 1 px; a patch has at least 8"):
            decode_image(encoded(np.zeros((1, 1, 3), np.uint8)), "x")

    def test_a_bomb_is_refused_by_its_header(self):
        header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
        png = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in chunks
        )
        with pytest.raises(LimitError, match="30000 x 30000 px, a patch has at most 2048"):
            decode_image(png, "x")

    def test_grey(self):
        with pytest.raises(InputError, match="holds L values, not colours"):
            decode_image(encoded(np.zeros((16, 16), np.uint8)), "x")

    def test_missing_and_folder(self, tmp_path):
        for path in (tmp_path / "none.jpg", tmp_path):
            with pytest.raises(InputError, match="there is no file"):
                read_image(path)


def test_values_must_fit_their_names_and_mask(colors):
    image = decode_image(encoded(colors), "a")
    with pytest.raises(ValueError, match="1 bands"):
        replace(image, names=("B04",))


def test_a_file_that_may_not_be_read(colors, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded(colors))

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(StorageError, match=r"a\.png cannot be read: Permission denied"):
        read_image(tmp_path / "a.png")
