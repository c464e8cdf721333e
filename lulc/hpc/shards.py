"""Run one shard of a plan, merge the shards of a scene, and report the state of each shard."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lulc.errors import Interrupted, LulcError, ShardError, UsageError
from lulc.hpc.plan import PlannedScene, Shard, ShardPlan, notes_folder
from lulc.hpc.shard import MissingChunksError, ShardReport, merge_parts, run_shard
from lulc.io.cog.work_folder import FolderInUseError
from lulc.io.files.atomic import write_whole
from lulc.io.files.storage import storage_errors
from lulc.io.product.parts import PartState, discard_parts, part_folders, part_state
from lulc.io.product.reader import open_product
from lulc.io.scene.scene import open_scene_as
from lulc.model.bundle import read_card
from lulc.model.provenance import provenance
from lulc.run import Progress, silent
from lulc.tasks.classify.options import ClassifyOptions

_NAMED = 20
_IDENTIFYING_TAGS = ("LULC_INPUT", "LULC_INPUT_SHA256", "LULC_MODEL_SHA256")
"""Tags that identify the scene and the model of a product."""


@dataclass(frozen=True)
class ShardStatus:
    """State of a shard.

    Attributes:
        shard: Number of the shard.
        scene: Number of its scene.
        output: Product of its scene.
        state: `merged`, `done`, `running`, `queued`, `interrupted`, `failed` or `waiting`.
        done: Number of stored chunks.
        chunks: Number of its chunks.
        reason: Why it failed, was interrupted or still waits; empty otherwise.
    """

    shard: int
    scene: int
    output: str
    state: str
    done: int
    chunks: int
    reason: str = ""

    @property
    def finished(self) -> bool:
        """True when nothing is left to do for it, except perhaps the merge."""
        return self.state in {"merged", "done"}

    def to_json(self) -> dict[str, Any]:
        """Plain form for `--json`."""
        return asdict(self)


def run_planned(plan: ShardPlan, path: Path, index: int, *, progress: Progress = silent) -> ShardReport | None:
    """Run one shard, or the rest of it after an earlier run; None when its scene has been merged already.

    The reason of a failure is noted beside the plan, in one line.

    Args:
        plan: Plan from `read_plan`.
        path: File of the plan.
        index: Number of the shard.
        progress: Called after each chunk with the pixels done and in all.

    Raises:
        LulcError: As `run_shard`.
    """
    shard = plan.shard(index)
    if _merged(plan, path, shard.scene_index):
        return None
    options = plan.options_for(shard.scene)
    scene = shard.scene
    with _noted(error_note(path, index)):
        return run_shard(scene.inputs, shard.folder, options, shard.chunks, scene.fingerprint, progress=progress)


@contextmanager
def _noted(note: Path) -> Iterator[None]:
    """Write the exit code and the reason of a failure into a file, in one line; an older one is removed."""
    with storage_errors(note):
        note.parent.mkdir(exist_ok=True)
        note.unlink(missing_ok=True)
    try:
        yield
    except LulcError as error:
        _write_note(note, f"{error.exit_code} {error}")
        raise
    except Exception as error:
        _write_note(note, f"1 {type(error).__name__}: {error}")
        raise


def merge_scenes(plan: ShardPlan, path: Path, scenes: Sequence[int] | None) -> Iterator[Path]:
    """Merge scenes one after the other, and yield each product once it is published.

    Args:
        plan: Plan from `read_plan`.
        path: File of the plan.
        scenes: Numbers of the scenes; None for all.

    Raises:
        UsageError: There is no such scene.
        ShardError: Scenes lack shards. It is raised at the end, when all others are published.
        LulcError: As `merge_parts`.
    """
    numbers = range(len(plan.scenes)) if scenes is None else scenes
    if strange := [number for number in numbers if number >= len(plan.scenes)]:
        raise UsageError(f"there is no scene {strange[0]}", f"the plan has scenes 0 to {len(plan.scenes) - 1}")
    incomplete = []
    for number in numbers:
        try:
            yield merge_planned(plan, path, number)
        except ShardError as error:
            incomplete.append(error)
    if incomplete:
        raise ShardError(". ".join(error.problem for error in incomplete), incomplete[0].remedy)


def merge_planned(plan: ShardPlan, path: Path, scene_index: int) -> Path:
    """Merge a scene and remove its parts; a product that is published already is left unchanged.

    The reason of a failure is noted beside the plan, in one line.

    Args:
        plan: Plan from `read_plan`.
        path: File of the plan.
        scene_index: Number of the scene.

    Raises:
        ShardError: Shards are missing; the message names each with its reason. Nothing is left behind.
        LulcError: As `merge_parts`.
    """
    note = merge_error_note(path, scene_index)
    try:
        with _noted(note):
            return _publish(plan, path, scene_index)
    except ShardError:
        if not _merged(plan, path, scene_index):
            raise
        note.unlink(missing_ok=True)
        return plan.scenes[scene_index].output  # another merge has taken its parts over and published it


def _publish(plan: ShardPlan, path: Path, scene_index: int) -> Path:
    scene = plan.scenes[scene_index]
    if not _merged(plan, path, scene_index):
        shards = [shard for shard in plan.shards if shard.scene_index == scene_index]
        _refuse_missing(scene, shard_statuses(plan, path, shards, {}, mixed=True))
        try:
            _merge(plan, path, scene_index)
        except MissingChunksError as error:
            _note_damage(path, shards, error.chunks)
            _refuse_missing(scene, shard_statuses(plan, path, shards, {}))
            raise
    discard_parts(scene.output)
    return scene.output


def _merge(plan: ShardPlan, path: Path, scene_index: int) -> None:
    """Publish a product and note it. A first note lets a merge that is killed be repeated."""
    scene = plan.scenes[scene_index]
    options, begun = plan.options_for(scene), _merge_note(path, scene_index, "merging")
    there = os.path.lexists(scene.output)
    # A merge that was killed before its second note has published already.
    ours = there and _note_equals(begun, scene.fingerprint) and _is_product_of(scene, options)
    if not there or options.overwrite:
        _write_note(begun, scene.fingerprint)
    try:
        merge_parts(scene.inputs, scene.output, options, scene.fingerprint, overwrite=ours)
    except FolderInUseError:
        raise  # the note is that of the merge at work
    except Exception:
        if not ours:  # nothing of this plan was published: what appears at the output later is somebody else's
            with suppress(OSError):
                begun.unlink()
        raise
    merged = _merge_note(path, scene_index, "merged")
    try:
        begun.replace(merged)
    except FileNotFoundError:  # a second merge, which found the product there and failed, has removed it
        _write_note(merged, scene.fingerprint)


def _is_product_of(scene: PlannedScene, options: ClassifyOptions) -> bool:
    """True when the file under a planned product's name is a map of its scene by its model."""
    try:
        with open_product(scene.output) as product:
            tags = product.tags
    except LulcError:
        return False
    with open_scene_as(scene.inputs, options) as opened:
        expected = provenance(opened, read_card(options.model))
    return all(tags.get(name) == expected[name] for name in _IDENTIFYING_TAGS)


