"""FileReplayAdapter: readings that were recorded, once more, as fast as they came or faster.

Where it stands is saved in the transaction of the readings: a restart goes on there, and a
replay that is finished stays finished.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..clock import Clock, SystemClock
from ..errors import AdapterError, SubmissionError
from ..settings import FILE
from ..submission import Feed, Sample
from .availability import Availability
from .lines import Line, Rows
from .mapping import Mapper
from .recording import Recording, open_recording
from .stored_feed import PIECE_MAX, WAIT_S, Stop, StoredFeed

logger = logging.getLogger(__name__)

RETRY_S = 5.0  # before a file that can't be read is tried again
SKIP_MS = 3_600_000  # longest that it takes to unpack what was replayed before
LINES_MAX = 50_000  # behind which the place is saved, readings or not
_REST_S = 60.0


class Standing(NamedTuple):
    """How far a replay is."""

    offset: int = 0  # in what is in the file
    passes: int = 0  # that are over
    head: str = ""  # what the file is known by
    is_finished: bool = False

    def to_json(self) -> str:
        """Return it as a submission's position."""
        return json.dumps({"mode": "replay", **self._asdict()})


def read_standing(position: str) -> Standing:
    """Return what a position stands for; the beginning if it stands for nothing."""
    try:
        found = json.loads(position or "null")
        offset, passes, head, is_finished = (found[name] for name in Standing._fields)
        return Standing(int(offset), int(passes), str(head), bool(is_finished))
    except (ValueError, KeyError, TypeError):
        return Standing()  # nothing was read yet, or by another adapter under this name


class FileReplayAdapter:
    """Replays one file."""

    is_pushing = True

    def __init__(
        self,
        device: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        folder: Path = Path(),
    ) -> None:
        """Prepare the device of a checked table; its path counts from `folder`.

        Without one there is nothing to `run`; `read_csv` and `read_jsonl` need none.
        """
        self._device = device
        self._clock = clock or SystemClock()
        self._stop = Stop()
        self._is_finished = False
        if device is not None:
            self._path = folder / device["path"]
            self._rows = Rows(device, self._path)
            self._mapper = Mapper(device)
            self._file = Availability(device["name"], self._clock)

    @staticmethod
    def read_csv(path: str | Path) -> Iterator[dict[str, Any]]:
        """Return the readings of a CSV file with columns sensor_name, timestamp and value.

        Raises OSError, and SubmissionError at the first line that is no reading.
        """
        return _read_documented(Path(path), "csv")

    @staticmethod
    def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
        """Return the readings of a file with a JSON document a line; as `read_csv`."""
        return _read_documented(Path(path), "jsonl")

    def stop(self) -> None:
        """Let `run` return soon. Any thread may."""
        self._stop.set()

    def status(self) -> dict[str, Any]:
        """Return how it does, as JSON types."""
        state = "replaying" if self._file.is_there else "waiting"
        state = "finished" if self._is_finished else state
        return {"path": str(self._path), "state": state, **self._file.status()}

    def run(self, feed: Feed) -> None:
        """Bring readings until `stop`, as they are due."""
        if self._device is None:
            raise AdapterError("it was made without a device: there is nothing to replay")
        feed.read_from(f"replay {os.path.abspath(self._path)}")
        stored = StoredFeed(feed, self._stop)
        while not self._stop.is_set:
            try:
                self._play(stored)
            except FileNotFoundError:
                self._file.lost(f"{self._path} is not there")
                self._stop.wait(feed, RETRY_S)
            except OSError as error:
                self._file.lost(f"{self._path}: {error.strerror or error}")
                self._stop.wait(feed, RETRY_S)

    def _play(self, stored: StoredFeed) -> None:
        """Go on to the end of the file, if nothing comes between. Raises OSError."""
        # A store of an earlier schema doesn't say of which file its position is.
        position = stored.position or stored.feed.other_positions().get("", "")
        standing = read_standing(position)
        stored.feed.beat(SKIP_MS)
        if standing.is_finished and not self._path.exists():
            self._rest(stored.feed)
            return
        with open_recording(self._path) as recording:
            if standing.offset and recording.head(standing.offset) != standing.head:
                logger.warning("%s is another file by now: it is replayed whole", self._path)
                standing = Standing()
            if standing.is_finished:
                self._rest(stored.feed)
            else:
                self._play_from(standing, recording, stored)

    def _play_from(self, standing: Standing, recording: Recording, stored: StoredFeed) -> None:
        assert self._device is not None
        pace = _Pace(self._device["speed"], self._clock)
        self._begin(standing, recording)
        offset, passes, count = standing.offset, standing.passes, 0
        samples: list[Sample] = []
        for line, end in recording.lines(standing.offset):
            found = self._take(line, stored)
            if found and not self._file.is_there:
                self._file.found(f"replays {self._path}")
            is_early = bool(found) and not pace.is_due(found[0].utc_ms)
            if is_early or len(samples) >= PIECE_MAX or count >= LINES_MAX:
                behind = Standing(offset, passes, recording.head(offset))
                if not stored.store(samples, behind.to_json()):
                    return
                samples, count = [], 0
            if is_early and not self._wait_for(pace, stored.feed):
                return
            offset, count = end, count + 1
            samples += found if self._device["times"] == "file" else _without_times(found)
        is_finished = not self._device["loop"]
        behind = Standing(offset if is_finished else 0, passes + 1, recording.head(offset))
        if not stored.store(samples, behind._replace(is_finished=is_finished).to_json()):
            return
        if is_finished:
            logger.info("the replay of %s is finished", self._path)
        elif not standing.offset and not pace.has_begun:
            raise OSError("has no reading in it")

    def _begin(self, standing: Standing, recording: Recording) -> None:
        self._rows.begin()
        if standing.offset and self._rows.needs_header:
            first, _ = next(recording.lines(0))
            with suppress(SubmissionError):  # then no row fits, and each says so
                self._rows.read(first)

    def _take(self, line: Line, stored: StoredFeed) -> list[Sample]:
        try:
            document = self._rows.read(line)
            found = [] if document is None else self._mapper.map(document)
            stored.check(found)
        except SubmissionError as error:
            stored.feed.reject(f"{self._path}: {error}")
            return []
        return found

    def _wait_for(self, pace: "_Pace", feed: Feed) -> bool:
        """Wait until what comes next is due; return False if it is not to come any more."""
        while not self._stop.is_set and (left_ms := pace.left_ms()) > 0:
            self._stop.wait(feed, min(left_ms / 1000, WAIT_S))
        return not self._stop.is_set

    def _rest(self, feed: Feed) -> None:
        """Wait for the end of the agent."""
        self._is_finished = True
        while not self._stop.is_set:
            self._stop.wait(feed, _REST_S)


