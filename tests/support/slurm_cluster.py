"""A real Slurm of one node, started and stopped by the tests."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "runuser")
_MUNGE_SOCKET = Path("/run/munge/munge.socket.2")

_CONFIGURATION = """
ClusterName=lulc
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=20
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 Boards=1 SocketsPerBoard=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=8000
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# cred_expire: a job that is queued again would otherwise wait two minutes for its old credential to expire.


def why_not():
    """Why there can be no Slurm here; empty when there can."""
    if os.geteuid():
        return "starting a Slurm needs root"
    missing = [program for program in PROGRAMS if _found(program) is None]
    return f"{', '.join(missing)} not installed: apt-get install slurm-wlm munge" if missing else ""


@contextmanager
def slurm(folder):
    """A cluster whose files lie in a folder; SLURM_CONF points to it until it is stopped.

    Raises:
        RuntimeError: It does not come up.
    """
    host = socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    configuration = folder / "slurm.conf"
    configuration.write_text(
        _CONFIGURATION.format(host=host, folder=folder, controller=_free_port(), daemon=_free_port())
    )
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(configuration)
    munge = _start_munge()
    try:
        _run("slurmctld")
        _run("slurmd")
        _wait_until_idle(folder)
        yield
    finally:
        subprocess.run([_found("scancel"), "--user=root"], check=False)
        for name in ("slurmd", "slurmctld"):
            _stop(folder / f"{name}.pid")
        if munge:
            _stop(Path("/run/munge/munged.pid"))
        os.environ.pop("SLURM_CONF") if before is None else os.environ.update(SLURM_CONF=before)


def _found(program):
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _run(*command):
    done = subprocess.run([_found(command[0]), *command[1:]], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr or done.stdout}")
    return done.stdout


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start_munge():
    """Start munged unless it runs; True when it is ours to stop."""
    if _MUNGE_SOCKET.exists() and not subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode:
        return False
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    _run("runuser", "-u", "munge", "--", _found("munged"), "--force")
    return True


def _wait_until_idle(folder):
    deadline = time.monotonic() + 30
    while "idle" not in (state := _run("sinfo", "--noheader", "--format=%t")):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the node stays {state.strip()}: {(folder / 'slurmctld.log').read_text()[-2000:]}")
        time.sleep(0.2)


def _stop(pid_file):
    """End a daemon by its own number and wait until it is gone."""
    try:
        number = int(pid_file.read_text())
        os.kill(number, 15)
        deadline = time.monotonic() + 20
        while Path(f"/proc/{number}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    except (OSError, ValueError):
        return
