"""FileSink: appends batches to NDJSON segments in a folder.

    YYYYMMDD-NNNNNN.ndjson       one item a line, then a line that closes the batch:
    {"batch_id": ..., "count": n}

A batch is accepted once it is on the disk with its closing line. Whatever has none, after
a crash or on a full disk, is cut off again; a batch that is closed already is not written
twice, as far back as the last two segments tell.
"""

import json
import os
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..clock import Clock, SystemClock
from ..disk import sync
from .delivery import ACCEPTED, FAILED, Delivery

MEGABYTE = 1_048_576
KEYS_MAX = 10_000  # batches that are known again
SUFFIX = ".ndjson"
STOP, DROP_OLDEST = "stop", "drop_oldest"


@dataclass(frozen=True)
class FileOptions:
    """Where segments are written, and how large they may get."""

    folder: Path
    segment_mb: float = 16.0  # ends a segment
    total_mb: float = 0.0  # of all segments; 0: no limit
    on_full: str = STOP


class FileSink:
    """Sink for one folder. For one thread."""

    def __init__(self, options: FileOptions, clock: Clock | None = None) -> None:
        """Prepare to write; nothing is opened yet."""
        self.dropped_segments_total = 0
        self._options = options
        self._clock = clock or SystemClock()
        self._segment: Path | None = None
        self._size = 0  # bytes of it that are whole batches
        self._keys: deque[str] = deque(maxlen=KEYS_MAX)
        self._is_open = False

    @property
    def shown(self) -> str:
        """The folder."""
        return str(self._options.folder)

    def deliver(self, batch_key: str, items: list[dict[str, Any]]) -> Delivery:
        """Append `items` and wait until they are on the disk."""
        lines = [json.dumps(item, separators=(",", ":")) for item in items]
        lines.append(json.dumps({"batch_id": batch_key, "count": len(items)}))
        data = ("\n".join(lines) + "\n").encode()
        try:
            if not self._is_open:
                self._open()
            if batch_key in self._keys:
                return Delivery(ACCEPTED)
            if not self._make_room(len(data)):
                problem = f"{self.shown}: holds total_mb = {self._options.total_mb:g} already"
                return Delivery(FAILED, f"{problem}; take segments away or raise it")
            self._append(data)
        except OSError as error:
            return Delivery(FAILED, f"{self.shown}: {error.strerror or error}")
        self._keys.append(batch_key)
        return Delivery(ACCEPTED)

    def probe(self) -> Delivery:
        """Look whether there is a folder to write to, or where to make one."""
        place = self._options.folder.absolute()
        while not place.exists():
            place = place.parent
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            return Delivery(FAILED, f"{place}: is no folder that may be written to")
        return Delivery(ACCEPTED)

    # -- segments ------------------------------------------------------------------

    def _open(self) -> None:
        """Go on in the last segment, behind its last whole batch."""
        self._options.folder.mkdir(parents=True, exist_ok=True)
        segments = self._segments()
        for segment in segments[-2:]:
            self._size = self._mend(segment)
            self._segment = segment
        self._is_open = True

    def _segments(self) -> list[Path]:
        return sorted(self._options.folder.glob(f"????????-??????{SUFFIX}"))

    def _mend(self, segment: Path) -> int:
        """Cut off what no line closes; return the size of the rest, and learn its keys."""
        size = whole = 0
        with segment.open("rb") as file:
            for line in file:
                size += len(line)
                key = _closes(line)
                if key is not None:
                    whole = size
                    self._keys.append(key)
        if segment.stat().st_size > whole:
            os.truncate(segment, whole)
            sync(segment)
        return whole

    def _append(self, data: bytes) -> None:
        segment = self._current(len(data))
        descriptor = os.open(segment, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        except OSError:
            self._is_open = False  # the segment is mended before it is written to again
            os.ftruncate(descriptor, self._size)  # needs no room
            raise
        finally:
            os.close(descriptor)
        if not self._size:
            sync(self._options.folder)  # the name of a new file
        self._size += len(data)

    def _current(self, added: int) -> Path:
        """Return the segment for the next batch: another one on a new day, or if one is full."""
        now = datetime.fromtimestamp(self._clock.utc_ms() / 1000, timezone.utc)
        today = now.strftime("%Y%m%d")
        if self._segment is not None:
            name, _, number = self._segment.stem.partition("-")
            is_full = self._size + added > self._options.segment_mb * MEGABYTE
            # A clock that was set back must not make a segment that sorts before the last.
            if today <= name and not (is_full and self._size):
                return self._segment
            today = max(today, name)
            following = int(number) + 1 if today == name else 1
        else:
            following = 1
        self._segment = self._options.folder / f"{today}-{following:06d}{SUFFIX}"
        self._size = 0
        return self._segment

    def _make_room(self, added: int) -> bool:
        """Return whether `added` bytes fit, having dropped old segments if that is the policy."""
        if not self._options.total_mb:
            return True
        limit = self._options.total_mb * MEGABYTE - added
        segments = self._segments()
        sizes = {segment: segment.stat().st_size for segment in segments}
        while sum(sizes.values()) > limit:
            oldest = next(iter(sizes), None)
            if self._options.on_full != DROP_OLDEST or oldest is None or oldest == self._segment:
                return False
            oldest.unlink()
            del sizes[oldest]
            self.dropped_segments_total += 1
        return True

    def wake(self) -> None:
        """Do nothing: a write under way ends by itself."""

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _closes(line: bytes) -> str | None:
    """Return the key of the batch that a line closes, None if it closes none."""
    if not line.endswith(b"\n") or b'"batch_id"' not in line:
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if isinstance(found, dict) and set(found) == {"batch_id", "count"}:
        return str(found["batch_id"])
    return None
