"""Samples: crops and mosaics, repeatable by step, balanced on request."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from lulc.errors import InputError
from lulc.io.labels.training_set import TrainingSet
from lulc.threads import in_order
from lulc.training.samples import Cache, Samples, check_labels, chip_odds
from lulc.training.scenes import train_scenes
from lulc.training.settings import SampleSettings
from tests.support.training_sets import BANDS, make_set, settings

NAMES = ("B02", "B03", "B04", "B08")


def sampler(data, **settings):
    return Samples(data, NAMES, SampleSettings(**{"crop": 64, **settings}), seed=1)


def test_a_step_is_repeatable_by_its_number(blob_set):
    first, second = sampler(blob_set), sampler(blob_set)
    second.draw(3, [0])  # what was drawn before does not matter
    for one, other in zip(first.draw(7, [0, 1]), second.draw(7, [0, 1]), strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.label, other.label)


def test_processes_share_a_step_without_overlap(blob_set):
    data = sampler(blob_set)
    whole = data.draw(2, [0, 1, 2, 3])[0]
    parts = [data.draw(2, rows)[0] for rows in ([0, 2], [1, 3])]
    np.testing.assert_array_equal(whole.image[[0, 2]], parts[0].image)
    np.testing.assert_array_equal(whole.image[[1, 3]], parts[1].image)


def test_small_chips_fill_a_sample_side_by_side(blob_set):
    (pieces,) = sampler(blob_set, crop=160).draw(0, [0])
    assert pieces.across == 3
    assert pieces.image.shape == (9, 4, 54, 54)


def test_large_chips_are_cropped(tmp_path):
    data = make_set(tmp_path / "set", sides=(64, 64, 200, 64, 200), val=1)
    groups = sampler(data, crop=128).draw(0, range(16))
    assert {group.across: group.image.shape[-1] for group in groups} == {1: 128, 2: 64}


def test_odds_follow_weights_and_balance(blob_set):
    chips = blob_set.split("train")
    assert chip_odds(chips, 0.0) == pytest.approx(np.full(len(chips), 1 / len(chips)))
    balanced = chip_odds(chips, 1.0)
    pixels = np.array([chip.pixels for chip in chips], float)
    rare = pixels.sum(0).argmin()
    assert np.corrcoef(balanced, pixels[:, rare] / pixels.sum(1))[0, 1] > 0.5


def test_the_cache_keeps_its_limit(blob_set):
    read = []
    chips = blob_set.split("train")

    def load(chip):
        read.append(chip.name)
        return blob_set.image(chip), blob_set.label(chip)

    size = sum(part.nbytes for part in load(chips[0]))
    read.clear()
    cache = Cache(load, 2 * size)
    for chip in (*chips[:2], *chips[:2], chips[2], chips[1], chips[0]):
        cache(chip)
    assert read == [chips[0].name, chips[1].name, chips[2].name, chips[0].name]


def test_two_threads_that_load_one_chip_keep_it_once(blob_set):
    chip = blob_set.split("train")[0]
    size = blob_set.image(chip).nbytes
    waiting = [chip]

    def load(_):
        if waiting:
            cache(waiting.pop())  # as another thread does meanwhile
        return (blob_set.image(chip),)

    cache = Cache(load, size)
    cache(chip)
    assert (cache._bytes, list(cache._kept)) == (size, [chip.name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": (0, 0, 0)}, "has no labelled chips in the split 'train'"),
        ({"weight": 0.0}, "have the weight 0"),
    ],
)
def test_a_set_without_anything_to_draw_is_refused(blob_set, changes, message):
    chips = [replace(chip, **changes) if chip.split == "train" else chip for chip in blob_set.chips]
    with pytest.raises(InputError, match=message):
        sampler(TrainingSet(blob_set.path, blob_set.card, chips))


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("lost", ["labels", "images"])
def test_a_split_whose_files_hold_no_label_is_refused_whatever_the_list_says(tmp_path, split, lost):
    data = make_set(tmp_path / "set", sides=(64,) * 6)
    for chip in data.split(split):
        path = data.path / lost / f"{chip.name}.npy"
        old = np.load(path)
        np.save(path, np.full_like(old, 255 if lost == "labels" else np.nan))
    for name in {"train", "val"} - {split}:
        check_labels(data, BANDS, name)
    with pytest.raises(InputError, match=f"no labelled pixel with data in the split '{split}'"):
        check_labels(data, BANDS, split)
    with pytest.raises(InputError, match="no labelled pixel"):
        train_scenes(settings(data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_reading_ahead_keeps_order_and_brings_errors():
    assert list(in_order(lambda step: step * 2, range(5), 3)) == [0, 2, 4, 6, 8]

    def broken(step):
        if step == 3:
            raise InputError("chip 3 is damaged")
        return step

    seen, before = [], set(threading.enumerate())
    with pytest.raises(InputError, match="chip 3"):
        seen.extend(in_order(broken, range(9), 2))
    assert seen == [0, 1, 2]
    assert set(threading.enumerate()) <= before


def test_a_list_that_lies_about_sizes_is_refused(tmp_path):
    data = make_set(tmp_path / "set")
    text = (data.path / "chips.csv").read_text()
    (data.path / "chips.csv").write_text(text.replace(",64,64,", ",80,80,"))
    from lulc.io.labels.training_set import open_training_set

    with pytest.raises(InputError, match="chip_"):
        sampler(open_training_set(data.path)).draw(0, [0])
