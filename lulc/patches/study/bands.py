"""The band study: which bands tell the classes apart, with one network, one seed and the same patches for each.

Every combination trains the same network on the same folds; with k folds each patch is tested once, by a network that
has not seen it. The combinations are those of Helber et al. 2019 (doi:10.1109/JSTARS.2019.2918242): colour-infrared is
B08, B04, B03 there. What could be read of it names no bands of its short-wave infrared: B12, B08, B04 are common.
"""

import copy
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lulc.bands import sensor
from lulc.errors import ConfigError, InputError, StorageError, UsageError, did_you_mean
from lulc.io.files.atomic import write_whole
from lulc.io.files.fingerprint import json_fingerprint
from lulc.io.files.storage import storage_errors
from lulc.io.report.writer import write_markdown
from lulc.patches.dataset import Patch, PatchSet, check_outside, open_patch_set
from lulc.patches.learn.duplicates import patch_signatures, same_pixels
from lulc.patches.learn.settings import PatchSettings, SplitSettings
from lulc.patches.learn.split import PatchSplit, split_patches
from lulc.patches.learn.train import train_patches
from lulc.patches.options import StudyOptions
from lulc.patches.study.bands_report import BandRow, BandStudy, Combination, FoldScore, draw_study
from lulc.patches.study.spectra import check_band_order, count_rules, patch_means
from lulc.run import StepProgress, silent
from lulc.training.run_folder import RunFolder

COMBINATIONS = {"RGB": ("B04", "B03", "B02"), "CIR": ("B08", "B04", "B03"), "SWIR": ("B12", "B08", "B04")}
"""Pictures of three bands, as red, green and blue show them."""

SINGLES, ALL = "singles", "all"
"""Words for every band by itself, and for all of them together."""

ROWS, TABLE, PICTURE = "bands.json", "bands.md", "bands.png"

_KIND = "lulc band study"
_MAY_DIFFER = (("fit", "device"), ("samples", "workers"), ("samples", "cache_mb"))
_PROVEN_ON = 500
_log = logging.getLogger(__name__)


def study_bands(
    data: Path,
    output: Path,
    *,
    settings: PatchSettings,
    options: StudyOptions | None = None,
    progress: StepProgress = silent,
) -> BandStudy:
    """Train on each combination of bands and test it on patches that it has not seen.

    Args:
        data: Folder or zip of class folders.
        output: Folder of the study; finished folds are kept in its bands.json.
        settings: How to train; `data` and `use` in it are replaced, and so is a patch model as start: it has learnt from
            some of the bands, and may have seen the patches that are tested.
        options: How; None for the defaults.
        progress: Called with (steps done, steps, loss) over all trainings.

    Raises:
        LulcError: The patches or settings are refused, a combination is not known or has no bands there, writing
            failed, or Interrupted: the study can then be resumed.
    """
    options = options or StudyOptions()
    folds, resume = options.folds, options.resume
    if resume and options.overwrite:
        raise UsageError("--resume and --overwrite exclude each other", "choose one")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("a band study runs in one process", "start it without torchrun")
    settings, replaced = _without_knowledge(settings.model_copy(update={"data": data}))
    check_outside(output, data)
    patches = open_patch_set(data, settings.bands)
    names = [name for name in patches.read(patches.patches[0]).names if sensor().has((name,))]
    chosen, left_out = choose_combinations(names, options.combinations)
    folder = _StudyFolder(output)
    folder.check(resume=resume, overwrite=options.overwrite)
    splits = split_folds(
        patches, folds, settings.split, same_pixels(patches, patch_signatures(patches, settings.samples.workers))
    )
    notes = (*replaced, *left_out, *_proof(patches, settings))
    with RunFolder(output).held():
        folder.begin(settings, splits, resume=resume)
        wanted = [(combination, fold) for combination in chosen for fold in range(1, folds + 1)]
        for number, (combination, fold) in enumerate(wanted):
            if folder.has(combination, fold):
                continue
            with folder.run(combination, fold, settings) as (run, own):
                report = train_patches(own, run, resume=True, progress=_shifted(progress, number, len(wanted)))
                if report is not None:
                    folder.note(combination, fold, report.metrics["test"], report.seconds)
        study = BandStudy(
            output=str(output),
            data=data.name,
            network=f"{settings.network.name} from {settings.network.start}",
            folds=folds,
            rows=tuple(sorted(folder.rows(folds), key=lambda row: (-row.accuracy, row.combination.name))),
            notes=notes,
        )
        write_markdown(study, output / TABLE)
        draw_study(study, output / PICTURE)
    return study


