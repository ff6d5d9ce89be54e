"""The first minute on many machines: what else would show hours later, or never, is said at once.

    torchrun … -m runtime.machines --gpus 8 --id first-try train.py [settings of train.py]

Each process looks around and then becomes train.py, which knows nothing of it. Machines that do not
share `runs/`, where each writes its part of every checkpoint, end the run, and so do those that
would wait for each other at a wrong address; so does a machine with fewer GPUs than it was said to
have, instead of training on its CPU.
"""

import contextlib
import ipaddress
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from runtime.errors import UserError
from runtime.files import write_whole

WAIT_S = 60  # network disks show a folder's new files late: NFS after 30 s
OLD_S = 24 * 60 * 60


def main(words: list[str], environment: Mapping[str, str]) -> list[str]:
    """Check what can be checked; returns the words behind `python` that start the training.

    `--gpus N` and `--id NAME` are for this program. `--deal SETTING=N` as well: N is dealt to all
    processes, so that the setting means the same for the whole run, however many there are.
    """
    given: dict[str, list[str]] = {"--gpus": [], "--id": [], "--deal": []}
    while len(words) > 1 and words[0] in given:
        given[words[0]].append(words[1])
        words = words[2:]
    if not words:
        raise UserError("no program to start", "python -m runtime.machines [--gpus N] train.py")
    is_first = environment.get("LOCAL_RANK", "0") == "0"
    if is_first and given["--gpus"] not in ([], ["0"]):
        check_gpus(int(given["--gpus"][-1]))
    machine, machines = (
        int(environment.get(name, default))
        for name, default in (("GROUP_RANK", "0"), ("GROUP_WORLD_SIZE", "1"))
    )
    if is_first and machines > 1:
        names = check_shared(Path("runs"), (given["--id"] or ["run"])[-1], machine, machines)
        check_addresses(names, environment)
    return words + dealt(given["--deal"], int(environment.get("WORLD_SIZE", "1")))


def check_gpus(expected: int) -> None:
    """Raise UserError where this machine has fewer GPUs than it was said to have."""
    import torch  # some seconds, in which nothing else would be found out

    found = torch.accelerator.device_count() if torch.accelerator.is_available() else 0
    if found < expected:
        raise UserError(
            f"{os.uname().nodename} has {found} GPUs that torch can use, expected {expected}",
            f"GPUS={found} for torchrun.sh, --gpus-per-node={found} for sbatch",
        )


def check_shared(
    folder: Path, name: str, machine: int, machines: int, wait_s: float = WAIT_S
) -> list[str]:
    """The names of all machines; UserError if one does not see what the others write into a folder.

    Each leaves a mark and waits for those of the others. Who waits in vain takes its own away, so
    that marks stay on shared disks alone, and none of another try is taken for one of this.
    """
    folder = folder.absolute() / ".machines"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        with contextlib.suppress(OSError):  # another one was faster
            if time.time() - old.stat().st_mtime > OLD_S:
                old.unlink()
    marks = [f"{name.replace('/', '-')}.{number}" for number in range(machines)]
    mine = folder / marks[machine]
    end = time.monotonic() + wait_s
    try:
        write_whole(mine, os.uname().nodename.encode())
        while missing := sorted(set(marks) - set(os.listdir(folder))):
            if time.monotonic() > end:
                raise UserError(
                    f"machine {machine} of {machines} ({os.uname().nodename}) does not see in "
                    f"{folder.parent} what machine {marks.index(missing[0])} wrote there",
                    "put the project, or runs/ at least, where all machines share it",
                )
            time.sleep(0.2)
        return [(folder / mark).read_text() for mark in marks]
    except BaseException:
        mine.unlink(missing_ok=True)
        raise


def check_addresses(names: list[str], environment: Mapping[str, str]) -> None:
    """Raise UserError where this machine or the first process would be looked for in vain."""
    own = os.uname().nodename
    if set(names) == {own}:
        return  # all of them are this one
    head = environment.get("MASTER_ADDR", own)
    if not _address(head):
        raise UserError(
            f"{own} does not know {head}, where the processes meet",
            f"on {head}: ADDRESS=its-address in front of torchrun.sh; or name it in /etc/hosts",
        )
    found = _address(own)
    if "GLOO_SOCKET_IFNAME" in environment or found and not ipaddress.ip_address(found).is_loopback:
        return
    raise UserError(  # gloo tells the others the address of its machine's name
        f"to itself {own} is {found or 'nowhere'}, where the other machines would not find it",
        "export GLOO_SOCKET_IFNAME=the interface to them, as `ip -brief address` has it: eth0",
    )


def _address(name: str) -> str:
    """Where a name leads; empty if nowhere."""
    try:
        return str(socket.getaddrinfo(name, None)[0][4][0]).partition("%")[0]
    except OSError:
        return ""


def dealt(settings: list[str], processes: int) -> list[str]:
    """What each process is told where a setting is given for all of them: SETTING=TOTAL."""
    words = []
    for setting in settings:
        name, _, total = setting.partition("=")
        if int(total) % processes:
            raise UserError(
                f"{total} for --{name} cannot be dealt to {processes} processes",
                f"a number that {processes} divides",
            )
        words += [f"--{name}", str(int(total) // processes)]
    return words


if __name__ == "__main__":
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):  # to end as by an exception, which clears away
        signal.signal(getattr(signal, name), lambda number, frame: sys.exit(128 + number))
    command = main(sys.argv[1:], os.environ)
    os.execv(sys.executable, [sys.executable, *command])
