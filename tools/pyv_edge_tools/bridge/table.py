"""The live table of `monitor`, at a terminal with rich."""

import sys
from collections import deque
from typing import Any

from rich.console import Console as RichConsole
from rich.console import Group
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from .carrier import now_ns
from .chunk import SPEAKERS, Chunk, Note, Seen
from .description import as_lines, visible
from .event import Console, Damaged, Event, Noise
from .output import Watch
from .steady_output import SteadyOutput

LINES_MAX = 10  # of console text, damage and remarks, the latest
_REFRESH_NS = 250_000_000


class _Screen:
    """A terminal, as rich wants a file of one; that it has gone is the output's business."""

    def __init__(self, output: SteadyOutput) -> None:
        self.encoding = sys.stdout.encoding
        self._output = output

    def write(self, text: str) -> int:
        self._output.add(text)
        return len(text)

    def flush(self) -> None:
        pass  # the output is flushed after each tick

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return sys.stdout.fileno()


class Table(Watch):
    """Shows counts and rates by type of message, and beneath what else there was."""

    def __init__(self, key: bytes, name: str, begun_ns: int, output: SteadyOutput) -> None:
        """Show the line called `name` at the terminal behind `output`, from now on."""
        super().__init__(key, self._note)
        self._name = name
        self._begun_ns = begun_ns
        self._lines: deque[str] = deque(maxlen=LINES_MAX)
        screen: Any = _Screen(output)
        self._live: Any = Live(
            console=RichConsole(file=screen),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._is_live = False
        self._refreshed_ns = 0

    def _note(self, seen: Event | Note) -> None:
        if isinstance(seen, Console | Damaged | Noise | Note):
            self._lines.extend(as_lines(seen, self._begun_ns))

    def take(self, seen: Seen) -> None:
        """Take the next of what happened."""
        super().take(seen)
        if isinstance(seen, Chunk):
            self.tick()

    def tick(self) -> None:
        """Draw it anew, a few times a second."""
        at_ns = now_ns()
        if at_ns - self._refreshed_ns < _REFRESH_NS:
            return
        self._refreshed_ns = at_ns
        if not self._is_live:
            self._live.start()
            self._is_live = True
        self._live.update(self.drawn(at_ns), refresh=True)

    def end(self) -> None:
        """Leave the last one standing."""
        super().end()
        if self._is_live:
            self._live.update(self.drawn(now_ns()), refresh=True)
            self._live.stop()

    def drawn(self, at_ns: int) -> Group:
        """Return what is to be seen now."""
        statistic = self.statistic
        table = RichTable(title=Text(visible(self._name)))
        for column in ("from", "message", "count", "bytes"):
            table.add_column(column, justify="left" if column in ("from", "message") else "right")
        for (side, name), number in sorted(statistic.messages.items()):
            size = statistic.message_bytes[side, name]
            table.add_row(SPEAKERS[side], name, str(number), str(size))
        damage = ", ".join(f"{name} {number}" for name, number in statistic.damage().items())
        # The clock of a capture that is followed begins at 0: its latest time is now.
        rate_ns = at_ns if self._begun_ns else self.seen_ns
        rates = ", ".join(
            f"{SPEAKERS[side]} {statistic.rate(side, rate_ns):.0f}" for side in (0, 1)
        )
        lines = [f"bytes a second: {rates}", damage]
        for what, trips in (("time", statistic.time_trips), ("data", statistic.data_trips)):
            shown = ", ".join(
                f"{name} {value:g}" for name, value in trips.percentiles_ms().items()
            )
            lines.append(f"{what} round trip, ms: {shown or '-'}")
        return Group(table, Text("\n".join([*lines, *self._lines])))
