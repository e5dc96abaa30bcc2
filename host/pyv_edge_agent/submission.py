"""Submissions: readings that a source brings by itself, and what becomes of them.

    adapter --put--> Feed --> ingest: all of it into one commit, or nothing --settle--> adapter

The adapter answers its sender only when a submission is settled. Whoever sends again
because there was no answer is known by the submission's key, which is stored with its
readings; whoever reads from somewhere gives the position behind them instead.
"""

import hashlib
import logging
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from pyv_edge_core.reading import QUALITY_BAD, QUALITY_GOOD, QUALITY_NAMES

from .clock import Clock
from .errors import SubmissionError
from .heartbeat import STEP_MS, Heartbeat
from .store.receipt import KEY_SIZE, SourceId

logger = logging.getLogger(__name__)

SAMPLES_MAX = 10_000  # of one submission
CHANNELS_MAX = 1000  # of a device whose adapter finds them out as they come
NAME_SIZE_MAX = 100  # characters of a channel's name, or of a unit
UTC_MIN_MS = 946_684_800_000  # 2000: what is dated before is a clock that was never set
UTC_MAX_MS = 4_102_444_800_000  # 2100
_EXACT_MAX = 2**53  # of whole numbers, that a float can tell apart
POSITION_SIZE_MAX = 262_144  # characters
SOURCE_SIZE_MAX = 8192  # characters: the longest path, and a word before it
LOG_MS = 10_000  # what is rejected is logged so often at most; all of it is counted


class Sample(NamedTuple):
    """One value of one channel of the device that submits it."""

    channel: str  # "": the device has no others
    value: float
    utc_ms: int | None = None  # None: when it was submitted, by the clock here
    unit: str = ""
    quality: int = QUALITY_GOOD


class Verdict(Enum):
    """What became of a submission."""

    STORED = "stored"  # it is committed
    KNOWN = "known"  # it was stored before, under the same key
    REFUSED = "refused"  # nothing of it will ever be stored
    GIVEN_UP = "given up"  # it is not stored, and may be sent again


def _ignore(verdict: Verdict, reason: str) -> None:
    pass


@dataclass
class Submission:
    """Readings that are stored together or not at all.

    What was sent for the first time is no repetition, whatever is known under its key: that
    was another's, and is forgotten. Several deliveries of that kind may be one submission,
    with `new_keys` instead of a key; if it is refused, bring each alone to have it counted.

    `settle` is called once with the verdict and a reason, in the thread that stores: it
    must not block. That also ends when the agent stops, with GIVEN_UP.
    """

    samples: list[Sample]
    key: bytes = b""  # see receipt_key; b"": it can't be sent again
    new_keys: list[bytes] = field(default_factory=list)  # see above
    is_urgent: bool = False  # its sender can't go on before it is committed
    position: str = ""  # where its source goes on behind it; "": it isn't read from anywhere
    settle: Callable[[Verdict, str], None] = _ignore
    after: str | None = None  # the position that it goes on from; else it is given up. None: any
    taken_ms: int = field(default=0, init=False)  # monotonic; 0: when Feed.put first has it


def receipt_key(*parts: bytes) -> bytes:
    """Return the key of what a sender would send again as the same `parts`."""
    digest = hashlib.blake2b(digest_size=KEY_SIZE)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


def check_samples(samples: list[Sample]) -> None:
    """Raise SubmissionError for what no store could take, whoever made it."""
    if len(samples) > SAMPLES_MAX:
        raise SubmissionError(f"{len(samples)} readings at once; at most {SAMPLES_MAX}")
    for index, sample in enumerate(samples):
        # By its place, as its channel may be a name that the policy hides.
        if not (isinstance(sample, Sample) and _has_right_types(sample)):
            raise SubmissionError(
                f"reading {index} is no Sample(str, float, int or None, str, quality)"
            )
        if sample.quality != QUALITY_BAD and not math.isfinite(sample.value):
            raise SubmissionError(f"reading {index}: the value is {sample.value}")
        if sample.utc_ms is not None and not UTC_MIN_MS <= sample.utc_ms < UTC_MAX_MS:
            raise SubmissionError(f"reading {index}: the time is outside of 2000 to 2100")
        for text in (sample.channel, sample.unit):
            if len(text) > NAME_SIZE_MAX or not (text.isprintable() or not text):
                raise SubmissionError(
                    f"a channel or unit is not printable, or longer than {NAME_SIZE_MAX}"
                )


