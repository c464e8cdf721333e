"""What a cluster wants to be told: `configs/sites/*.toml`."""

import re
from pathlib import Path

from pydantic import Field, field_validator

from lulc.config import Table, read_config
from lulc.resources import config_path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class MergeJob(Table):
    """What the jobs that merge ask for.

    Attributes:
        time: Walltime as Slurm writes it.
        memory: Main memory, such as `4G`.
        partition: Another partition than that of the shards.
    """

    time: str = "00:30:00"
    memory: str = "4G"
    partition: str = ""


class Site(Table):
    """One cluster, as far as job scripts name it. Texts that are empty are left to the cluster's defaults.

    Attributes:
        partition: Slurm partition.
        account: Account that is charged.
        qos: Quality of service.
        gres: Generic resources of a shard, such as `gpu:1`.
        time: Walltime of a shard.
        memory: Main memory of a shard.
        cpus: CPUs of a shard; 0 is the plan's threads.
        array_limit: Shards that run at the same time; 0 is no limit.
        max_array: Tasks of one array; Slurm's MaxArraySize is 1001 unless a site changed it.
        signal_seconds: How long before its end a job is told to stop.
        requeues: How often a shard may ask to be queued again.
        modules: Environment modules to load.
        environment: Variables to set.
        setup: Lines of shell to run first, such as activating an environment.
        scratch: Folder on the node for temporary files; may name variables such as `$SLURM_JOB_ID`.
        sbatch: Further options of sbatch, a line each.
        lulc: The command.
        workers: Jobs of `lulc classify --scheduler slurm:SITE`, each with one Dask worker.
        interface: Network interface by which Dask's workers and scheduler meet, such as `ib0`.
        python: The Python of Dask's workers; empty for the client's.
        merge: What the jobs that merge ask for.
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


def load_site(name: str | Path) -> Site:
    """A site by path of its TOML file, or by the name of a shipped one.

    Raises:
        ConfigError: Not there, an unknown key (with the nearest known one), or a value out of range.
    """
    return read_config(Site, config_path("sites", name))
