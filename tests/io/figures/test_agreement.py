import numpy as np
import pytest

from lulc.errors import StorageError
from lulc.io.figures.agreement import _short_count, write_confusion, write_reliability
from lulc.metrics.calibration import Reliability
from lulc.metrics.confusion import ConfusionMatrix


def matrix_of(classes, name="class"):
    counts = np.random.default_rng(0).integers(0, 10**6, (classes, classes))
    counts[0] = 0
    return ConfusionMatrix(counts, tuple(f"{name} {number}" for number in range(classes)))


def calibration_of(shares):
    collector = Reliability(2)
    collector.feed(np.float32([shares, 1 - np.float32(shares)]), np.uint8([1] * len(shares)))
    return collector.result()


def size_of(path):
    """Width and height of a PNG, pixels."""
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


@pytest.mark.parametrize("classes", [1, 2, 9, 44])
@pytest.mark.whole
def test_any_number_of_classes(tmp_path, classes):
    write_confusion(tmp_path / "confusion.png", matrix_of(classes), "map and reference")
    width, height = size_of(tmp_path / "confusion.png")
    assert 300 < width < 3000
    assert 300 < height < 3000


def test_names_are_text_and_not_formulas(tmp_path):
    write_confusion(tmp_path / "confusion.png", matrix_of(3, r"$\frac{a}$ & _b_ " + 40 * "x"), "$x$ & y" * 40)
    assert size_of(tmp_path / "confusion.png")[0] < 1200


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (12_400, "12k"), (3_400_000, "3.4M"), (2 * 10**9, "2.0G")],
)
def test_counts_have_three_digits_at_most(count, text):
    assert _short_count(count) == text


def test_no_pixels(tmp_path):
    write_confusion(tmp_path / "confusion.png", ConfusionMatrix.empty(("a", "b")), "nothing")
    assert size_of(tmp_path / "confusion.png")


@pytest.mark.parametrize("shares", [[1.0], [0.5, 0.5], list(np.linspace(0.5, 1, 500))])
def test_reliability(tmp_path, shares):
    write_reliability(tmp_path / "reliability.png", calibration_of(shares), "map and reference")
    assert size_of(tmp_path / "reliability.png") == (780, 945)


def test_the_same_numbers_give_the_same_file(tmp_path):
    for name in ("first", "second"):
        write_confusion(tmp_path / name, matrix_of(4), "map")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_no_folder(tmp_path):
    with pytest.raises(StorageError, match="its folder does not exist"):
        write_confusion(tmp_path / "nowhere" / "confusion.png", matrix_of(2), "map")