def _has_right_types(sample: Sample) -> bool:
    channel, value, utc_ms, unit, quality = sample
    return (
        (isinstance(value, float) or (type(value) is int and abs(value) < _EXACT_MAX))
        and isinstance(channel, str)
        and isinstance(unit, str)
        and (utc_ms is None or type(utc_ms) is int)
        and type(quality) is int
        and 0 <= quality < len(QUALITY_NAMES)
    )


def check_submission(submission: Submission) -> None:
    """Raise SubmissionError for what no store could take, whoever made it."""
    if not (
        isinstance(submission, Submission)
        and isinstance(submission.samples, list)
        and isinstance(submission.new_keys, list)
        and isinstance(submission.after, str | None)
        and callable(submission.settle)
        and type(submission.taken_ms) is int
    ):
        raise SubmissionError("it is no Submission: see the types of its fields")
    check_keys([submission.key] if submission.key != b"" else [])
    check_keys(submission.new_keys)
    if len(submission.new_keys) > SAMPLES_MAX:
        raise SubmissionError(f"{len(submission.new_keys)} keys at once; at most {SAMPLES_MAX}")
    _check_position(submission.position)
    check_samples(submission.samples)


def check_keys(keys: Iterable[Any]) -> None:
    """Raise SubmissionError for what `receipt_key` has not made."""
    if any(type(key) is not bytes or len(key) != KEY_SIZE for key in keys):
        raise SubmissionError(f"a key is not {KEY_SIZE} bytes; receipt_key makes keys")


def _check_position(position: Any) -> None:
    if not isinstance(position, str) or len(position) > POSITION_SIZE_MAX:
        raise SubmissionError(f"a position is no text of at most {POSITION_SIZE_MAX} characters")
    try:
        position.encode()
    except UnicodeEncodeError:
        raise SubmissionError("a position has halves of characters, which UTF-8 has not") from None


