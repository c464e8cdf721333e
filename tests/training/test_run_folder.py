"""The folder of a run: checkpoints whole or absent, histories that rewind, settings that must not change."""

import os

import pytest
import torch

from lulc.errors import ConfigError, StorageError
from lulc.training.run_folder import CHECKPOINT, HISTORY, RunFolder


def test_a_checkpoint_comes_back(tmp_path):
    run = RunFolder(tmp_path)
    assert run.load_checkpoint() is None
    run.save_checkpoint({"progress": {"step": 3}, "network": {"a": torch.arange(4.0)}})
    state = run.load_checkpoint()
    assert state["progress"]["step"] == 3
    assert torch.equal(state["network"]["a"], torch.arange(4.0))
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_failed_checkpoint_leaves_the_one_before(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    run.save_checkpoint({"step": 1})
    monkeypatch.setattr("os.fsync", lambda _handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match="disk is full"):
        run.save_checkpoint({"step": 2})
    monkeypatch.undo()
    assert run.load_checkpoint() == {"step": 1}


def test_a_damaged_checkpoint_is_named(tmp_path):
    run = RunFolder(tmp_path)
    run.save_checkpoint({"step": 1})
    file = tmp_path / CHECKPOINT
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(StorageError, match=CHECKPOINT):
        run.load_checkpoint()


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("owned",)

    torch.save({"x": Evil()}, tmp_path / CHECKPOINT)
    with pytest.raises(StorageError):
        RunFolder(tmp_path).load_checkpoint()


def test_history_rewinds_and_forgives_a_cut_line(tmp_path):
    run = RunFolder(tmp_path)
    for step in (1, 2, 3):
        run.note({"step": step, "loss": step / 2})
    with (tmp_path / HISTORY).open("a") as file:
        file.write('{"step": 4, "lo')
    assert [line["step"] for line in run.history()] == [1, 2, 3]
    run.rewind(2)
    assert [line["step"] for line in run.history()] == [1, 2]
    assert (tmp_path / HISTORY).read_text().count("\n") == 2


def test_a_run_is_not_replaced_unless_asked(tmp_path):
    run, table = RunFolder(tmp_path / "run"), {"name": "a", "data": "set", "fit": {"seed": 1}}
    with run.held():
        run.begin(table, resume=False, overwrite=False)
        run.note({"step": 1})
        with pytest.raises(StorageError, match="--resume"):
            run.begin(table, resume=False, overwrite=False)
        run.begin(table, resume=True, overwrite=False)
        assert run.history()
        run.begin(table, resume=False, overwrite=True)
        assert not run.history()


def test_one_training_at_a_time(tmp_path):
    with RunFolder(tmp_path / "run").held(), pytest.raises(StorageError, match="in use"):
        RunFolder(tmp_path / "run").held().__enter__()
    with RunFolder(tmp_path / "run").held():
        pass


def test_settings_of_something_else_do_not_make_a_run(tmp_path):
    (tmp_path / "settings.json").write_text('{"editor.tabSize": 4}')
    (tmp_path / "model.safetensors").write_text("mine")
    with pytest.raises(StorageError, match="no training run"):
        RunFolder(tmp_path).check(resume=False, overwrite=True)


@pytest.mark.parametrize("line", ["5", "{}", "[]", "\udcff"])
def test_strange_lines_end_the_history(tmp_path, line):
    run = RunFolder(tmp_path)
    run.note({"step": 1})
    with (tmp_path / HISTORY).open("ab") as file:
        file.write(line.encode("utf-8", "surrogateescape") + b"\n")
    assert run.history() == [{"step": 1}]


def test_a_folder_of_something_else_is_never_emptied(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StorageError, match="exists"):
        RunFolder(tmp_path).begin({"seed": 1}, resume=False, overwrite=False)
    with pytest.raises(StorageError, match="no training run"):
        RunFolder(tmp_path).begin({"seed": 1}, resume=False, overwrite=True)


def test_only_what_does_not_matter_may_change(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    table = {"name": "a", "data": "set", "fit": {"seed": 1, "device": "cpu"}, "samples": {"workers": 1}}
    run.begin(table, resume=True, overwrite=False)
    run.begin({**table, "fit": {"seed": 1, "device": "cuda"}}, resume=True, overwrite=False)
    with pytest.raises(ConfigError, match=r"fit\.seed = 1, not 2"):
        run.begin({**table, "fit": {"seed": 2, "device": "cpu"}}, resume=True, overwrite=False)


def test_damaged_weights_are_named(tmp_path):
    run = RunFolder(tmp_path)
    run.save_weights("best-loss", {"a": torch.ones(100)})
    file = tmp_path / "best-loss.safetensors"
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(StorageError, match=r"best-loss\.safetensors is damaged"):
        run.load_weights("best-loss")


def test_who_trains_is_told_and_a_lock_that_a_kill_left_is_no_run(tmp_path):
    path = tmp_path / "run"
    with (
        RunFolder(path).held(),
        pytest.raises(StorageError, match=rf"in use by another training \(process {os.getpid()} on"),
    ):
        RunFolder(path).held().__enter__()
    path.mkdir()
    (path / ".lock").write_text("lulc process 1 on elsewhere")
    RunFolder(path).check(resume=False, overwrite=False)
    with RunFolder(path).held():
        pass
    assert not path.exists()


def test_a_history_that_is_a_link_is_not_written_to(tmp_path):
    (tmp_path / "thesis").write_text("dear")
    (tmp_path / HISTORY).symlink_to(tmp_path / "thesis")
    with pytest.raises(StorageError, match=HISTORY):
        RunFolder(tmp_path).note({"step": 1})
    assert (tmp_path / "thesis").read_text() == "dear"
