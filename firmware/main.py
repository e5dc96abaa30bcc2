"""Starts the node: the set of files that is in force, or the one behind it. See slots.py.

A board runs this after boot.py. It is never started from boot.py, because a
soft reset in the raw REPL (what mpremote does) runs that one.
"""

import gc

# Modules that are compiled here would else end up all over the heap, with garbage between
# them, and leave no piece of it that is large enough for the rings. The node sets it back.
if hasattr(gc, "threshold"):  # not under CPython
    gc.threshold(8192)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def _run() -> "Callable[[], None]":
    """Return what runs the node. A module that is imported out here stays in memory for ever."""
    from slots import start

    return start()


try:
    _run()()
except Exception as error:  # top of a thread: nobody may be there to see it
    from slots import restart

    restart(error)
