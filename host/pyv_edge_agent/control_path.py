"""Where a running agent can be asked: a socket that belongs to its configuration.

Under a service manager it is in the runtime folder, else beside the configuration. Imports
next to nothing, since a command's start has to wait for it.
"""

import os
from binascii import crc32
from collections.abc import Iterator
from contextlib import contextmanager

RUN_FOLDER = "/run/pyv-edge"  # RuntimeDirectory= of the unit
VARIABLE = "RUNTIME_DIRECTORY"  # in which the service manager tells the agent its name


def run_path(config: str, folder: str = RUN_FOLDER) -> str:
    """Return where the socket is of an agent that runs as a service."""
    return f"{folder}/{crc32(os.path.realpath(config).encode()):08x}.sock"


def own_path(config: str) -> str:
    """Return where it is of one that somebody has started."""
    return f"{os.path.realpath(config)}.sock"


@contextmanager
def address(path: str) -> Iterator[str]:
    """Name a socket by way of its folder: a path may be longer than what fits into an address.

    Raises OSError if there is no such folder.
    """
    folder, name = os.path.split(path)
    descriptor = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