class Feed:
    """Where one device's adapter puts what comes to it. Thread-safe."""

    def __init__(
        self,
        device: dict[str, Any],
        inbox: "Callable[[Feed, Any], bool]",
        positions: Callable[[str], dict[str, str]],
        clock: Clock,
    ) -> None:
        """Bring what `device` submits to `inbox`; see Receipts for `positions`."""
        self.device: Mapping[str, Any] = device
        self.name: str = device["name"]
        self.source = ""  # see `read_from`
        self.submitted_total = 0  # readings
        self.known_total = 0  # readings of submissions that were sent again
        self.rejected_total = 0  # readings or messages that were none
        self.full_total = 0  # times that there was no room
        self.last_ms: int | None = None  # monotonic: when something good came last
        self.problem = ""  # what was last wrong with what comes in, one line
        self.failure = ""  # why the adapter ended, if nothing good has come since
        self._problem_ms: int | None = None  # monotonic
        self._inbox = inbox
        self._positions = positions
        self._clock = clock
        self._lock = threading.Lock()
        self._is_held = self._is_closed = False
        self._rejected = 0  # since that was last logged
        self._logged_ms: int | None = None
        self.open_heartbeat: Callable[[], Heartbeat] | None = None  # set by who runs the adapter
        self._heartbeat: Heartbeat | None = None

    def beat(self, within_ms: int = STEP_MS) -> None:
        """Say that the adapter is here, and will be again within so many milliseconds.

        One that never says so is not missed; one that has, is.
        """
        if self._heartbeat is None and self.open_heartbeat is not None:
            self._heartbeat = self.open_heartbeat()
        if self._heartbeat is not None:
            self._heartbeat.beat(within_ms)

    def end(self) -> None:
        """Note that the adapter has ended, and will not say any more that it is here."""
        if self._heartbeat is not None:
            self._heartbeat.end()

    def put(self, submission: Submission) -> bool:
        """Bring a submission; return False if there is no room for it now.

        Raises SubmissionError, and none of it will be stored.
        """
        check_submission(submission)
        return self._bring(submission)

    def _bring(self, submission: Submission) -> bool:
        submission.taken_ms = submission.taken_ms or self._clock.monotonic_ms()
        with self._lock:
            if not self._takes or not self._inbox(self, submission):
                self.full_total += 1
                return False
            self.submitted_total += len(submission.samples)
        self.last_ms = submission.taken_ms
        self.failure = ""
        return True

    def forget_all_but(self, keys: Iterable[bytes]) -> bool:
        """Note that of all submissions only those of these keys can be sent again.

        Returns False if there is no room for that now, and nothing is forgotten.
        """
        with self._lock:
            return self._takes and self._inbox(self, Remembered(frozenset(keys)))

    @property
    def _takes(self) -> bool:
        return not (self._is_held or self._is_closed)

    def hold(self, is_held: bool) -> None:
        """Take nothing for a while, so that all that was taken can be settled; or go on."""
        with self._lock:
            self._is_held = is_held

    def close(self) -> None:
        """Take nothing any more, for ever: an adapter may not stop when it is told to."""
        with self._lock:
            self._is_closed = True

    def read_from(self, source: str) -> None:
        """Say from what the adapter reads, if its device may be told to read from another one.

        Call it before anything else: positions and keys are those of this source alone.
        """
        if len(source) > SOURCE_SIZE_MAX:
            raise SubmissionError(f"a source has more than {SOURCE_SIZE_MAX} characters")
        # A path need not be UTF-8; in the store, all of it is.
        self.source = source.encode(errors="backslashreplace").decode()

    @property
    def source_id(self) -> SourceId:
        """What its positions and keys belong to."""
        return SourceId(self.name, self.source)

    def position(self) -> str:
        """Return the position behind what is stored of its source, "" if nothing is."""
        return self._positions(self.name).get(self.source, "")

    def other_positions(self) -> dict[str, str]:
        """Return those of other sources that the device has had, the one read last at the end."""
        found = self._positions(self.name)
        found.pop(self.source, None)
        return found

    def reject(self, problem: str, count: int = 1) -> None:
        """Count what came in and is no reading; `problem` must not repeat a value."""
        now_ms = self._clock.monotonic_ms()
        with self._lock:
            self.rejected_total += count
            self._rejected += count
            self.problem, self._problem_ms = problem, now_ms
            if self._logged_ms is not None and now_ms - self._logged_ms < LOG_MS:
                return
            self._logged_ms, rejected, self._rejected = now_ms, self._rejected, 0
        logger.warning("device %s: %d rejected, the last one: %s", self.name, rejected, problem)

    @property
    def is_rejecting(self) -> bool:
        """Whether what came last was no reading."""
        rejected_ms, taken_ms = self._problem_ms, self.last_ms
        return rejected_ms is not None and (taken_ms is None or taken_ms < rejected_ms)

    def status(self) -> dict[str, Any]:
        """Return the counters as JSON types."""
        now_ms = self._clock.monotonic_ms()
        age_ms = None if self.last_ms is None else now_ms - self.last_ms
        problem_age_ms = None if self._problem_ms is None else now_ms - self._problem_ms
        return {
            "submitted_total": self.submitted_total,
            "known_total": self.known_total,
            "rejected_total": self.rejected_total,
            "full_total": self.full_total,
            "last_age_ms": age_ms,
            "problem": self.problem,
            "problem_age_ms": problem_age_ms,
        }


@dataclass(frozen=True)
class Remembered:
    """The only keys of submissions that can be sent again."""

    keys: frozenset[bytes]