def shard_statuses(
    plan: ShardPlan, path: Path, shards: Iterable[Shard], queue: Mapping[int, tuple[str, str]], *, mixed: bool = False
) -> list[ShardStatus]:
    """States of shards.

    Args:
        plan: Plan from `read_plan`.
        path: File of the plan.
        shards: Shards to report.
        queue: By number of the shard: `queued` or `running` according to a scheduler, and the reason.
        mixed: Count chunks of the same job in any part, as a merge does.
    """
    return [_status(plan, path, shard, queue.get(shard.index), mixed=mixed) for shard in shards]


def error_note(path: Path, index: int) -> Path:
    """Path of the one-line reason of a failed shard."""
    return notes_folder(path) / f"shard-{index:04d}.error"


def merge_error_note(path: Path, scene_index: int) -> Path:
    """Path of the one-line reason of a failed merge."""
    return _merge_note(path, scene_index, "error")


def _status(plan: ShardPlan, path: Path, shard: Shard, queued: tuple[str, str] | None, *, mixed: bool) -> ShardStatus:
    scene, output, chunks = shard.scene_index, str(shard.scene.output), len(shard.chunks)
    if _merged(plan, path, scene):
        return ShardStatus(shard.index, scene, output, "merged", chunks, chunks)
    part = part_state(shard.folder)
    stored = len(_stored(shard, part, mixed=mixed))
    code, reason = read_note(error_note(path, shard.index))
    foreign = bool(part.chunks) and part.fingerprint != shard.scene.fingerprint
    first_that_holds = (
        (part.held or (queued or ("", ""))[0] == "running", "running", ""),
        (queued is not None, "queued", (queued or ("", ""))[1]),
        (code == Interrupted.exit_code, "interrupted", reason),
        (code > 0, "failed", reason),
        (stored == chunks, "done", ""),
        (foreign, "failed", f"{shard.folder} holds chunks of another job"),
        (stored > 0, "interrupted", "ended without a message: killed, or out of memory"),
        (True, "waiting", "not started"),
    )
    state, why = next((state, why) for holds, state, why in first_that_holds if holds)
    return ShardStatus(shard.index, scene, output, state, stored, chunks, why)