class _Pace:
    """When what was recorded at some time is due."""

    def __init__(self, speed: float, clock: Clock) -> None:
        """Begin with the first time that is asked for; speed 0: at once, whatever it is."""
        self._speed = speed
        self._clock = clock
        self._first_ms: int | None = None
        self._began_ms = 0
        self._due_ms = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether there was any time."""
        return self._first_ms is not None

    def is_due(self, recorded_ms: int | None) -> bool:
        """Return whether it is time for what was recorded at `recorded_ms`, which comes next."""
        if self._first_ms is None:
            self._first_ms, self._began_ms = recorded_ms or 0, self._clock.monotonic_ms()
            self._due_ms = self._began_ms
        if not self._speed or recorded_ms is None:
            return True
        due_ms = self._began_ms + (recorded_ms - self._first_ms) / self._speed
        self._due_ms = max(self._due_ms, due_ms)  # what was recorded earlier is late already
        return self.left_ms() <= 0

    def left_ms(self) -> float:
        """Return how long it is until then."""
        return self._due_ms - self._clock.monotonic_ms()


def _without_times(samples: list[Sample]) -> list[Sample]:
    return [sample._replace(utc_ms=None) for sample in samples]


def _read_documented(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    device = {key: setting.default for key, setting in FILE.items()}
    device |= {"format": kind, "unit": "", "channel_path": "sensor_name", "unit_path": "unit"}
    rows, mapper = Rows(device, path), Mapper(device)
    with open_recording(path) as recording:
        for number, (line, _) in enumerate(recording.lines(0), 1):
            try:
                document = rows.read(line)
                found = [] if document is None else mapper.map(document)
            except SubmissionError as error:
                raise SubmissionError(f"{path}:{number}: {error}") from None
            for sample in found:
                assert sample.utc_ms is not None
                given = document.get("metadata") if isinstance(document, dict) else None
                yield {
                    "sensor_name": sample.channel,
                    "timestamp": sample.utc_ms / 1000,
                    "value": sample.value,
                    "unit": sample.unit,
                    "metadata": given if isinstance(given, dict) else {},
                }
