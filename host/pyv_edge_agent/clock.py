"""The agent's only reader of time. Everything else is given a `Clock`.

It also tells what only the kernel knows of time: whether something sets the
computer's clock, and which boot of the computer this is.
"""

import ctypes
import logging
import threading
import time
from pathlib import Path
from typing import Any, Protocol

logger = logging.getLogger(__name__)

_ASK_MS = 1000  # the kernel is asked whether the clock is synchronised at most so often
_TIMEX_SIZE = 1024  # more than any system's struct timex has
_TIME_ERROR = 5  # what adjtimex() returns of a clock that is not synchronised
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Two kinds of time: one that never jumps, and one that people understand."""

    def monotonic_ms(self) -> int:
        """Return milliseconds that only ever rise, from an arbitrary start."""
        ...

    def utc_ms(self) -> int:
        """Return milliseconds since 1970 UTC, as wrong as the computer's clock is."""
        ...

    def is_synchronised(self) -> bool:
        """Return whether `utc_ms` is known to be right; False where nobody can tell."""
        ...

    def boot_id(self) -> str:
        """Return a name of this boot of the computer, "" if it has none.

        While it is the same, so is the start of `monotonic_ms`.
        """
        ...


class SystemClock:
    """The computer's clocks. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_ms: int | None = None
        self._is_synchronised = False
        self._adjtimex: Any = None
        self._has_adjtimex = True  # as far as known

    def monotonic_ms(self) -> int:
        """Return milliseconds of CLOCK_MONOTONIC."""
        return time.monotonic_ns() // 1_000_000

    def utc_ms(self) -> int:
        """Return milliseconds of CLOCK_REALTIME."""
        return time.time_ns() // 1_000_000

    def is_synchronised(self) -> bool:
        """Return what the kernel says, as of at most a second ago.

        Where it can't be asked that is logged once, and the answer is False.
        """
        with self._lock:
            now_ms = self.monotonic_ms()
            if self._has_adjtimex and (
                self._asked_ms is None or now_ms - self._asked_ms >= _ASK_MS
            ):
                self._asked_ms = now_ms
                self._is_synchronised = self._ask()
            return self._is_synchronised

    def _ask(self) -> bool:
        try:
            if self._adjtimex is None:
                library = ctypes.CDLL(None, use_errno=True)
                # The BSDs call it ntp_adjtime. Its struct differs everywhere but for its first
                # field, where 0 means that nothing is to be set; the answer is what it returns.
                name = "adjtimex" if hasattr(library, "adjtimex") else "ntp_adjtime"
                self._adjtimex = getattr(library, name)
            state = int(self._adjtimex(ctypes.create_string_buffer(_TIMEX_SIZE)))
            if state >= 0:
                return state != _TIME_ERROR
            problem = f"error {ctypes.get_errno()}"
        except (OSError, AttributeError, TypeError) as error:
            problem = str(error)
        self._has_adjtimex = False
        logger.warning(
            "can't ask the kernel whether the clock is synchronised (%s): it is taken not to be;"
            ' if something else sets it, say time.source = "trusted"',
            problem,
        )
        return False

    def boot_id(self) -> str:
        """Return the kernel's name of its boot."""
        try:
            return _BOOT_ID.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return ""  # not Linux, or a /proc that is hidden: every start is a boot of its own
