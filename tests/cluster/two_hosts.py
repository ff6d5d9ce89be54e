"""Two machines on this one: network namespaces, each with a name and an address, and a cable.

Root alone can make them. Their disk is this machine's, unless a folder is given them apart.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NETWORK = "10.77.0"
# Within a namespace: a name, what it knows of names, perhaps an empty disk, and then a command.
INSIDE = """
hostname "$1" && mount --bind "$2" /etc/hosts
[ -z "$3" ] || mount -t tmpfs none "$3"
shift 3 && exec "$@"
"""


@dataclass(frozen=True)
class Host:
    """A machine with its name, its address, and a file of the names that it knows."""

    name: str
    address: str
    space: str
    hosts: Path

    def command(self, *words: str, apart: Path | None = None) -> list[str]:
        """What starts these words on this machine; `apart` is a folder of its own."""
        enter = ["ip", "netns", "exec", self.space, "unshare", "--uts", "--mount"]
        inside = ["sh", "-ec", INSIDE, "sh", self.name, str(self.hosts), str(apart or "")]
        return [*enter, *inside, *words]

    def cable(self, state: str) -> None:
        """Cut it off, by "down", or bring it back, by "up"."""
        _ip("-n", self.space, "link", "set", "cable", state)

    def knows(self, **addresses: str) -> None:
        """Which names it knows."""
        lines = [f"{address} {name}\n" for name, address in addresses.items()]
        self.hosts.write_text("127.0.0.1 localhost\n" + "".join(lines))


@contextlib.contextmanager
def two_hosts(folder: Path, *names: str) -> Iterator[list[Host]]:
    """Two machines that know each other's names; they are gone after the block."""
    spaces = [f"litgen-{os.getpid()}-{number}" for number in (1, 2)]
    try:
        for space in spaces:
            _ip("netns", "add", space)
        peer = ["peer", "name", "cable", "netns", spaces[1]]
        _ip("-n", spaces[0], "link", "add", "cable", "type", "veth", *peer)
        hosts = []
        for number, (name, space) in enumerate(zip(names, spaces, strict=True), 1):
            address = f"{NETWORK}.{number}"
            _ip("-n", space, "address", "add", f"{address}/24", "dev", "cable")
            _ip("-n", space, "link", "set", "lo", "up")
            _ip("-n", space, "link", "set", "cable", "up")
            hosts.append(Host(name, address, space, folder / f"hosts-{number}"))
        for host in hosts:
            host.knows(**{other.name: other.address for other in hosts})
        yield hosts
    finally:
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
