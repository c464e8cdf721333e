"""The band study: which bands tell the classes apart, with one network, one seed and the same patches for each.

Every combination trains the same network on the same folds; with k folds each patch is tested once, by a network that
has not seen it. The combinations are those of Helber et al. 2019 (doi:10.1109/JSTARS.2019.2918242): colour-infrared is
B08, B04, B03 there. What could be read of it names no bands of its short-wave infrared: B12, B08, B04 are common.
"""

import copy
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lulc.bands import sensor
from lulc.errors import InputError, UsageError, did_you_mean
from lulc.io.report.writer import write_markdown
from lulc.patches.dataset import Patch, PatchSet, check_outside, open_patch_set
from lulc.patches.learn.duplicates import patch_signatures, same_pixels
from lulc.patches.learn.settings import PatchSettings, SplitSettings
from lulc.patches.learn.split import PatchSplit, split_patches
from lulc.patches.learn.train import train_patches
from lulc.patches.options import StudyOptions
from lulc.patches.study.bands_folder import PICTURE, TABLE, StudyFolder
from lulc.patches.study.bands_report import BandStudy, Combination, draw_study
from lulc.patches.study.spectra import check_band_order, count_rules, patch_means
from lulc.run import StepProgress, silent
from lulc.training.run_folder import RunFolder

COMBINATIONS = {"RGB": ("B04", "B03", "B02"), "CIR": ("B08", "B04", "B03"), "SWIR": ("B12", "B08", "B04")}
"""Pictures of three bands, as red, green and blue show them."""

SINGLES, ALL = "singles", "all"
"""Words for every band by itself, and for all of them together."""

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
    folder = StudyFolder(output)
    folder.check(resume=resume, overwrite=options.overwrite)
    splits = split_folds(
        patches, folds, settings.split, same_pixels(patches, patch_signatures(patches, settings.samples.workers))
    )
    notes = (*replaced, *left_out, *_proof(patches, settings))
    with RunFolder(output).held():
        folder.begin(settings, splits, resume=resume)
        wanted = [(combination, fold) for combination in chosen for fold in range(1, folds + 1)]
        _train_missing(folder, wanted, settings, progress)
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


def _train_missing(
    folder: StudyFolder, wanted: Sequence[tuple[Combination, int]], settings: PatchSettings, progress: StepProgress
) -> None:
    """Train and test each (combination, fold) that the folder does not hold yet."""
    for number, (combination, fold) in enumerate(wanted):
        if folder.has(combination, fold):
            continue
        with folder.run(combination, fold, settings) as (run, own):
            report = train_patches(own, run, resume=True, progress=_shifted(progress, number, len(wanted)))
            assert report is not None  # a study runs in one process
            folder.note(combination, fold, report.metrics["test"], report.seconds)


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

    def on_step(done: int, steps: int, loss: float | None) -> None:
        progress(before * steps + done, trainings * steps, loss)

    return on_step
