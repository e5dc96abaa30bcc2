"""GuardedFeed: the feed of an adapter that is anybody's code.

What it puts is checked and copied, so that nothing it does afterwards reaches the thread that
stores; and what became of it, it is told in a thread of its own, where it may fail or hang.
"""

import copy
import logging
import threading
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any

from ..errors import AdapterError, SubmissionError
from ..heartbeat import STEP_MS
from ..submission import LOG_MS, Feed, Sample, Submission, Verdict, check_keys, check_submission

logger = logging.getLogger(__name__)

UNTOLD_MAX = 1000  # submissions of which the adapter was not told yet; then it has to wait
BEAT_MS_MAX = 86_400_000
TEXT_SIZE_MAX = 200  # of an error

_EXACT = {str, bytes, float, int, bool, type(None)}
_NOTHING = object()  # in place of what is none of these
_OURS = f"{Path(__file__).parents[1]}/"
_Settle = Callable[[Verdict, str], None]


class GuardedFeed(Feed):
    """Where an adapter that may do anything puts what comes to it."""

    def __init__(self, device: dict[str, Any], *more: Any) -> None:
        """Take what Feed takes; the adapter can't change `device`."""
        super().__init__(device, *more)
        self.device = MappingProxyType(copy.deepcopy(device))
        self._is_made = True
        self._untold = 0  # submissions that were taken, and their `settle` has not returned
        self._settled: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._teller: threading.Thread | None = None
        self._complained_ms: int | None = None  # monotonic

    def put(self, submission: Submission) -> bool:
        """Bring a copy of a submission; return False if there is no room for it now.

        There is none either while too many calls of `settle` are still to be made.
        """
        made = _copy(submission)
        check_submission(made)
        made.settle = partial(self._settle, made.settle)
        # A time that isn't of an earlier attempt is none of ours.
        taken_ms = submission.taken_ms
        if type(taken_ms) is int and 0 < taken_ms <= self._clock.monotonic_ms():
            made.taken_ms = taken_ms
        with self._lock:
            self._begin_to_tell()
            has_room = self._untold < UNTOLD_MAX
            if has_room:
                self._untold += 1  # first: it may be settled before it is brought
            else:
                self.full_total += 1
        if not has_room:
            return False
        if not self._bring(made):
            self._told()
            submission.taken_ms = made.taken_ms
            return False
        return True

    def forget_all_but(self, keys: Iterable[bytes]) -> bool:
        """As Feed's; raises SubmissionError for what are no keys."""
        kept = list(keys)
        check_keys(kept)
        return super().forget_all_but(kept)

    def read_from(self, source: str) -> None:
        """As Feed's; raises SubmissionError for what is no text."""
        exact = _exact(source)
        if type(exact) is not str:
            raise SubmissionError("a source is no text")
        super().read_from(exact)

    def reject(self, problem: str, count: int = 1) -> None:
        """As Feed's; raises SubmissionError for what is neither text nor count."""
        problem = _exact(problem)
        if type(problem) is not str or type(count) is not int or count < 0:
            raise SubmissionError("reject takes a text, and how many")
        super().reject(one_line(problem), count)

    def beat(self, within_ms: int = STEP_MS) -> None:
        """As Feed's; raises SubmissionError for what is no number of milliseconds."""
        if type(within_ms) is not int or not 0 < within_ms <= BEAT_MS_MAX:
            raise SubmissionError(f"beat takes milliseconds from 1 to {BEAT_MS_MAX}")
        super().beat(within_ms)

    def close(self) -> None:
        """Take nothing any more; what was taken is still told."""
        super().close()
        self._settled.put(None)

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse another device or name: what is stored would be another's."""
        if name in ("device", "name") and getattr(self, "_is_made", False):
            raise AttributeError(f"{name} is what the configuration has")
        super().__setattr__(name, value)

    # -- telling -----------------------------------------------------------------------

    def _settle(self, settle: _Settle, verdict: Verdict, reason: str) -> None:
        self._settled.put(partial(settle, verdict, reason))

    def _begin_to_tell(self) -> None:
        if self._teller is None:
            name = f"edge-told-{self.name}"
            self._teller = threading.Thread(target=self._tell, daemon=True, name=name)
            self._teller.start()

    def _told(self) -> None:
        with self._lock:
            self._untold -= 1

    def _tell(self) -> None:
        """Call `settle` of what is settled, until the feed is closed and all is told."""
        while not (self._is_closed and not self._untold):
            settle = self._settled.get()
            if settle is None:
                continue
            try:
                settle()
            except BaseException as error:  # top of a thread: it may be anybody's code
                self._complain(f"its settle() failed: {failure_text(error, False)}")
            self._told()

    def _complain(self, problem: str) -> None:
        now_ms = self._clock.monotonic_ms()
        self.failure = problem
        if self._complained_ms is None or now_ms - self._complained_ms >= LOG_MS:
            self._complained_ms = now_ms
            logger.warning("device %s: %s", self.name, problem)


def _copy(submission: Submission) -> Submission:
    """Return the same of exact types: what is made of others may run code of theirs anywhere."""
    if not isinstance(submission, Submission):
        raise SubmissionError("it is no Submission: see the types of its fields")
    samples, new_keys = submission.samples, submission.new_keys
    if not (isinstance(samples, list) and isinstance(new_keys, list)):
        raise SubmissionError("its samples or new_keys are no list")
    return Submission(
        [_copy_sample(one) for one in samples],
        _exact(submission.key),
        [_exact(one) for one in new_keys],
        bool(submission.is_urgent),
        _exact(submission.position),
        submission.settle,
        _exact(submission.after),
    )


def _copy_sample(sample: Any) -> Any:
    is_one = issubclass(type(sample), Sample)
    return Sample(*map(_exact, tuple.__iter__(sample))) if is_one else _NOTHING


def _exact(value: Any) -> Any:
    """Return a text, bytes or a float of a derived type as what it is derived from.

    Of another type, that may say that it is one of them: what is refused as none.
    """
    kind = type(value)
    if kind in _EXACT:
        return value
    if issubclass(kind, str):
        return str.join("", (value,))
    if issubclass(kind, bytes):
        return bytes.join(b"", (value,))
    return float.__float__(value) if issubclass(kind, float) else _NOTHING


def failure_text(error: BaseException, is_text_told: bool) -> str:
    """Return in one line what went wrong and where; the error's text may hold a value."""
    name = type(error).__name__
    if isinstance(error, AdapterError):
        return one_line(str(error))
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [one for one in frames if not one.filename.startswith(_OURS)]
    if isinstance(error, SubmissionError) and frames and frames[-1] not in theirs:
        is_text_told = True  # it is one of ours, which hold no value
    text = one_line(str(error)) if is_text_told else ""
    frame = (theirs or list(frames))[-1:]
    where = "".join(f" at {Path(one.filename).name}:{one.lineno}" for one in frame)
    return f"{name}{where}: {text}" if text else f"{name}{where}"


def one_line(text: str) -> str:
    """Return a text that can be logged."""
    kept = " ".join(text.split())[:TEXT_SIZE_MAX]
    return kept.encode(errors="backslashreplace").decode()
