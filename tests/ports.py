"""A port on this machine that is free just now, and that the system gives to nobody by itself."""

import random
import socket

GIVEN_BY_HAND = range(20_000, 32_000)  # below those of outgoing connections


def free_port() -> int:
    # Another test may be looking as well: so each begins somewhere else, by chance of its own.
    for port in random.SystemRandom().sample(GIVEN_BY_HAND, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("none of a hundred ports is free")
