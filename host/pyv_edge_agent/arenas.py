"""How many arenas the C library allocates from: it makes one for each thread that asks.

An agent has a thread for each line and sink, each of which keeps what it has once used. With two
arenas for all of them an agent is 2 MB smaller and no slower: Python has one lock anyhow.
"""

import ctypes
from collections.abc import Mapping

COUNT = 2
_M_ARENA_MAX = -8  # of glibc's malloc.h
_VARIABLE = "MALLOC_ARENA_MAX"  # what somebody has set holds


def keep_few(environment: Mapping[str, str]) -> bool:
    """Let there be two arenas; return whether the C library has agreed.

    Other libraries than glibc have none, or not this function. Call it before there are threads.
    """
    if _VARIABLE in environment:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, COUNT) == 1
