import numpy as np
import pytest

from lulc.errors import StorageError
from lulc.io.figures.agreement import FigureWords, _percent, write_confusion
from lulc.metrics.confusion import ConfusionMatrix
from lulc.patches.dataset import open_patch_set
from lulc.patches.study.figures import PATCHES, Picture, PictureRow, write_patch_confusion, write_picture_rows


def size_of(path):
    """Width and height of a PNG, pixels."""
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def pixels_of(path):
    from matplotlib.image import imread

    return np.round(imread(path)[..., :3] * 255).astype(np.uint8)


def noise(height=64, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def rows_of(pictures, rows=1):
    drawn = tuple(Picture(pixels, "0.987", f"Highway_{number}") for number, pixels in enumerate(pictures))
    return [PictureRow("Highway taken for River: 9 of 400", drawn)] * rows


def test_rows_are_actual(tmp_path):
    """A matrix of ours has predicted classes as rows; the picture has them as columns."""
    matrix = ConfusionMatrix(np.array([[5, 3], [0, 4]]), ("a", "b"))
    write_patch_confusion(tmp_path / "ours.png", matrix, "title")
    write_confusion(tmp_path / "turned.png", ConfusionMatrix(np.array([[5, 0], [3, 4]]), ("a", "b")), "title", PATCHES)
    write_confusion(tmp_path / "not.png", matrix, "title", PATCHES)
    ours, turned, other = ((tmp_path / name).read_bytes() for name in ("ours.png", "turned.png", "not.png"))
    assert ours == turned
    assert ours != other


def test_words_make_a_difference(tmp_path):
    matrix = ConfusionMatrix(np.array([[2394, 6], [1, 1999]]), ("a", "b"))
    for number, words in enumerate((FigureWords(), PATCHES)):
        write_confusion(tmp_path / f"{number}.png", matrix, "title", words)
    assert (tmp_path / "0.png").read_bytes() != (tmp_path / "1.png").read_bytes()


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [
        (0, 1, "0.0 %"),
        (0.0002, 1, "< 0.1 %"),
        (0.004, 0, "< 1 %"),
        (0.986, 1, "98.6 %"),
        (0.9997, 1, "> 99.9 %"),
        (0.997, 0, "> 99 %"),
        (1, 1, "100 %"),
    ],
)
def test_little_is_not_none_and_nearly_all_is_not_all(share, decimals, text):
    assert _percent(share, decimals) == text


def test_pixels_are_shown_as_they_are(tmp_path):
    """A patch of 64 px is drawn at three times its size, without smoothing."""
    patch = noise()
    write_picture_rows(tmp_path / "rows.png", rows_of([patch]), "headline", "title")
    shown = pixels_of(tmp_path / "rows.png")
    middles = [
        shown[row : row + 192 : 3, column : column + 192 : 3] for row in range(148, 155) for column in range(22, 29)
    ]
    assert sum(np.array_equal(middle, patch) for middle in middles) >= 1


@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("pictures", [1, 6, 9])
@pytest.mark.whole
def test_size_follows_the_rows(tmp_path, rows, pictures):
    write_picture_rows(tmp_path / "rows.png", rows_of([noise(8, 8)] * pictures, rows), "headline", "title")
    width, height = size_of(tmp_path / "rows.png")
    assert width == pytest.approx(1320, abs=1)
    assert height == pytest.approx(150 * (0.72 + rows * 1.98), abs=1)


def test_any_shape_and_any_words(tmp_path):
    odd = [noise(8, 200), noise(300, 20), noise(1000, 1000)]
    row = PictureRow(r"$\frac{a}$ & " * 30, tuple(Picture(pixels, "$x", "_" * 200) for pixels in odd))
    write_picture_rows(tmp_path / "rows.png", [row], "headline", r"$\frac{b}$" * 40)
    assert size_of(tmp_path / "rows.png")[0] < 1400


def test_the_same_pictures_give_the_same_file(tmp_path):
    for name in ("first", "second"):
        write_picture_rows(tmp_path / name, rows_of([noise()]), "headline", "title")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_no_folder(tmp_path):
    with pytest.raises(StorageError, match="its folder does not exist"):
        write_picture_rows(tmp_path / "nowhere" / "rows.png", rows_of([noise()]), "headline", "title")


def test_eurosat(tmp_path, data):
    """Pictures and 13-band patches of one ground look alike."""
    pictures = open_patch_set(data / "eurosat_rgb.zip")
    bands = open_patch_set(data / "eurosat_ms.zip", ["eurosat-ms"])
    names = {patch.name: patch for patch in pictures.patches}
    both = [(names[twin], patch) for patch in bands.patches if (twin := patch.name.replace(".tif", ".jpg")) in names][
        ::40
    ]
    rows = [
        PictureRow(kind, tuple(Picture(image.colors(), "0.987", image.name.rpartition("/")[2]) for image in images))
        for kind, images in {
            "pictures": [pictures.read(picture) for picture, _ in both],
            "13 bands": [bands.read(patch) for _, patch in both],
        }.items()
    ]
    write_picture_rows(tmp_path / "rows.png", rows, "The same ground twice", "eurosat_rgb.zip and eurosat_ms.zip")
    shown = pixels_of(tmp_path / "rows.png").astype(int)
    first, second = (shown[round(150 * top) : round(150 * top) + 192, 30:200] for top in (1.0, 2.98))
    assert np.abs(first - second).mean() < 12
    assert first.std() > 3
