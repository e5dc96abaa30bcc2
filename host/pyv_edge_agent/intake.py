"""Intake: what adapters submit, from the inbox into a commit, and the verdicts that follow it.

For the thread that stores.
"""

from collections import deque
from collections.abc import Callable, Container

from .boots import Boots
from .errors import SubmissionError
from .pipeline import Pipeline
from .store import SQLiteStore, WriteBatch
from .store.receipt import SourceId
from .submission import Feed, Submission, Verdict
from .time_base import TimeBase


class Intake:
    """Takes submissions and settles them when they are committed."""

    def __init__(
        self, store: SQLiteStore, pipeline: Pipeline, boots: Boots, time_base: TimeBase
    ) -> None:
        """Begin with none."""
        self._store = store
        self._pipeline = pipeline
        self._boots = boots
        self._time = time_base
        self._pending: dict[SourceId, set[bytes]] = {}  # keys of what is not committed
        self._settling: list[tuple[Submission, Verdict]] = []  # once the batch is committed
        self._settled: deque[Callable[[], None]] = deque()  # calls that are still to be made

    def take(self, feed: Feed, submission: Submission, batch: WriteBatch) -> None:
        """Add a submission to `batch`. Raises StoreError, and nothing of it is done."""
        key = submission.key
        if key and self._knows(feed.source_id, key):
            feed.known_total += len(submission.samples)
            self._settling.append((submission, Verdict.KNOWN))
            return
        if submission.after is not None and submission.after != self._position(feed, batch):
            # Read before something that went another way: the adapter has to go back.
            self._settle(submission, Verdict.GIVEN_UP, "another position is stored")
            return
        try:
            source = self._boots.fed(feed.device, submission.samples, batch)
        except SubmissionError as error:
            if len(submission.new_keys) <= 1:
                feed.reject(str(error), len(submission.samples))
            self._settle(submission, Verdict.REFUSED, str(error))
            return
        self._pipeline.add_samples(
            source, submission.samples, submission.taken_ms, self._time.rule_ms(), batch
        )
        self._boots.note_vitals(source, feed.rejected_total, batch)
        keys = [key] if key else submission.new_keys
        if keys:
            self._pending.setdefault(feed.source_id, set()).update(keys)
            batch.receipts.setdefault(feed.source_id, []).extend(keys)
        if submission.position:
            batch.positions[feed.source_id] = submission.position
        self._settling.append((submission, Verdict.STORED))

    def _knows(self, source: SourceId, key: bytes) -> bool:
        pending = self._pending.get(source, ())
        return key in pending or self._store.receipts.knows(source, key)

    def _position(self, feed: Feed, batch: WriteBatch) -> str:
        source = feed.source_id
        return batch.positions.get(source, self._store.receipts.position(source))

    def forget_all_but(self, feed: Feed, keys: Container[bytes], batch: WriteBatch) -> None:
        """Forget all receipts of a feed but these, those in `batch` too."""
        source = feed.source_id
        self._store.receipts.forget_all_but(source, keys)
        kept = [key for key in batch.receipts.pop(source, []) if key in keys]
        if kept:
            batch.receipts[source] = kept
        self._pending[source] = set(kept)

    def committed(self) -> None:
        """Settle what was taken before the commit that has just succeeded."""
        self._end(None)

    def given_up(self) -> None:
        """Settle what was taken and is not stored."""
        self._end(Verdict.GIVEN_UP)

    def refuse(self, submission: Submission, reason: str) -> None:
        """Settle what was never taken."""
        self._settle(submission, Verdict.GIVEN_UP, reason)

    def _end(self, instead: Verdict | None) -> None:
        settling, self._settling = self._settling, []
        self._pending.clear()
        for submission, verdict in settling:
            self._settle(submission, instead or verdict, "")

    def _settle(self, submission: Submission, verdict: Verdict, reason: str) -> None:
        self._settled.append(lambda: submission.settle(verdict, reason))

    def tell(self) -> None:
        """Let the adapters know what is settled."""
        while self._settled:
            self._settled.popleft()()
