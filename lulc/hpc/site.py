"""Description of a cluster: `configs/sites/*.toml`."""

import re
import shlex
from pathlib import Path

from pydantic import Field, field_validator

from lulc.config import Table, read_config
from lulc.resources import config_path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class MergeJob(Table):
    """Resources of the merge jobs.

    Attributes:
        time: Walltime in Slurm's notation.
        memory: Main memory, such as `4G`.
        partition: Partition; empty takes that of the shards.
    """

    time: str = "00:30:00"
    memory: str = "4G"
    partition: str = ""


class Site(Table):
    """A cluster, as far as job scripts need it. Empty texts leave the cluster's defaults.

    Attributes:
        partition: Slurm partition.
        account: Account that is charged.
        qos: Quality of service.
        gres: Generic resources of a shard, such as `gpu:1`.
        time: Walltime of a shard, in Slurm's notation.
        memory: Main memory of a shard, such as `8G`.
        cpus: CPUs of a shard; 0 is the plan's threads.
        array_limit: Shards that run at the same time; 0 is no limit.
        max_array: Tasks of one array; Slurm's MaxArraySize is 1001 unless a site changed it.
        signal_seconds: Seconds before its end at which a job is signalled to stop.
        requeues: Number of times a shard may be requeued.
        modules: Environment modules to load.
        environment: Variables to set.
        setup: Lines of shell to run first, such as activating an environment.
        scratch: Folder on the node for temporary files; may name variables such as `$SLURM_JOB_ID`.
        sbatch: Further options of sbatch, one per line.
        lulc: Command that runs lulc.
        workers: Jobs of `lulc classify --scheduler slurm:SITE`, each with one Dask worker.
        interface: Network interface of Dask's workers and scheduler, such as `ib0`.
        python: Python of Dask's workers; empty takes the client's.
        merge: Resources of the merge jobs.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    gres: str = ""
    time: str = "02:00:00"
    memory: str = "8G"
    cpus: int = Field(default=0, ge=0)
    array_limit: int = Field(default=0, ge=0)
    max_array: int = Field(default=1000, ge=1)
    signal_seconds: int = Field(default=60, ge=1, le=65535)
    requeues: int = Field(default=50, ge=0)
    modules: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    setup: tuple[str, ...] = ()
    scratch: str = ""
    sbatch: tuple[str, ...] = ()
    lulc: str = "lulc"
    workers: int = Field(default=2, ge=1)
    interface: str = ""
    python: str = ""
    merge: MergeJob = MergeJob()

    @field_validator("sbatch")
    @classmethod
    def _options(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            if not line.startswith("--") or "\n" in line:
                raise ValueError(f"{line!r} is not an option of sbatch; write it as --exclusive")
        return lines

    @field_validator("environment")
    @classmethod
    def _variables(cls, variables: dict[str, str]) -> dict[str, str]:
        for name in variables:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a variable")
        return variables

    def environment_lines(self) -> list[str]:
        """Lines of shell that load the modules and set the variables; `setup` follows them."""
        loads = [f"module load {shlex.quote(module)}" for module in self.modules]
        return loads + [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]


def load_site(name: str | Path) -> Site:
    """Load a site by the path of its TOML file, or by the name of a shipped one.

    Raises:
        ConfigError: The file is missing, a key is unknown (the nearest known one is named), or a value is out of range.
    """
    return read_config(Site, config_path("sites", name))
