"""StoredFeed: how an adapter brings what it reads from somewhere, so that each is stored once.

One piece at a time: the next one is brought when the position behind this one is in the
store, with its readings. Then a kill at any moment neither loses nor doubles any.
"""

import threading

from ..errors import SubmissionError
from ..heartbeat import STEP_MS
from ..submission import CHANNELS_MAX, Feed, Sample, Submission, Verdict, check_samples

PIECE_MAX = 2000  # readings, from which on a piece is brought
WAIT_S = 1.0  # between two signs of life


class Stop:
    """Lets an adapter's thread wait, until it is told to stop."""

    def __init__(self) -> None:
        self.is_set = False
        self._wake = threading.Event()

    def set(self) -> None:
        """Stop. Any thread may say so."""
        self.is_set = True
        self.wake()

    def wake(self) -> None:
        """End a wait before its time. Any thread may."""
        self._wake.set()

    def calm(self) -> None:
        """Forget what has woken it."""
        self._wake.clear()
        if self.is_set:
            self._wake.set()

    def wait(self, feed: Feed, seconds: float) -> None:
        """Wait for so long at most, or until something wakes it."""
        if not self.is_set:
            feed.beat(round(seconds * 1000) + STEP_MS)
            self._wake.wait(seconds)
            self._wake.clear()


class _Piece:
    """What becomes of one submission."""

    def __init__(self, stop: Stop) -> None:
        self.verdict: Verdict | None = None
        self._stop = stop

    def settle(self, verdict: Verdict, reason: str) -> None:
        self.verdict = verdict
        self._stop.wake()


class StoredFeed:
    """Brings pieces of what is read. For the adapter's thread."""

    def __init__(self, feed: Feed, stop: Stop) -> None:
        self.feed = feed
        self.position = feed.position()  # behind what is stored
        self._stop = stop
        self._channels: set[tuple[str, str]] = set()

    def check(self, samples: list[Sample]) -> None:
        """Raise SubmissionError for readings that would keep those beside them from the store."""
        check_samples(samples)
        new = {(one.channel, one.unit) for one in samples} - self._channels
        if len(self._channels) + len(new) > CHANNELS_MAX:
            raise SubmissionError(f"would be one of more than {CHANNELS_MAX} channels")
        self._channels |= new

    def store(self, samples: list[Sample], position: str) -> bool:
        """Bring a piece and wait until it is stored, or refused and counted.

        Return False if the source has to be read again from `self.position`, or is to stop.
        """
        self.feed.beat()
        piece = _Piece(self._stop)
        made = Submission(
            samples,
            is_urgent=len(samples) >= PIECE_MAX,  # there is more
            position=position,
            settle=piece.settle,
            after=self.position,
        )
        while not self._stop.is_set:
            if self.feed.put(made):
                break
            self._stop.wait(self.feed, WAIT_S / 10)
        while piece.verdict is None and not self._stop.is_set:
            self._stop.wait(self.feed, WAIT_S)
        self._stop.calm()
        if piece.verdict is Verdict.GIVEN_UP:
            self.position = self.feed.position()
        elif piece.verdict is not None:
            if piece.verdict is Verdict.STORED:
                self.position = position
            return True
        return False