def choose_combinations(
    names: Sequence[str], asked: Sequence[str] | None
) -> tuple[tuple[Combination, ...], tuple[str, ...]]:
    """Combinations that some bands allow, and a sentence on each that was left out.

    Args:
        names: Bands of the patches.
        asked: As `StudyOptions.combinations`; None for single bands, RGB, CIR, SWIR and all.

    Raises:
        UsageError: A combination is not known.
        InputError: One that was asked for needs a band that is not there.
    """
    chosen: dict[str, Combination] = {}
    left_out = []
    for word in asked or (SINGLES, *COMBINATIONS, ALL):
        if word == SINGLES:
            chosen |= {name: Combination(name, (name,)) for name in names}
            continue
        bands = tuple(names) if word == ALL else COMBINATIONS.get(word) or tuple(word.split("+"))
        if not sensor().has(bands) or len(set(bands)) < len(bands):
            known = [SINGLES, *COMBINATIONS, ALL, *names]
            raise UsageError(f"there is no combination {word}", f"{did_you_mean(word, known)}; join bands as B08+B04")
        lacking = [band for band in bands if band not in names]
        if lacking and asked:
            raise InputError(f"{word} needs {', '.join(lacking)}: the patches have {', '.join(names)}", "leave it out")
        same = next((each.name for each in chosen.values() if set(each.bands) == set(bands)), None)
        if lacking:
            left_out.append(f"{word} is left out: the patches lack {', '.join(lacking)}")
        elif same is None:
            chosen[word] = Combination(word, bands)
        elif same != word:
            left_out.append(f"{word} is left out: it is the same as {same}")
    return tuple(chosen.values()), tuple(left_out)


def split_folds(
    data: PatchSet, folds: int, settings: SplitSettings, groups: Sequence[Sequence[Patch]] = ()
) -> list[PatchSplit]:
    """Splits that together test every patch once: each class evenly, patches of one group together.

    Args:
        data: What to split.
        folds: How many; 1 gives the one split of the settings.
        settings: Seed; `train` and `val` share what is not tested.
        groups: Patches that must not be torn apart (duplicates).

    Raises:
        InputError: A class has fewer patches than folds, or no patch is tested.
    """
    if folds == 1:
        split = split_patches(data, settings, groups)
        if not split.of(data, "test"):
            raise InputError("no patches fall into the split test", "set split.test, or take more folds")
        return [split]
    fold_of = _folds(data, folds, settings.seed, groups)
    val = settings.val / (settings.train + settings.val)
    inner = SplitSettings(train=1 - val, val=val, test=0, seed=settings.seed)
    splits = []
    for fold in range(folds):
        rest = copy.copy(data)
        rest.patches = tuple(patch for patch in data.patches if fold_of[patch.name] != fold)
        tested = {name: "test" for name, part in fold_of.items() if part == fold}
        splits.append(PatchSplit({**split_patches(rest, inner, groups).names, **tested}))
    return splits


def _folds(data: PatchSet, folds: int, seed: int, groups: Sequence[Sequence[Patch]]) -> dict[str, int]:
    """Fold of each patch; classes begin at different folds, so that these get equally large."""
    bound = {patch.name: tuple(group) for group in groups for patch in group}
    fold_of: dict[str, int] = {}
    assigned = 0
    for code, name in enumerate(data.classes, 1):
        members = [patch for patch in data.patches if patch.code == code]
        if len(members) < folds:
            raise InputError(f"{name} has {len(members)} patches, too few for {folds} folds", "take fewer folds")
        for index in np.random.default_rng([seed, folds, code]).permutation(len(members)):
            patch = members[index]
            if patch.name not in fold_of:
                fold_of |= {each.name: assigned % folds for each in bound.get(patch.name, (patch,))}
                assigned += 1
    return fold_of


def _without_knowledge(settings: PatchSettings) -> tuple[PatchSettings, tuple[str, ...]]:
    """The settings with ImageNet's weights in place of a patch model's, and a sentence on it."""
    start = settings.network.start
    if start in {"scratch", "imagenet"}:
        return settings, ()
    network = settings.network.model_copy(update={"start": "imagenet"})
    note = (
        f"started from ImageNet, not from {start}: that has learnt from some of the bands, perhaps from these patches"
    )
    return settings.model_copy(update={"network": network}), (note,)


def _proof(data: PatchSet, settings: PatchSettings) -> tuple[str, ...]:
    """Whether spectra bear out the names of the bands, in sentences; a warning too when they do not."""
    step = max(1, len(data.patches) // _PROVEN_ON)
    level = settings.card.levels[0] if len(settings.card.levels) == 1 else ""
    means = patch_means(data.read(patch) for patch in data.patches[::step])
    problems = check_band_order(means, level)
    for problem in problems:
        _log.warning("the bands may be named wrongly: %s", problem)
    if problems:
        return tuple(f"the bands may be named wrongly: {problem}" for problem in problems)
    asked = [count for count in count_rules(means, level) if count.patches]
    looked_at = max((count.patches for count in asked), default=0)
    return (f"the spectra bear out the names of the bands: {len(asked)} rules, {looked_at} patches",) if asked else ()


def _shifted(progress: StepProgress, before: int, trainings: int) -> StepProgress:
    """Progress of one training as a part of all."""

    def on_step(done: int, steps: int, loss: float) -> None:
        progress(before * steps + done, trainings * steps, loss)

    return on_step


class _StudyFolder:
    """The folder of a study: settings and finished folds in bands.json, the splits, and the training under way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begun: dict[str, Any] = {}
        self._rows: dict[str, BandRow] = {}

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a folder that must not be written, before any work is done."""
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
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
            raise ConfigError(f"{self.path}: {combination.name} was begun with {begun}", "rename it")
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
            state = json.loads((self.path / ROWS).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _clear(self) -> None:
        """Remove what an earlier study left."""
        with storage_errors(self.path):
            for name in (ROWS, TABLE, PICTURE):
                (self.path / name).unlink(missing_ok=True)
            for folder in (*self.path.glob("run-*-*"), self.path / "folds"):
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
