"""State of the merges of a plan: what became of the job that publishes a scene whose shards are done."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lulc.hpc.plan import ShardPlan
from lulc.hpc.shards import ShardStatus, merge_error_note, read_note
from lulc.io.cog.work_folder import work_folder
from lulc.io.files.lock import is_locked


@dataclass(frozen=True)
class MergeStatus:
    """State of the merge of a scene whose shards are all done.

    Attributes:
        scene: Number of the scene.
        output: Product of the scene.
        state: `queued`, `running`, `failed` or `waiting`.
        reason: Why it failed or is still queued; empty otherwise.
        log: Log of its latest job, empty when there is none.
    """

    scene: int
    output: str
    state: str
    reason: str = ""
    log: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain form for `--json`."""
        return asdict(self)


def merge_statuses(
    plan: ShardPlan,
    path: Path,
    statuses: Iterable[ShardStatus],
    queue: Mapping[int, tuple[str, str]],
    logs: Mapping[int, Path],
) -> list[MergeStatus]:
    """State of each merge that can be made: of scenes whose shards are all done and that are not published.

    Args:
        plan: Plan from `read_plan`.
        path: File of the plan.
        statuses: States of all shards.
        queue: By number of the scene: `queued` or `running` according to a scheduler, and the reason.
        logs: By number of the scene: where its latest job writes its log.
    """
    undone = {status.scene for status in statuses if status.state != "done"}
    scenes = [number for number in range(len(plan.scenes)) if number not in undone]
    return [_status(plan, path, scene, queue.get(scene), logs.get(scene)) for scene in scenes]


def _status(plan: ShardPlan, path: Path, scene: int, queued: tuple[str, str] | None, log: Path | None) -> MergeStatus:
    output, written = str(plan.scenes[scene].output), str(log) if log is not None and log.exists() else ""
    code, reason = read_note(merge_error_note(path, scene))
    if queued is not None:
        return MergeStatus(scene, output, *queued, log=written)
    if code:
        return MergeStatus(scene, output, "failed", reason, written)
    if is_locked(work_folder(plan.scenes[scene].output) / "lock"):
        return MergeStatus(scene, output, "running", log=written)
    if written:
        why = "its job ended without a message: cancelled, killed, or out of memory or time"
        return MergeStatus(scene, output, "failed", why, written)
    return MergeStatus(scene, output, "waiting")
