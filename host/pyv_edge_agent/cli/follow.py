"""Follower: what comes into a store, by the ids of its rows, whatever becomes of its file.

The file may be deleted, replaced or set aside as damaged while an agent writes to it. That
is a state, told once: whatever is at the path then is opened, and followed from there.
"""

import argparse
from collections.abc import Iterator

from ..errors import StoreError
from ..store import extract
from ..store.query import ALWAYS
from ..view import EVENTS, READINGS
from ..view.extraction import Extraction, Payload, Request
from .output import note
from .selection import open_view, read_names


class Follower:
    """One store, under the policy that was in force when it was opened last."""

    def __init__(self, args: argparse.Namespace) -> None:
        """Open the store. Raises what `open_view` does."""
        self._args = args
        self._names = read_names(args)
        self._view = open_view(args)
        self._is_closed = False
        self._problem = ""
        self._version = -1  # of the file's contents, when they were last looked at
        self._reading_id = self._event_id = 0  # followed up to there

    def close(self) -> None:
        """Close the store."""
        self._view.close()

    def begin(self, limit: int) -> list[Payload]:
        """Follow from here on; return the newest before, oldest first. Raises StoreError."""
        found: list[Payload] = []
        with self._view.reader.snapshot():  # so that nothing comes twice, or not at all
            self._reading_id, self._event_id = self._ends()
            for kind in (READINGS, EVENTS) if limit else ():
                request = Request(kind, self._names, self._args.quality, ALWAYS, limit)
                for piece in Extraction(self._view, request).pieces():
                    found += piece
        return sorted(found, key=lambda payload: float(payload["timestamp"]))[-limit:]

    def _ends(self) -> tuple[int, int]:
        reader = self._view.reader
        return reader.last_reading_id, extract.last_event_id(reader)

    def step(self) -> Iterator[list[Payload]]:
        """Yield what is new since the last step."""
        try:
            if self._is_closed or not self._view.reader.is_current:
                self._reopen()
            version = self._view.reader.pragma("data_version")
            if version != self._version:
                yield from self._readings()
                yield from self._events()
            self._version = version
            if self._problem:
                note(f"{self._view.reader.path}: is there again")
                self._problem = ""
        except StoreError as error:
            if str(error) != self._problem:
                note(f"{error}; waiting for it")
                self._problem = str(error)

    def _readings(self) -> Iterator[list[Payload]]:
        reader = self._view.reader
        last_id = reader.last_reading_id
        # Anew each time: a board may have brought channels that were not there before.
        known, _ = self._view.channels(self._names)
        wanted = self._view.wanted(known, self._args.quality, ALWAYS)
        for count, rows in extract.readings_between(reader, wanted, self._reading_id + 1, last_id):
            self._reading_id += count
            yield self._view.readings(rows)

    def _events(self) -> Iterator[list[Payload]]:
        request = Request(EVENTS, self._names, None, ALWAYS, None)
        extraction = Extraction(self._view, request)
        for rows in extract.events(self._view.reader, *ALWAYS, after=(self._event_id,)):
            self._event_id = rows[-1][0]
            yield [one for one in map(extraction.event, rows) if one is not None]

    def _reopen(self) -> None:
        """Go on in the file that is at the path now. Raises StoreError if there is none."""
        before, file = self._view.reader.store_id, self._view.reader.file
        # First: within a process, SQLite takes what belongs to a WAL from one connection to
        # the next.
        self._view.close()
        self._is_closed = True
        opened = open_view(self._args)
        self._view, self._version, self._is_closed = opened, -1, False
        last_id, event_id = self._ends()
        if opened.reader.store_id != before:
            self._reading_id, self._event_id = last_id, event_id
        else:  # it may be an older copy, whose ids will be given out again
            self._reading_id = min(self._reading_id, last_id)
            self._event_id = min(self._event_id, event_id)
        if opened.reader.file != file:
            note(f"{opened.reader.path}: is another file now; going on in it")
