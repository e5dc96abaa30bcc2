"""The end of a prompt that nobody uses: a board that a stray Ctrl-C has stopped boots again.

Each statement that is typed, and each program that a tool sends, takes heap: if
no more and no less of it is taken than some seconds ago, nobody was there. A
soft reset ends the watch, as it ends all timers. Loaded when Ctrl-C comes.
"""

from pyv_edge_core._compat import TYPE_CHECKING, const

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LOOK_MS = const(5000)
# The watch that runs. An RP2 forgets a timer to which nothing leads.
_watches: "list[Watch]" = []


class Watch:
    """A timer that looks for signs of use, and resets the board if there are none."""

    def __init__(
        self, machine: "Any", number: int, heap_taken: "Callable[[], int]", idle_ms: int
    ) -> None:
        """Begin, with `machine.Timer(number)`; `heap_taken` must not take any itself."""
        self._machine = machine
        self._heap_taken = heap_taken
        self._looks_max = idle_ms // LOOK_MS
        self._looks = 0  # in a row, without a sign
        self._taken = heap_taken()
        self._timer = machine.Timer(number)
        self._timer.init(period=LOOK_MS, mode=self._timer.PERIODIC, callback=self._look)
        _watches[:] = [self]

    def _look(self, timer: "Any") -> None:
        """Look once more. What it took of the heap itself would be a sign: it takes nothing."""
        taken = self._heap_taken()
        if taken != self._taken:
            self._taken = taken
            self._looks = 0
            return
        self._looks += 1
        if self._looks >= self._looks_max:
            self._machine.reset()