def _stored(shard: Shard, part: PartState, *, mixed: bool) -> set[int]:
    """Stored chunks of a shard, judged by their file names."""
    parts = [part, *map(part_state, part_folders(shard.scene.output))] if mixed else [part]
    same = [part.chunks for part in parts if part.fingerprint == shard.scene.fingerprint]
    return set(shard.chunks) & set().union(*same)


def _refuse_missing(scene: PlannedScene, statuses: Iterable[ShardStatus]) -> None:
    missing = [status for status in statuses if status.done < status.chunks or status.state == "failed"]
    if not missing:
        return
    named = [
        f"shard {status.shard} ({status.state}, {status.done} of {status.chunks} chunks"
        f"{': ' if status.reason else ''}{status.reason})"
        for status in missing[:_NAMED]
    ]
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    raise ShardError(
        f"{scene.output} cannot be merged: {len(missing)} shards are missing: {', '.join(named)}{more}",
        "run them, then merge again",
    )


def _note_damage(path: Path, shards: Iterable[Shard], chunks: Iterable[int]) -> None:
    """Note shards with a damaged chunk, so that they are run again."""
    damaged = set(chunks)
    for shard in shards:
        lost = sorted(damaged & set(shard.chunks))
        if lost:
            _write_note(error_note(path, shard.index), f"5 chunk {lost[0]} of {shard.folder} is damaged")


def _merged(plan: ShardPlan, path: Path, scene_index: int) -> bool:
    scene = plan.scenes[scene_index]
    return scene.output.exists() and _note_equals(_merge_note(path, scene_index, "merged"), scene.fingerprint)


def _merge_note(path: Path, scene_index: int, state: str) -> Path:
    return notes_folder(path) / f"scene-{scene_index:04d}.{state}"


def _note_equals(note: Path, text: str) -> bool:
    try:
        return note.read_text(encoding="utf-8").strip() == text
    except OSError:
        return False


def _write_note(note: Path, text: str) -> None:
    """Write a note. A failure to do so must not hide the error that it reports."""
    with suppress(LulcError, OSError):
        note.parent.mkdir(exist_ok=True)
        write_whole(note, f"{' '.join(text.split())}\n".encode())


def read_note(note: Path) -> tuple[int, str]:
    """Exit code and reason of a note; (0, "") when there is none."""
    try:
        code, _, reason = note.read_text(encoding="utf-8").strip().partition(" ")
        return int(code), reason
    except (OSError, ValueError):
        return 0, ""
