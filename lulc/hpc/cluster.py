"""Dask clusters by address: `tcp://HOST:PORT`, `local:N` or `slurm:SITE`."""

import logging
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from math import ceil
from typing import TYPE_CHECKING, Any

from lulc.errors import ShardError, UsageError, raised_as
from lulc.hpc.site import Site, load_site

if TYPE_CHECKING:
    from distributed import Client

_LOCAL = re.compile(r"local:(\d+)")
_ALLOWED_FAILURES = 1
"""Workers that may die over one chunk, beside the first, before the chunk is blamed."""

LOGS = "lulc-slurm-logs"
"""Folder for the output of Slurm's jobs, below the working folder."""

_CONNECT_TIMEOUT_S = 20
_WORKER_TIMEOUT_S = 60
_ANY_PORT = "127.0.0.1:0"
"""Address of the scheduler's own pages: with a fixed port two runs on one machine would collide."""


@contextmanager
def cluster_client(address: str) -> Iterator["Client"]:
    """Client of a Dask cluster. A cluster that is started here is ended with the block.

    Args:
        address: `tcp://HOST:PORT` of a running scheduler, `local:N` for N processes of this machine, or `slurm:SITE`
            for jobs of Slurm. A site is given by name or by path of its TOML file.

    Raises:
        UsageError: The address has another form, or dask.distributed is not installed.
        ConfigError: The site file is refused.
        ShardError: No scheduler answers at the address.
    """
    with raised_as(UsageError, "--scheduler needs dask.distributed", "pip install 'lulc[dask]'", ImportError):
        import dask
        from distributed import Client
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a lost worker is reported by lulc, in one line
    settings = {"distributed.scheduler.allowed-failures": _ALLOWED_FAILURES}
    with dask.config.set(settings), ExitStack() as opened:
        target = address if "://" in address else opened.enter_context(_started(address))
        with raised_as(ShardError, f"no Dask scheduler answers at {address}", "check its address", OSError, ValueError):
            client = Client(target, timeout=_CONNECT_TIMEOUT_S, set_as_default=False)
        with client:
            try:
                yield client
            except BaseException:
                _kill_local_workers(client.cluster)
                raise


def _started(address: str) -> Any:  # noqa: ANN401 - a cluster of dask.distributed or of dask-jobqueue
    kind, _, rest = address.partition(":")
    if match := _LOCAL.fullmatch(address):
        return _local(int(match[1]))
    if kind == "slurm" and rest:
        return _slurm(load_site(rest))
    raise UsageError(f"{address!r} is no cluster", "use tcp://HOST:PORT, local:N or slurm:SITE")


def _local(workers: int) -> Any:  # noqa: ANN401
    """Processes of this machine, each with one task at a time. lulc itself bounds their memory."""
    from distributed import LocalCluster

    if not workers:
        raise UsageError("local:0 has no worker", "use local:1 or more")
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        memory_limit=0,
        dashboard_address=_ANY_PORT,
        host="127.0.0.1",
        silence_logs=logging.CRITICAL,
        preload=[__name__],
    )


def _kill_local_workers(cluster: Any) -> None:  # noqa: ANN401
    """Kill the workers of a block that failed. Asked to stop, each would first finish a task that nobody needs."""
    from distributed import LocalCluster

    for nanny in cluster.workers.values() if isinstance(cluster, LocalCluster) else ():
        nanny.close_gracefully()  # it starts no other one
        if nanny.pid:
            with suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


def dask_setup(_worker: object) -> None:
    """Called in each local worker: ignore Ctrl-C, since the client ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _slurm(site: Site) -> Any:  # noqa: ANN401
    """Jobs of Slurm, each with one worker that takes one task at a time."""
    refused = raised_as(UsageError, "--scheduler slurm: needs dask-jobqueue", "pip install 'lulc[slurm]'", ImportError)
    with refused, _kept_signals():
        from dask_jobqueue import SLURMCluster
    lines = [f"--gres={site.gres}"] * bool(site.gres) + [f"--qos={site.qos}"] * bool(site.qos) + list(site.sbatch)
    cluster = SLURMCluster(
        queue=site.partition or None,
        account=site.account or None,
        cores=1,
        job_cpu=site.cpus or 1,
        processes=1,
        memory=f"{ceil(_gigabytes(site.memory))}GB",
        walltime=site.time,
        interface=site.interface or None,
        job_extra_directives=lines,
        job_script_prologue=[*site.environment_lines(), *site.setup],
        local_directory=site.scratch or None,
        log_directory=LOGS,
        death_timeout=_WORKER_TIMEOUT_S,
        scheduler_options={"dashboard": False, "dashboard_address": _ANY_PORT},
        worker_extra_args=["--memory-limit", "0", "--no-dashboard"],
        silence_logs=logging.CRITICAL,
        **({"python": site.python} if site.python else {}),
    )
    cluster.scale(jobs=site.workers)
    return cluster


@contextmanager
def _kept_signals() -> Iterator[None]:
    """Restore the handler of SIGINT, which importing dask-jobqueue replaces.

    Otherwise Ctrl-C would end lulc without a message.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


def _gigabytes(memory: str) -> float:
    """Convert a size as Slurm writes it (`4G`, `500M`) to gigabytes.

    Raises:
        UsageError: The text is not such a size.
    """
    match = re.fullmatch(r"(\d+)([KMGT]?)B?", memory.upper())
    if match is None:
        raise UsageError(f"memory = {memory!r} of the site is no size", "write 800M or 8G")
    return int(match[1]) * {"K": 1e-6, "": 1e-3, "M": 1e-3, "G": 1.0, "T": 1e3}[match[2]]
