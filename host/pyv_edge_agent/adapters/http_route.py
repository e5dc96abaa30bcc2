"""One endpoint that takes readings: a POST becomes a submission, the submission an answer.

    token -> method -> type -> key -> rate -> size -> body -> readings -> stored -> answer

In that order: nothing of the body is read of a sender who is not known. The answer goes out
when the readings are committed; a key by which a sender repeats them is stored with them.
"""

import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ..clock import Clock
from ..errors import SubmissionError
from ..http_exchange import RefusalError, bears
from ..submission import Feed, Submission, Verdict, receipt_key
from .http_batch import Batch, read_batch
from .http_body import body_size, check_key, content_kind
from .mapping import Mapper
from .rate_limit import RateLimit
from .senml import SenMLPack

KILOBYTE = 1024
RETRY_S = 5  # when a sender may ask again who was told that it isn't stored yet
KEY_HEADER = "Idempotency-Key"

Headers = Mapping[str, str]
BodyReader = Callable[[int], bytes]  # is told how many bytes are allowed


class _Settlement:
    """Waits for what becomes of a submission."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._verdict = Verdict.GIVEN_UP
        self._reason = "it is not stored yet, but may still be"

    def settle(self, verdict: Verdict, reason: str) -> None:
        self._verdict, self._reason = verdict, reason
        self._told.set()

    def give_up(self) -> None:
        """Wait no longer."""
        self._told.set()

    def wait(self, timeout_s: float) -> tuple[Verdict, str]:
        """Return the verdict; GIVEN_UP, too, if there is none in time."""
        self._told.wait(timeout_s)
        return self._verdict, self._reason


class Route:
    """Takes the POSTs of one device, from any thread."""

    def __init__(self, device: Mapping[str, Any], feed: Feed, clock: Clock) -> None:
        """Take what a checked device table says, and bring it to `feed`."""
        self.endpoint: str = device["endpoint"]
        self.accepted_total = 0  # readings
        self.duplicates_total = 0  # POSTs that were sent again
        self.ignored_total = 0  # items beside readings
        self.answers: Counter[int] = Counter()  # by status
        self._token: str = device["token"]
        self._size_max: int = device["body_max_kb"] * KILOBYTE
        self._timeout_s: float = device["timeout_seconds"]
        self._mapper = Mapper(device)
        self._rate = RateLimit(device["readings_per_second"], clock)
        self._units: dict[str, str] = {}  # see SenMLPack
        self._feed = feed
        self._clock = clock
        self._waiting: set[_Settlement] = set()
        self._is_closed = False
        self._lock = threading.Lock()  # of these two, and of the counters

    def take(self, method: str, headers: Headers, read: BodyReader) -> dict[str, Any]:
        """Store what a request brings and return the answer. Raises RefusalError."""
        try:
            told = self._take(method, headers, read)
        except RefusalError as refusal:
            with self._lock:
                self.answers[refusal.status] += 1
            raise
        with self._lock:
            self.answers[200] += 1
        return told

    def _take(self, method: str, headers: Headers, read: BodyReader) -> dict[str, Any]:
        self._authorise(headers)
        if method != "POST":
            problem = f"this takes readings: POST them to {self.endpoint}"
            raise RefusalError(405, problem, headers={"Allow": "POST"})
        kind = content_kind(headers)
        key = headers.get(KEY_HEADER)
        if key is not None:
            check_key(key, KEY_HEADER)
        self._wait_for_rate()
        try:
            body_size(headers, self._size_max)
            pack = SenMLPack(self._clock.utc_ms(), self._units)
            batch = read_batch(read(self._size_max), kind, self._mapper, pack)
        except RefusalError as refusal:
            self._rate.take(1)
            if refusal.status in (400, 413, 422):
                problem = "; ".join((refusal.problem, *refusal.faults[:1]))
                self._feed.reject(f"a POST was refused: {problem}", max(1, refusal.fault_count))
            raise
        self._rate.take(max(1, len(batch.samples)))
        return self._store(batch, batch.key if key is None else key)

    def _authorise(self, headers: Headers) -> None:
        if not self._token:
            return
        if not bears(headers.get("Authorization", ""), self._token):
            self._feed.reject("a request came without the right token")
            problem = "Authorization: Bearer TOKEN is missing, or wrong"
            raise RefusalError(401, problem, headers={"WWW-Authenticate": "Bearer"})

    def _wait_for_rate(self) -> None:
        wait_s = self._rate.wait_s()
        if wait_s:
            problem = "more readings than readings_per_second allows"
            raise RefusalError(429, problem, headers={"Retry-After": str(math.ceil(wait_s))})

    def _store(self, batch: Batch, key: str) -> dict[str, Any]:
        count = len(batch.samples)
        verdict, reason = Verdict.STORED, ""
        if count:
            verdict, reason = self._submit(batch, key)
        if verdict is Verdict.REFUSED:
            raise RefusalError(422, "nothing of it is stored", [reason], count)
        if verdict is Verdict.GIVEN_UP:
            raise not_stored(reason)
        is_known = verdict is Verdict.KNOWN
        with self._lock:
            self.duplicates_total += is_known
            self.accepted_total += 0 if is_known else count
            self.ignored_total += batch.ignored_count
        told: dict[str, Any] = {"accepted": count, "duplicate": is_known}
        if batch.ignored_count:
            told["ignored"] = batch.ignored_count
        return told

    def _submit(self, batch: Batch, key: str) -> tuple[Verdict, str]:
        settlement = _Settlement()
        with self._lock:
            if self._is_closed:
                raise not_stored("this is being stopped")
            self._waiting.add(settlement)
        try:
            return self._settled(settlement, batch, key)
        finally:
            with self._lock:
                self._waiting.discard(settlement)

    def _settled(self, settlement: _Settlement, batch: Batch, key: str) -> tuple[Verdict, str]:
        digest = receipt_key(b"http", key.encode()) if key else b""
        submission = Submission(batch.samples, digest, settle=settlement.settle)
        try:
            if not self._feed.put(submission):
                raise not_stored("there is no room for it now")
        except SubmissionError as error:
            self._feed.reject(str(error), len(batch.samples))
            return Verdict.REFUSED, str(error)
        return settlement.wait(self._timeout_s)

    def close(self) -> None:
        """Store nothing more; who still waits is answered that it isn't stored yet."""
        with self._lock:
            self._is_closed = True
            for one in self._waiting:
                one.give_up()

    def status(self) -> dict[str, Any]:
        """Return the counters as JSON types."""
        with self._lock:
            return {
                "accepted_total": self.accepted_total,
                "duplicates_total": self.duplicates_total,
                "ignored_total": self.ignored_total,
                "answers_total": {str(one): self.answers[one] for one in sorted(self.answers)},
            }


def not_stored(reason: str) -> RefusalError:
    """Return the answer that it may be sent again."""
    return RefusalError(503, reason, headers={"Retry-After": str(RETRY_S)})
