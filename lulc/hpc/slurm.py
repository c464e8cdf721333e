"""Slurm: submit the unfinished shards of a plan, and query the queue."""

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lulc.config import parse_json
from lulc.errors import ShardError
from lulc.hpc.plan import ShardPlan, notes_folder
from lulc.hpc.render import ArrayPart, array_parts, job_log, merge_dependency, render
from lulc.hpc.shards import ShardStatus, shard_statuses
from lulc.hpc.site import Site
from lulc.io.files.atomic import append_line, write_whole
from lulc.io.files.storage import storage_errors

_TIMEOUT_S = 60
_RUNNING = {"RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED"}


@dataclass(frozen=True)
class Submission:
    """Submitted jobs; all empty when nothing was left to do.

    Attributes:
        shards: Numbers of the submitted shards.
        scenes: Numbers of the scenes that will be merged.
        jobs: Ids of the array jobs of shards.
        merges: Ids of the array jobs of merges.
    """

    shards: tuple[int, ...]
    scenes: tuple[int, ...]
    jobs: tuple[str, ...]
    merges: tuple[str, ...]


def submit(
    plan: ShardPlan, path: Path, site: Site, *, only: Sequence[int] | None = None, failed: bool = False
) -> Submission:
    """Submit the shards that are neither done nor queued, then the merges of their scenes.

    Args:
        plan: Plan from `read_plan`.
        path: File of the plan.
        site: Site from `load_site`.
        only: Numbers of the shards to consider; None for all.
        failed: Consider only shards that were submitted before.

    Raises:
        UsageError: A shard is not in the plan.
        ShardError: Slurm is not installed, does not answer, or refuses.
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
        _record_job(path, "shards", jobs[-1], part)
    wait = merge_dependency(jobs) if jobs else []
    merges = []
    for part in array_parts(scenes, site.max_array):
        merges.append(_sbatch(folder / "merge.sbatch", [*part.options(site.array_limit), *wait]))
        _record_job(path, "merges", merges[-1], part)
    return Submission(tuple(status.shard for status in wanted), tuple(scenes), tuple(jobs), tuple(merges))


def write_scripts(plan: ShardPlan, path: Path, site: Site, folder: Path) -> Path:
    """Write the scripts of a plan, and create the folder of its logs.

    Raises:
        StorageError: The scripts cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(exist_ok=True, parents=True)
        (notes_folder(path) / "logs").mkdir(exist_ok=True, parents=True)
    for name, text in render(plan, path, site, folder).items():
        write_whole(folder / name, text.encode())
    return folder


def queue(path: Path, kind: Literal["shards", "merges"] = "shards") -> dict[int, tuple[str, str]]:
    """State in Slurm's queue by number of shard or scene: `queued` or `running`, and the reason.

    It is empty where Slurm is not installed or knows none of the plan's jobs.
    """
    firsts = {job["job"]: job["first"] for job in _jobs(path, kind)}
    if not firsts:
        return {}
    command = ["squeue", "--noheader", "--array", "--format=%F %K %T %r", f"--jobs={','.join(firsts)}"]
    try:
        completed = _run(command)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found = {}
    for job, task, state, *reason in map(str.split, completed.stdout.splitlines()):
        if job in firsts and task.isdigit():
            known = "running" if state in _RUNNING else "queued"
            found[firsts[job] + int(task)] = known, " ".join(reason)
    return found


def merge_logs(path: Path) -> dict[int, Path]:
    """Where the latest job of each merge writes its log, by number of the scene; merges never submitted are left out."""
    return {
        scene: job_log(path, "merge", job["job"], scene - job["first"])
        for job in _jobs(path, "merges")
        for scene in job["numbers"]
    }


def _scenes_to_merge(
    plan: ShardPlan, statuses: Iterable[ShardStatus], wanted: Iterable[ShardStatus], queued: Mapping[int, Any]
) -> list[int]:
    """Scenes that get a shard now, and scenes whose shards are all done but whose merge is not queued."""
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
    """Submit a script, and return the id of the job."""
    try:
        completed = _run(["sbatch", "--parsable", *options, str(script)])
    except OSError as error:
        raise ShardError(f"sbatch cannot be run: {error.strerror}", "submit from a machine that has Slurm") from error
    except subprocess.TimeoutExpired as error:
        raise ShardError(f"sbatch does not answer within {_TIMEOUT_S} s", "try again later") from error
    if completed.returncode:
        message = " ".join(completed.stderr.split()) or f"exit code {completed.returncode}"
        raise ShardError(f"Slurm refuses {script.name}: {message}", "correct the site file")
    return completed.stdout.strip().partition(";")[0]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    # A list of our own words, no shell.
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)  # noqa: S603


def _record_job(path: Path, kind: str, job: str, part: ArrayPart) -> None:
    numbers = [part.first + task for task in part.tasks]
    line = json.dumps({"kind": kind, "job": job, "first": part.first, "numbers": numbers})
    append_line(notes_folder(path) / "jobs.jsonl", line)


def _jobs(path: Path, kind: str) -> list[dict[str, Any]]:
    try:
        text = (notes_folder(path) / "jobs.jsonl").read_text(encoding="utf-8")
    except OSError:
        return []
    jobs = []
    for line in text.splitlines():
        with suppress(ValueError):  # a line that a full disk or a kill cut short
            jobs.append(parse_json(line))
    return [job for job in jobs if job["kind"] == kind]
