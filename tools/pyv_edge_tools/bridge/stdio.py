"""The standard streams, which may be closed, full, or read by nobody any more.

A stream that is closed is as one that fails: whatever uses it gets an OSError. What
is wrong with standard output is told in one line on standard error, once; where that
can't be written either, the status alone says it.
"""

import errno
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper

from .errors import BridgeError

_LOOK_S = 0.1
# Opened the wrong way round, so that using them fails.
_INSTEAD = (
    ("stdin", os.O_WRONLY, "r"),
    ("stdout", os.O_RDONLY, "w"),
    ("stderr", os.O_RDONLY, "w"),
)


def prepare() -> None:
    """Put something in the place of streams that are closed, and escape what can't be encoded.

    The board's port would else get the number of standard output, and what is printed with it.
    """
    for name, flags, mode in _INSTEAD:
        if getattr(sys, name) is None:
            made = os.fdopen(os.open(os.devnull, flags), mode, encoding="utf-8")
            setattr(sys, name, made)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not have a board's "é"


def why_unwritable(error: OSError) -> str:
    """Return what is wrong with standard output."""
    if error.errno == errno.EBADF:
        return "standard output is closed"
    return f"standard output can't be written: {error.strerror}"


def put(text: str, end: str = "\n") -> None:
    """Print `text`. Raises BrokenPipeError, and BridgeError for any other failure."""
    _guarded(lambda: print(text, end=end))


def flush() -> None:
    """Let what was printed be seen. Raises as `put` does."""
    _guarded(sys.stdout.flush)


def _guarded(work: Callable[[], None]) -> None:
    try:
        work()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BridgeError(why_unwritable(error)) from error


def complain(text: str) -> None:
    """Print `text` on standard error, if that can be written."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def drop_output() -> None:
    """Let what is printed and not yet written go nowhere: Python would write it when it ends."""
    _lead_nowhere(sys.stdout.fileno())


def let_go() -> None:
    """See to it that Python, which flushes when it ends, has nothing to say about that."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _lead_nowhere(stream.fileno())


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def is_done_in_time(
    work: Callable[[], None], timeout_s: float, is_asked: Callable[[], bool] = lambda: True
) -> bool:
    """Do `work` in a thread; return whether it ended at most `timeout_s` after `is_asked` is so.

    Whoever reads the output may have stopped, and writing waits for that. Raises what `work` does.
    """
    errors: list[Exception] = []

    def run() -> None:
        try:
            work()
        except Exception as error:  # top of a thread; raised again below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive() and not is_asked():
        thread.join(_LOOK_S)
    thread.join(timeout_s)
    if errors:
        raise errors[0]
    return not thread.is_alive()
