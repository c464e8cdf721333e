"""Talking to Slurm: submitting what is not done, and asking what is queued."""

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lulc.errors import ShardError
from lulc.hpc.plan import ShardPlan, notes_folder
from lulc.hpc.render import ArrayPart, array_parts, merge_dependency, render
from lulc.hpc.shards import ShardStatus, shard_statuses
from lulc.hpc.site import Site
from lulc.io.files.durable import storage_errors, write_whole

_ANSWER_WITHIN_S = 60
_RUNNING = {"RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED"}


@dataclass(frozen=True)
class Submission:
    """What was submitted; all empty where nothing was left.

    Attributes:
        shards: Numbers of the shards.
        scenes: Numbers of the scenes that will be merged.
        jobs: Ids of the arrays of shards.
        merges: Ids of the arrays of merges.
    """

    shards: tuple[int, ...]
    scenes: tuple[int, ...]
    jobs: tuple[str, ...]
    merges: tuple[str, ...]


def submit(
    plan: ShardPlan, path: Path, site: Site, *, only: Sequence[int] | None = None, failed: bool = False
) -> Submission:
    """Submit the shards that are neither done nor in the queue, then the merges of their scenes.

    Args:
        plan: From `read_plan`.
        path: Its file.
        site: From `load_site`.
        only: Numbers of the shards to look at; None for all.
        failed: Of these only what was submitted before.

    Raises:
        UsageError: A shard that is not in the plan.
        ShardError: Slurm is not here or refuses.
        StorageError: Scripts or notes cannot be written.
    """
    chosen = plan.shards if only is None else [plan.shard(index) for index in sorted(set(only))]
    statuses = shard_statuses(plan, path, chosen, queue(path))
    before = {shard for job in _jobs(path, "shards") for shard in job["numbers"]}
    wanted = [
        status
        for status in statuses
        if not status.finished and status.state not in {"queued", "running"} and (not failed or status.shard in before)
    ]
    scenes = _scenes_to_merge(plan, statuses, wanted, queue(path, "merges"))
    if not wanted and not scenes:
        return Submission((), (), (), ())
    folder = write_scripts(plan, path, site, notes_folder(path))
    jobs = []
    for part in array_parts([status.shard for status in wanted], site.max_array):
        jobs.append(_sbatch(folder / "shards.sbatch", part.options(site.array_limit)))
        _remember(path, "shards", jobs[-1], part)
    wait = merge_dependency(jobs) if jobs else []
    merges = []
    for part in array_parts(scenes, site.max_array):
        merges.append(_sbatch(folder / "merge.sbatch", [*part.options(site.array_limit), *wait]))
        _remember(path, "merges", merges[-1], part)
    return Submission(tuple(status.shard for status in wanted), tuple(scenes), tuple(jobs), tuple(merges))


def write_scripts(plan: ShardPlan, path: Path, site: Site, folder: Path) -> Path:
    """Write the scripts of a plan, and make the folder of its logs.

    Raises:
        StorageError: They cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(exist_ok=True, parents=True)
        (notes_folder(path) / "logs").mkdir(exist_ok=True, parents=True)
    for name, text in render(plan, path, site, folder).files().items():
        write_whole(folder / name, text.encode())
    return folder


def queue(path: Path, kind: Literal["shards", "merges"] = "shards") -> dict[int, tuple[str, str]]:
    """By shard or scene: `queued` or `running`, and why; empty where Slurm is not here or knows nothing of the plan."""
    firsts = {job["job"]: job["first"] for job in _jobs(path, kind)}
    if not firsts:
        return {}
    command = ["squeue", "--noheader", "--array", "--format=%F %K %T %r", f"--jobs={','.join(firsts)}"]
    try:
        answer = subprocess.run(  # noqa: S603 - a list of our own words, no shell
            command, capture_output=True, text=True, check=False, timeout=_ANSWER_WITHIN_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found = {}
    for job, task, state, *reason in map(str.split, answer.stdout.splitlines()):
        if job in firsts and task.isdigit():
            known = "running" if state in _RUNNING else "queued"
            found[firsts[job] + int(task)] = known, " ".join(reason)
    return found


def _scenes_to_merge(
    plan: ShardPlan, statuses: Iterable[ShardStatus], wanted: Iterable[ShardStatus], queued: Mapping[int, Any]
) -> list[int]:
    """Scenes that get a shard now, and those of which all shards are done but no merge is on its way."""
    touched = {status.scene for status in wanted}
    by_scene: dict[int, list[ShardStatus]] = {}
    for status in statuses:
        by_scene.setdefault(status.scene, []).append(status)
    counts = {number: len(scene.cuts) - 1 for number, scene in enumerate(plan.scenes)}
    done = {
        number
        for number, group in by_scene.items()
        if len(group) == counts[number] and all(status.state == "done" for status in group)
    }
    return sorted(touched | (done - set(queued)))


def _sbatch(script: Path, options: Sequence[str]) -> str:
    """Id of a submitted job."""
    command = ["sbatch", "--parsable", *options, str(script)]
    try:
        answer = subprocess.run(  # noqa: S603 - a list of our own words, no shell
            command, capture_output=True, text=True, check=False, timeout=_ANSWER_WITHIN_S
        )
    except OSError as error:
        raise ShardError(f"sbatch cannot be run: {error.strerror}", "submit from a machine that has Slurm") from error
    except subprocess.TimeoutExpired as error:
        raise ShardError(f"sbatch does not answer within {_ANSWER_WITHIN_S} s", "try again later") from error
    if answer.returncode:
        said = " ".join(answer.stderr.split()) or f"exit code {answer.returncode}"
        raise ShardError(f"Slurm refuses {script.name}: {said}", "correct the site file")
    return answer.stdout.strip().partition(";")[0]


def _remember(path: Path, kind: str, job: str, part: ArrayPart) -> None:
    numbers = [part.first + task for task in part.tasks]
    line = json.dumps({"kind": kind, "job": job, "first": part.first, "numbers": numbers})
    notes = notes_folder(path) / "jobs.jsonl"
    with storage_errors(notes), notes.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _jobs(path: Path, kind: str) -> list[dict[str, Any]]:
    try:
        text = (notes_folder(path) / "jobs.jsonl").read_text(encoding="utf-8")
    except OSError:
        return []
    return [job for job in map(json.loads, text.splitlines()) if job["kind"] == kind]
