"""Bayesian smoothing, against a pixel-by-pixel reading of the formula."""

import numpy as np
import pytest

from lulc.tasks.clean.smooth import Smoothing, smooth


def steps_of(rng, classes, height, width, holes=0.1):
    shares = rng.random((classes, height, width)) ** 3
    steps = np.floor(250 * shares / shares.sum(axis=0)).astype(np.uint8)
    steps[0] += (250 - steps.sum(axis=0, dtype=np.int64)).astype(np.uint8)
    steps[:, rng.random((height, width)) < holes] = 255
    return steps


def padded(steps, smoothing):
    halo = smoothing.halo
    return np.pad(steps, ((0, 0), (halo, halo), (halo, halo)), constant_values=255)


def logit(steps):
    return np.log((steps + 0.5) / (250.5 - steps))


def pixel_by_pixel(steps, smoothing):
    around = padded(steps, smoothing)
    found = np.full(steps.shape, np.nan)
    for (row, col), first in np.ndenumerate(steps[0]):
        if first == 255:
            continue
        for k in range(len(steps)):
            near = around[k, row : row + smoothing.window, col : col + smoothing.window].ravel().astype(float)
            known = np.sort(near[near != 255])[::-1]
            top = logit(known[: (known.size + 1) // 2])
            mean, variance = top.mean(), top.var()
            x = (variance * logit(float(steps[k, row, col])) + smoothing.strength * mean) / (
                variance + smoothing.strength
            )
            found[k, row, col] = 1 / (1 + np.exp(-x))
    return found / found.sum(axis=0)


@pytest.mark.parametrize("smoothing", [Smoothing(3, 10), Smoothing(5, 1), Smoothing(7, 20), Smoothing(15, 0.1)])
def test_the_formula(smoothing):
    steps = steps_of(np.random.default_rng(smoothing.window), 4, 23, 19)
    found = smooth(padded(steps, smoothing), smoothing)
    known = steps[0] != 255
    np.testing.assert_allclose(found[:, known], pixel_by_pixel(steps, smoothing)[:, known], atol=2e-6)
    np.testing.assert_allclose(found[:, known].sum(axis=0), 1, atol=1e-6)


def test_any_window_gives_the_same_bytes():
    smoothing = Smoothing(5, 10)
    whole = padded(steps_of(np.random.default_rng(1), 5, 150, 1100), smoothing)
    expected = smooth(whole, smoothing)
    for height, width in ((150, 1100), (64, 512), (37, 701), (1, 1100)):
        for row in range(0, 150, height):
            for col in range(0, 1100, width):
                part = smooth(whole[:, row : row + height + 4, col : col + width + 4], smoothing)
                same = expected[:, row : row + height, col : col + width]
                assert part.tobytes() == np.ascontiguousarray(same).tobytes()


def test_borders_stay_and_specks_and_thin_lines_go():
    """What the upper half of a neighbourhood keeps, and what it does not: straight borders, no lines of up to two pixels of five."""

    def after(codes):
        steps = np.where(codes[None] == np.arange(2)[:, None, None], 200, 50).astype(np.uint8)
        return smooth(padded(steps, Smoothing(5, 10)), Smoothing(5, 10)).argmax(axis=0)

    rows, columns = np.mgrid[:40, :40]
    for kept in (columns > 20, rows > 11, np.abs(columns - 20) < 2, (rows > 20) & (rows < 25)):
        np.testing.assert_array_equal(after(kept.astype(int)), kept)
    for lost in (columns == 20, (columns == 20) | (columns == 21), (columns == 20) & (rows == 20)):
        assert not after(lost.astype(int)).any()
    corner = ((columns > 20) & (rows > 20)).astype(int)
    assert 0 < np.count_nonzero(after(corner) != corner) < 10


def test_nothing_but_pixels_without_data():
    steps = np.full((3, 9, 9), 255, np.uint8)
    assert smooth(steps, Smoothing(5, 10)).shape == (3, 5, 5)
