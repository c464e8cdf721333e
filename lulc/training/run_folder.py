"""What a training run leaves behind: settings, history, checkpoint, best weights.

* OUT/settings.json    what ran
* OUT/.lock            held (flock) by the training at work; says where it runs
* OUT/history.jsonl    one line a step that was noted: loss, learning rate, scores
* OUT/checkpoint.pt    everything needed to continue
* OUT/best-loss.safetensors, OUT/best-score.safetensors
* OUT/card.json, OUT/model.safetensors, OUT/curves.png   when training has ended
"""

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lulc.config import parse_json
from lulc.errors import ConfigError, StorageError, raised_as
from lulc.io.files.atomic import append_line, write_whole
from lulc.io.files.lock import HeldError, take_lock
from lulc.io.files.storage import storage_errors
from lulc.model.bundle_files import CARD, WEIGHTS

SETTINGS, HISTORY, CHECKPOINT = "settings.json", "history.jsonl", "checkpoint.pt"

_LOCK = ".lock"
_FILES = (CHECKPOINT, HISTORY, CARD, "best-loss.safetensors", "best-score.safetensors", WEIGHTS, "curves.png")


class RunFolder:
    """The folder of one run.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the folder, made when it is not there, from a second process; removed again if nothing is written.

        Raises:
            StorageError: Another process trains into it, or it cannot be made.
        """
        handle = self._take()
        try:
            yield
        finally:
            with suppress(OSError):
                (self.path / _LOCK).unlink()
            os.close(handle)
            with suppress(OSError):
                self.path.rmdir()  # refused unless it is empty

    def _take(self) -> int:
        """Make the folder and lock it; the handle holds the lock."""
        with storage_errors(self.path):
            while True:
                self.path.mkdir(parents=True, exist_ok=True)
                try:
                    return take_lock(self.path / _LOCK)
                except FileNotFoundError:
                    continue  # a training that has just ended removed the empty folder: make it again
                except HeldError as error:
                    problem = f"{self.path} is in use by another training ({error.holder})"
                    raise StorageError(problem, "wait for it, or use another OUT") from error

    def _is_run(self) -> bool:
        """True when the settings in the folder are those of a training."""
        file = self.path / SETTINGS
        try:
            return {"name", "data", "fit"} <= set(parse_json(file.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return False

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a folder that must not be written, before any work is done.

        Raises:
            StorageError: It exists and may neither be continued nor replaced.
        """
        if holds_nothing(self.path):
            return
        if (resume or overwrite) and not self._is_run():
            raise StorageError(f"{self.path} holds no training run", "it is not replaced; choose another name")
        if not resume and not overwrite:
            raise StorageError(f"{self.path} exists", "continue it with --resume, or replace it with --overwrite")

    def begin(self, settings: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Make the folder, or take up what is there.

        Raises:
            StorageError: It exists and may neither be continued nor replaced.
            ConfigError: It is to be continued with other settings.
        """
        self.check(resume=resume, overwrite=overwrite)
        file = self.path / SETTINGS
        if file.is_file() and resume:
            with raised_as(
                StorageError, f"cannot read {file}", "replace the run with --overwrite", OSError, ValueError
            ):
                before = parse_json(file.read_text("utf-8"))
            self._check_same(before, settings)
        with storage_errors(self.path):
            for name in () if resume else _FILES:
                (self.path / name).unlink(missing_ok=True)
        text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
        write_whole(file, text.encode())

    def _check_same(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """The run may move to another device or memory; anything else would not be the same run."""
        for place, old, new in _differences(before, now):
            if place not in {"fit.device", "samples.workers", "samples.cache_mb"}:
                raise ConfigError(f"{self.path} was trained with {place} = {old!r}, not {new!r}", "use another OUT")

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint in one move: a killed process leaves the one before.

        Raises:
            StorageError: The disk is full or refuses; the checkpoint before stays.
        """
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        write_whole(self.path / CHECKPOINT, buffer.getbuffer())  # type: ignore[arg-type]  # a view needs no copy

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The checkpoint, on the CPU, or None when there is none.

        Raises:
            StorageError: It cannot be read.
        """
        file = self.path / CHECKPOINT
        if not file.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file fails in many ways
            raise self.damaged(error) from error
        return state

    def damaged(self, error: Exception) -> StorageError:
        """What to say of a checkpoint that cannot be continued."""
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return StorageError(f"cannot continue from {self.path / CHECKPOINT}: {reason}", "remove it to start afresh")

    def save_weights(self, name: str, state: Mapping[str, Tensor]) -> None:
        """Replace the weights file `name` in one move."""
        from safetensors.torch import save

        plain = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
        write_whole(self.path / f"{name}.safetensors", save(plain))

    def load_weights(self, name: str) -> dict[str, Tensor] | None:
        """Weights saved under `name`, or None."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        file = self.path / f"{name}.safetensors"
        with raised_as(StorageError, f"{file} is damaged", "train again with --overwrite", SafetensorError):
            return load(file.read_bytes()) if file.is_file() else None

    def kept_weights(self, keep: str) -> dict[str, Tensor] | None:
        """The averaged weights that become the model: those of the least `loss`, the `last`, or of the best score."""
        name = "best-loss" if keep == "loss" else "best-score"
        best = self.load_weights(name) if keep != "last" else None
        if best is not None:
            return best
        state = self.load_checkpoint()
        return state["average"] if state else None

    def note(self, line: Mapping[str, Any]) -> None:
        """Add a line to the history."""
        append_line(self.path / HISTORY, json.dumps(line))

    def history(self, until: int | None = None) -> list[dict[str, Any]]:
        """Lines of the history up to a step; a last line that a kill cut short is left out."""
        file = self.path / HISTORY
        lines = []
        for text in file.read_text("utf-8", "replace").splitlines() if file.is_file() else ():
            try:
                line = parse_json(text)
                step = int(line["step"])
            except (ValueError, TypeError, KeyError):
                break
            if until is None or step <= until:
                lines.append(line)
        return lines

    def rewind(self, step: int) -> None:
        """Forget what was noted after a step: it will be noted again."""
        kept = "".join(json.dumps(line) + "\n" for line in self.history(step))
        write_whole(self.path / HISTORY, kept.encode())


def holds_nothing(folder: Path) -> bool:
    """True for a folder that is not there, or empty but for the lock of a training."""
    return not folder.exists() or (folder.is_dir() and all(path.name == _LOCK for path in folder.iterdir()))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], place: str = "") -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{place}{key}.")
        elif old != new:
            found.append((place + key, old, new))
    return found
