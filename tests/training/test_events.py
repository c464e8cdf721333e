"""TensorBoard's event files hold the history."""

import sys

import pytest

from lulc.errors import ConfigError, StorageError
from lulc.training.events import check_events, write_events

HISTORY = [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}, {"step": 20, "val_loss": 0.75, "val_f1": 0.5}]


def test_every_number_at_its_step(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    check_events(tmp_path / "events")
    write_events(HISTORY, tmp_path / "events")
    read = EventAccumulator(str(tmp_path / "events")).Reload()
    assert sorted(read.Tags()["scalars"]) == ["loss", "val_f1", "val_loss"]
    assert [(event.step, event.value) for event in read.Scalars("loss")] == [(10, 0.5), (20, 0.25)]
    assert [(event.step, event.value) for event in read.Scalars("val_loss")] == [(20, 0.75)]


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "events").write_text("mine")
    with pytest.raises(StorageError, match="events is a file"):
        check_events(tmp_path / "events")


def test_without_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"TensorBoard is not installed; pip install 'lulc\[tensorboard\]'"):
        check_events(tmp_path / "events")
