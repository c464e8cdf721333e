"""The folder of a band study: settings and finished folds in bands.json, the splits, and the training under way."""

import copy
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lulc.config import parse_json
from lulc.errors import ConfigError, StorageError
from lulc.io.files.atomic import write_whole
from lulc.io.files.fingerprint import json_fingerprint
from lulc.io.files.lock import refuse_link
from lulc.io.files.storage import storage_errors
from lulc.patches.learn.settings import PatchSettings
from lulc.patches.learn.split import PatchSplit
from lulc.patches.study.bands_report import BandRow, Combination, FoldScore
from lulc.training.run_folder import holds_nothing

ROWS, TABLE, PICTURE = "bands.json", "bands.md", "bands.png"

_KIND = "lulc band study"
_MAY_DIFFER = (("fit", "device"), ("samples", "workers"), ("samples", "cache_mb"))


class StudyFolder:
    """Keeps the state of a study, so that it can be stopped after any fold and continued."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begun: dict[str, Any] = {}
        self._rows: dict[str, BandRow] = {}

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a folder that must not be written, before any work is done."""
        if holds_nothing(self.path):
            return
        if not (resume or overwrite):
            raise StorageError(f"{self.path} exists", "continue it with --resume, or replace it with --overwrite")
        if self._read().get("kind") != _KIND:
            raise StorageError(f"{self.path} holds no band study", "it is not replaced; choose another name")

    def begin(self, settings: PatchSettings, splits: Sequence[PatchSplit], *, resume: bool) -> None:
        """Take up the study that is there, or start afresh.

        Raises:
            ConfigError: It was begun with other settings, folds or patches.
        """
        split_digest = json_fingerprint([sorted(split.names.items()) for split in splits])
        self._begun = {"kind": _KIND, "settings": settings.to_table(), "dealt": split_digest}
        before = self._read() if resume else {}
        if before:
            if before["dealt"] != split_digest:
                raise ConfigError(f"{self.path} was begun with other patches or folds", "use another OUT")
            if _compared(before["settings"]) != _compared(self._begun["settings"]):
                raise ConfigError(f"{self.path} was begun with other settings", "use another OUT")
            self._rows = {row["combination"]: _parsed_row(row) for row in before["rows"]}
        else:
            self._clear()
        self._save()
        with storage_errors(self.path):
            (self.path / "folds").mkdir(exist_ok=True)
        for fold, split in enumerate(splits, 1):
            split.write(self._split(fold))

    def has(self, combination: Combination, fold: int) -> bool:
        """True when that fold has been tested."""
        row = self._rows.get(combination.name, BandRow(combination, ()))
        if row.combination != combination:
            begun = " ".join(row.combination.bands)
            raise ConfigError(f"{self.path}: {combination.name} was begun with {begun}", "use another OUT")
        return any(score.fold == fold for score in row.folds)

    @contextmanager
    def run(self, combination: Combination, fold: int, settings: PatchSettings) -> Iterator[tuple[Path, PatchSettings]]:
        """Folder and settings of one training; the folder is removed when it has ended well."""
        folder = self.path / f"run-{combination.name}-{fold}"
        split = settings.split.model_copy(update={"file": self._split(fold)})
        yield folder, settings.model_copy(update={"use": combination.bands, "split": split})
        shutil.rmtree(folder, ignore_errors=True)

    def note(self, combination: Combination, fold: int, scores: Mapping[str, Any], seconds: float) -> None:
        """Keep the score of a fold; it survives a kill."""
        found = {
            name: (round((one["recall"] or 0) * one["patches"]), one["patches"])
            for name, one in scores["per_class"].items()
        }
        correct = round(scores["accuracy"] * scores["patches"])
        row = self._rows.get(combination.name, BandRow(combination, ()))
        score = FoldScore(fold, scores["patches"], correct, found, seconds)
        self._rows[combination.name] = BandRow(combination, (*row.folds, score))
        self._save()

    def rows(self, folds: int) -> list[BandRow]:
        """Combinations of which every fold has been tested."""
        return [
            BandRow(row.combination, tuple(sorted(row.folds, key=lambda score: score.fold)))
            for row in self._rows.values()
            if len(row.folds) == folds
        ]

    def _split(self, fold: int) -> Path:
        return self.path.resolve() / "folds" / f"fold-{fold}.csv"

    def _save(self) -> None:
        rows = [
            {"combination": one.combination.name, "bands": one.combination.bands, "folds": list(map(asdict, one.folds))}
            for one in self._rows.values()
        ]
        write_whole(self.path / ROWS, (json.dumps(self._begun | {"rows": rows}, indent=1) + "\n").encode())

    def _read(self) -> dict[str, Any]:
        try:
            state = parse_json((self.path / ROWS).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _clear(self) -> None:
        """Remove what an earlier study left."""
        with storage_errors(self.path):
            for name in (ROWS, TABLE, PICTURE):
                (self.path / name).unlink(missing_ok=True)
            for folder in (*self.path.glob("run-*-*"), self.path / "folds"):
                refuse_link(folder)
                shutil.rmtree(folder, ignore_errors=True)


def _parsed_row(row: Mapping[str, Any]) -> BandRow:
    """A row of bands.json."""
    scores = (
        {**score, "found": {name: tuple(pair) for name, pair in score["found"].items()}} for score in row["folds"]
    )
    return BandRow(Combination(row["combination"], tuple(row["bands"])), tuple(FoldScore(**score) for score in scores))


def _compared(table: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without what may change between two runs of a study: device, memory, place of the data."""
    kept: dict[str, Any] = copy.deepcopy({key: value for key, value in table.items() if key != "data"})
    for part, key in _MAY_DIFFER:
        kept[part].pop(key, None)
    return kept
