"""A SLURM of two nodes, on this machine alone and out of a folder: nothing of it is installed.

Debian's packages are fetched once and unpacked; the controller and two slurmd run on loopback, as
this user, without munge. The first node is called as this machine is, so that processes of a job
find it by its name.
"""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paced import until

PACKAGES = (
    "slurmctld",
    "slurmd",
    "slurm-client",
    "slurm-wlm-basic-plugins",
    "libmunge2",
    "libhwloc15",
    "liblua5.1-0",
    "libjson-c5",
    "libyaml-0-2",
    "libdbus-1-3",
)
HERE = socket.gethostname().partition(".")[0]
NODES = (HERE, f"{HERE}-2")
GPUS = 2  # of each
CONFIGURATION = """
ClusterName=private
SlurmctldHost={here}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
KillWait=20
MpiDefault=none
GresTypes=gpu
SlurmdParameters=config_overrides
PluginDir={plugins}
StateSaveLocation={state}/controller
SlurmdSpoolDir={state}/%n
SlurmctldPidFile={state}/controller.pid
SlurmdPidFile={state}/%n.pid
SlurmctldLogFile={state}/controller.log
SlurmdLogFile={state}/%n.log
NodeName={nodes[0]} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4
NodeName={nodes[1]} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """A running one: its commands, called in a folder, with an environment that finds them."""

    environment: dict[str, str]

    def __call__(self, *words: str, cwd: Path, **extra: str) -> str:
        """What a command prints; raises where it fails."""
        done = self.attempt(*words, cwd=cwd, **extra)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def attempt(self, *words: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
        """The same where it may fail."""
        return subprocess.run(
            words,
            cwd=cwd,
            env=self.environment | extra,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def state(self, job: str, *, cwd: Path) -> dict[str, str]:
        """What the controller says of a job, by name."""
        told = self("scontrol", "show", "job", "--oneliner", job, cwd=cwd)
        return dict(pair.split("=", 1) for pair in told.split() if "=" in pair)


def unpacked(folder: Path) -> Path:
    """Debian's packages in a folder, fetched if they are not there."""
    root = folder / "root"
    if not (root / "usr/sbin/slurmctld-wlm").exists():
        folder.mkdir(parents=True, exist_ok=True)
        if subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=False).returncode:
            subprocess.run(["apt-get", "update"], check=True)
            subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=True)
        for package in sorted(folder.glob("*.deb")):
            subprocess.run(["dpkg", "-x", package, root], check=True)
    return root


@contextlib.contextmanager
def running(folder: Path, state: Path, *, apart: Path | None = None) -> Iterator[Slurm]:
    """A SLURM whose nodes are idle; it ends with the block, and its jobs with it.

    The second node sees an empty disk in the folder `apart`, where root starts it.
    """
    root = unpacked(folder)
    library = next(root.glob("usr/lib/*-linux-gnu"))
    configuration = state / "slurm.conf"
    for name in ("controller", *NODES):
        (state / name).mkdir(parents=True)
    configuration.write_text(
        CONFIGURATION.format(
            here=HERE,
            nodes=NODES,
            ports=_free_ports(3),
            user=os.environ.get("USER") or "root",
            plugins=library / "slurm-wlm",
            state=state,
        )
    )
    environment = os.environ | {
        "SLURM_CONF": str(configuration),
        "LD_LIBRARY_PATH": f"{library}:{library / 'slurm-wlm'}",
        "PATH": f"{root / 'usr/bin'}:{os.environ['PATH']}",
    }
    programs = root / "usr/sbin"
    commands = [[programs / "slurmctld-wlm", "-D", "-f", configuration]]
    commands += [
        [programs / "slurmd-wlm", "-D", "-f", configuration, "-N", node]
        + ["-d", programs / "slurmstepd-wlm"]
        for node in NODES
    ]
    if apart and os.geteuid() == 0:
        mounted = 'mount -t tmpfs none "$0" && exec "$@"'
        commands[-1][:0] = ["unshare", "--mount", "sh", "-c", mounted, apart]
    slurm, daemons = Slurm(environment), []
    try:
        for command in commands:
            with (state / "daemons.log").open("a") as log:
                daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

        def is_idle() -> bool:
            told = slurm.attempt("sinfo", "--noheader", "--format=%T %D", cwd=state)
            return told.stdout.split() == ["idle", "2"]

        until(is_idle, 60, "two idle nodes")
        gpus = f"gres=gpu:{GPUS}"  # which are counted; no device is behind them
        slurm("scontrol", "update", f"nodename={','.join(NODES)}", gpus, cwd=state)
        yield slurm
    finally:
        slurm.attempt("scancel", "--user", environment.get("USER", "root"), cwd=state)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(timeout=30)


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
