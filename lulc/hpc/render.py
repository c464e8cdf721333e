"""Slurm scripts as plain text: array jobs for the shards and the merges, and a script that submits both."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lulc.hpc.plan import ShardPlan, notes_folder
from lulc.hpc.site import Site

_FIRST = "LULC_FIRST"
"""Variable with the number of an array's first shard or scene; one plan may need several arrays."""

_WAIT_QUIETLY = ("OMP_WAIT_POLICY=PASSIVE", "KMP_BLOCKTIME=0")
"""OpenMP threads that spin while they wait would take CPU time from other jobs of a shared node."""


@dataclass(frozen=True)
class ArrayPart:
    """One Slurm array job.

    Attributes:
        first: Number of the shard or scene of task 0.
        tasks: Task ids of the array.
    """

    first: int
    tasks: tuple[int, ...]

    def options(self, limit: int) -> list[str]:
        """Options of sbatch that name the tasks.

        Args:
            limit: Tasks that run at the same time; 0 is no limit.
        """
        most = f"%{limit}" if limit else ""
        return [f"--array={ranges(self.tasks)}{most}", f"--export=ALL,{_FIRST}={self.first}"]


def array_parts(numbers: Sequence[int], size: int) -> list[ArrayPart]:
    """Split numbers of shards or scenes into arrays in which every task id is below `size`."""
    firsts = sorted({number // size * size for number in numbers})
    return [
        ArrayPart(first, tuple(sorted(number - first for number in numbers if first <= number < first + size)))
        for first in firsts
    ]


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in Slurm's notation: `0-3,7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)


def render(plan: ShardPlan, path: Path, site: Site, scripts: Path) -> dict[str, str]:
    """Text of the scripts of a plan for a site, by file name: shards, merges, and the submission of both.

    Args:
        plan: Plan from `read_plan`.
        path: File of the plan on the nodes.
        site: Site from `load_site`.
        scripts: Folder of the scripts.
    """
    return {
        "shards.sbatch": _array_script(plan, path, site),
        "merge.sbatch": _merge_script(path, site),
        "submit.sh": _submit_script(plan, path, site, scripts),
    }


def merge_dependency(jobs: Sequence[str]) -> list[str]:
    """Options of sbatch that start a merge once no shard runs any more.

    The dependency is not `afterok`: one failed shard would cancel the merges of all other scenes. A scene without all
    its shards is refused by its own merge, with their reasons.

    Args:
        jobs: Ids of the Slurm jobs of the shards.
    """
    return [f"--dependency=afterany:{':'.join(jobs)}"]


def _array_script(plan: ShardPlan, path: Path, site: Site) -> str:
    head = _head(
        f"lulc-{path.stem}",
        path,
        "shard",
        {
            "partition": site.partition,
            "account": site.account,
            "qos": site.qos,
            "gres": site.gres,
            "cpus-per-task": str(site.cpus or plan.options.threads or 1),
            "mem": site.memory,
            "time": site.time,
            "signal": f"B:USR1@{site.signal_seconds}",
        },
        ["--requeue", *site.sbatch],
    )
    note = shlex.quote(str(notes_folder(path)))
    return f"""{head}
# One shard a task: lulc keeps its finished chunks beside the product and goes on from them when it is run again.

{_preparation(site)}
shard=$((SLURM_ARRAY_TASK_ID + ${{{_FIRST}:-0}}))

# Slurm signals this shell alone, and a shell that waits for a command in the foreground would not hear it.
child="" heard="" again=""
trap 'heard=yes again=yes; kill -USR1 $child' USR1   # the walltime is nearly over
trap 'heard=yes; kill -TERM $child' TERM             # cancelled; or preempted, and then Slurm itself queues it again
{site.lulc} hpc run {shlex.quote(str(path))} "$shard" &
child=$!
while heard=""; wait "$child"; code=$?; [ -n "$heard" ]; do :; done

if [ -n "$again" ] && {{ [ "$code" -eq 75 ] || [ "$code" -gt 128 ]; }} && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {site.requeues} ]; then
    scontrol requeue "$SLURM_JOB_ID"
elif [ "$code" -gt 128 ]; then
    mkdir -p {note}
    echo "$code killed by signal $((code - 128)); out of memory?" > {note}/shard-$(printf %04d "$shard").error
fi
exit "$code"
"""


def _merge_script(path: Path, site: Site) -> str:
    head = _head(
        f"lulc-{path.stem}-merge",
        path,
        "merge",
        {
            "partition": site.merge.partition or site.partition,
            "account": site.account,
            "qos": site.qos,
            "cpus-per-task": "1",
            "mem": site.merge.memory,
            "time": site.merge.time,
        },
        ["--requeue"],
    )
    note = shlex.quote(str(notes_folder(path)))
    return f"""{head}
# One scene a task: its parts become one product, which is read back before it gets its name; then the parts are removed.

{_preparation(site)}
scene=$((SLURM_ARRAY_TASK_ID + ${{{_FIRST}:-0}}))
note={note}/scene-$(printf %04d "$scene").error
rm -f "$note"
{site.lulc} hpc merge {shlex.quote(str(path))} --scene "$scene"
code=$?

if [ "$code" -ne 0 ] && [ ! -e "$note" ]; then   # lulc did not start, or was killed
    mkdir -p {note}
    echo "$code ended with exit code $code" > "$note"
fi
exit "$code"
"""


def _submit_script(plan: ShardPlan, path: Path, site: Site, scripts: Path) -> str:
    shards = array_parts(range(len(plan.shards)), site.max_array)
    scenes = array_parts(range(len(plan.scenes)), site.max_array)
    names = [f"shards_{number}" for number in range(len(shards))]
    arrays = [
        f"{name}=$(sbatch --parsable {' '.join(part.options(site.array_limit))} {_at(scripts, 'shards.sbatch')})"
        for name, part in zip(names, shards, strict=True)
    ]
    wait = " ".join(merge_dependency([f"${name}" for name in names]))
    merges = [
        f"sbatch --parsable {' '.join(part.options(site.array_limit))} {wait} {_at(scripts, 'merge.sbatch')}"
        for part in scenes
    ]
    return f"""#!/bin/bash
# All shards of {path.name}, then the merge of each scene. `lulc hpc submit` does the same for what is not done yet.
set -eu
mkdir -p {shlex.quote(str(notes_folder(path) / "logs"))}
{chr(10).join(arrays)}
{chr(10).join(merges)}
"""


def job_log(path: Path, kind: str, job: str, task: int | str) -> Path:
    """Log of a task of an array job.

    Args:
        path: File of the plan.
        kind: `shard` or `merge`.
        job: Id of the array job.
        task: Index of the task.
    """
    return notes_folder(path) / "logs" / f"{kind}-{job}_{task}.log"


def _head(name: str, path: Path, kind: str, options: dict[str, str], lines: Sequence[str]) -> str:
    log = job_log(path, kind, "%A", "%a")
    given = [f"--job-name={shlex.quote(name)}", f"--output={shlex.quote(str(log))}", "--open-mode=append"]
    given += [f"--{option}={shlex.quote(value)}" for option, value in options.items() if value]
    return "\n".join(["#!/bin/bash", *(f"#SBATCH {line}" for line in [*given, *lines])])


def _preparation(site: Site) -> str:
    lines = [f"export {' '.join(_WAIT_QUIETLY)}", *site.environment_lines()]
    if site.scratch:
        lines += [f'export TMPDIR="{site.scratch}"', 'mkdir -p "$TMPDIR"', "trap 'rm -rf \"$TMPDIR\"' EXIT"]
    return "\n".join([*lines, *site.setup])


def _at(scripts: Path, name: str) -> str:
    return shlex.quote(str(scripts / name))
