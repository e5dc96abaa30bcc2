"""FileTailAdapter: the lines that another program writes into a file, as it writes them.

A line that isn't finished waits. What is no reading is counted and named, and the next line
is read. The place behind what is stored is saved in the transaction of the readings.
"""

import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..clock import Clock
from ..errors import SubmissionError
from ..submission import Feed, Sample
from .availability import Availability
from .following import Following
from .lines import SIZE_MAX, Line, LineSplitter, Rows
from .mapping import Mapper
from .place import Place, read_place
from .stored_feed import PIECE_MAX, Stop, StoredFeed

READ_MAX = 4_194_304  # bytes, behind which the place is saved, readings or not


class FileTailAdapter:
    """Follows one file."""

    is_pushing = True

    def __init__(self, device: Mapping[str, Any], clock: Clock, folder: Path = Path()) -> None:
        """Prepare the device of a checked table; its path counts from `folder`. Opens nothing."""
        path = folder / device["path"]
        self._interval_s: float = device["interval_seconds"]
        self._following = Following(path, device["start"])
        self._rows = Rows(device, path)
        self._mapper = Mapper(device)
        self._stop = Stop()
        self._stored: StoredFeed | None = None
        self._file = Availability(device["name"], clock)
        self._saved: Place | None = None  # what the store has
        self._behind: Place | None = None  # what was gathered
        self._clear()

    def stop(self) -> None:
        """Let `run` return soon. Any thread may."""
        self._stop.set()

    def run(self, feed: Feed) -> None:
        """Bring readings until `stop`."""
        self.begin(feed)
        try:
            while not self._stop.is_set:
                if not self.step():
                    self._stop.wait(feed, self._interval_s)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._following.close()

    def status(self) -> dict[str, Any]:
        """Return how it does, as JSON types."""
        state = "following" if self._file.is_there else "waiting"
        told = {"path": str(self._following.path), "state": state, **self._file.status()}
        size = self._splitter.waiting_size
        if size > SIZE_MAX and not told["connection_problem"]:
            told["connection_problem"] = f"a line of {size} bytes has no end yet; it is skipped"
        return told

    def begin(self, feed: Feed) -> None:
        """Get ready to read from where the store stands."""
        feed.read_from(f"tail {os.path.abspath(self._following.path)}")
        self._stored = StoredFeed(feed, self._stop)
        self._go_back(self._stored)

    def step(self) -> bool:
        """Store the next piece of what there is; return whether there may be more at once."""
        stored, following = self._stored, self._following
        assert stored is not None
        samples: list[Sample] = []
        has_more, opened_total = False, following.opened_total
        try:
            has_more = self._gather(stored, samples)
            is_seen = not has_more or following.opened_total > opened_total
            if is_seen and not self._file.is_there:
                self._file.found(f"reads {following.path}")
        except FileNotFoundError:
            # What is open is read on, until another file has the name.
            self._file.lost(f"{following.path} is not there")
            if not following.is_open:
                self._behind = following.place
        except OSError as error:
            following.close()
            self._file.lost(f"{following.path}: {error.strerror or error}")
        if self._behind is not None and (samples or self._is_far(self._behind)):
            if not stored.store(samples, self._behind.to_json()):
                self._go_back(stored)
                return True
            self._saved = read_place(stored.position)
        return has_more

    def _go_back(self, stored: StoredFeed) -> None:
        """Read from where the store stands."""
        self._following.resume(stored.position, stored.feed.other_positions().values())
        self._saved = self._behind = read_place(stored.position)
        self._clear()

    def _clear(self) -> None:
        self._splitter = LineSplitter()
        self._lines: deque[Line] = deque()  # that were read and are still to be taken
        self._taken = 0  # offset behind the last one that was
        self._has_rows = False  # whether there was more than a header
        self._opened_total = self._following.opened_total

    def _is_far(self, place: Place) -> bool:
        """Return whether a place is worth saving by itself."""
        saved = self._saved
        if saved is None or place.inode != saved.inode:
            return True
        return not saved.offset <= place.offset < saved.offset + READ_MAX

    def _gather(self, stored: StoredFeed, samples: list[Sample]) -> bool:
        """Take lines of one file; return whether there may be more. Raises OSError."""
        following = self._following
        size = 0
        while len(samples) < PIECE_MAX and size < READ_MAX:
            if self._lines:
                self._take(self._lines.popleft(), stored, samples)
                continue
            self._keep()
            data = following.read()
            if following.opened_total != self._opened_total:
                self._begin(stored.feed)
                return True
            if not data:
                return False
            size += len(data)
            self._lines.extend(self._splitter.split(data))
        self._keep()
        return True

    def _keep(self) -> None:
        if self._following.is_open:
            # A header alone says nothing: another file has the same.
            taken = self._taken if self._has_rows or not self._rows.needs_header else 0
            columns = self._rows.later_columns
            self._behind = self._following.keep(taken, columns, self._taken)

    def _begin(self, feed: Feed) -> None:
        """Begin where another file, or another part of this one, was opened."""
        offset = self._following.offset
        is_left = self._splitter.end() is not None and not self._following.is_aside
        if is_left and offset != self._taken:
            feed.reject(f"{self._following.path} ended in the middle of a line")
        self._clear()
        self._taken = offset
        place = self._following.place
        columns = () if place is None else place.columns
        self._rows.begin(columns)
        self._has_rows = offset > 0
        if offset and self._rows.needs_header and not columns:
            for content in self._following.first_lines():
                with suppress(SubmissionError):  # then no row fits, and each says so
                    self._rows.read(Line(content, 0))
                if self._rows.has_columns:
                    break

    def _take(self, line: Line, stored: StoredFeed, samples: list[Sample]) -> None:
        start, self._taken = self._taken, self._taken + line.size
        self._has_rows |= self._rows.has_columns
        try:
            document = self._rows.read(line)
            if document is not None:
                found = self._mapper.map(document)
                stored.check(found)
                samples += found
        except SubmissionError as error:
            path = self._following.path
            stored.feed.reject(f"{path}: the line at byte {start}: {error}")
