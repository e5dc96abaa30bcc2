"""Deliveries: messages of MQTT from their arrival to their acknowledgement, each stored once.

    PUBLISH --> samples --put--> ingest: commit --settle--> PUBACK

What is not acknowledged the broker sends again, on the next connection and marked DUP. So
nothing is lost; and nothing is stored twice, because the key of a message, made of its
packet id, topic and payload, is committed with its readings:

- A DUP whose key is known was stored; its acknowledgement got lost on the way.
- Packet ids are used again: some brokers count them up, others take the lowest that is
  free. Who uses an id again has had its acknowledgement, so a message that is no DUP is
  never a repetition, and replaces what is known under its key.
- Keys are forgotten after 2.5 keep-alives of a connection on which the broker has sent
  nothing again although it could: by then it has heard from us since the acknowledgement,
  or would have closed the connection. A new session forgets all: ids begin anew.

One doubt is left, with brokers that use the lowest id: if a connection is lost together
with the first transmission of a message, that comes as a DUP, and is taken for the one
before that had its id if that had the same topic and payload. A time or a number in the
payload tells them apart.
"""

from collections import deque
from typing import Any

from ..bell import Bell
from ..clock import Clock
from ..errors import SubmissionError
from ..store.receipt import KEYS_MAX
from ..submission import Feed, Sample, Submission, Verdict, receipt_key
from .mqtt_connection import Connection
from .mqtt_message import MessageReader

READINGS_MAX = 20_000  # taken and not acknowledged, from which on no message is read
GROUP_READINGS_MAX = 500  # of messages that are submitted together
PROOF = 2.5  # keep-alives


class _Message:
    """A message that is taken and not acknowledged."""

    __slots__ = ("connection", "id", "key", "reading_count")

    def __init__(
        self, connection: Connection, message_id: int, key: bytes, reading_count: int
    ) -> None:
        self.connection = connection  # the last one that has brought it
        self.id = message_id
        self.key = key
        self.reading_count = reading_count


class _Group:
    """Messages that are submitted together: those that were there at the same time."""

    __slots__ = ("is_new", "messages", "owner", "samples", "taken_ms")

    def __init__(self, owner: "Deliveries", taken_ms: int, *, is_new: bool) -> None:
        self.owner = owner
        self.taken_ms = taken_ms  # monotonic
        self.is_new = is_new  # none has come before
        self.messages: list[_Message] = []
        self.samples: list[Sample] = []

    def add(self, message: _Message, samples: list[Sample]) -> None:
        """Add a message and what is in it."""
        self.messages.append(message)
        self.samples += samples

    def settle(self, verdict: Verdict, reason: str) -> None:
        """Note what became of them. For the thread that stores."""
        del reason  # whoever refuses one has counted it, and said why
        self.owner.settled.append((self, verdict))
        self.owner.bell.ring()

    def apart(self) -> "list[_Group]":
        """Return each message as a group of its own."""
        found, at = [], 0
        for message in self.messages:
            found.append(_Group(self.owner, self.taken_ms, is_new=self.is_new))
            found[-1].add(message, self.samples[at : at + message.reading_count])
            at += message.reading_count
        return found


class Deliveries:
    """The messages of one device. For one thread, but for what is settled."""

    def __init__(self, device: dict[str, Any], inflight_max: int, clock: Clock) -> None:
        """Begin without any."""
        self.bell = Bell()  # rings when something is settled
        self.settled: deque[tuple[_Group, Verdict]] = deque()
        self.must_renew = False  # the broker is to send again what could not be stored
        self.messages_total = 0
        self.repeated_total = 0  # messages that came again
        self.retained_total = 0  # old messages that were ignored
        self.lost_total = 0  # readings that can't be stored, nor will be sent again
        self._reader = MessageReader(device)
        self._takes_retained = device["retained"] == "take"
        self._inflight_max = inflight_max
        self._urgent_at = max(1, inflight_max * 3 // 4)
        self._clock = clock
        self._open: dict[bytes, _Message] = {}  # by key
        self._readings = 0  # in them
        self._gathered: _Group | None = None  # what has come in this turn, for the first time
        self._held: deque[_Group] = deque()  # what is to be brought, and may wait for room
        self._since_urgent = 0  # messages brought since one that was urgent
        self._acknowledged: deque[bytes] = deque(maxlen=KEYS_MAX)  # keys, since `_quiet_ms`
        self._quiet_ms = 0  # since when nothing has come again
        self._is_swept = False  # whether there is no key to be forgotten
        self._is_new = False  # whether all keys are of another session

    @property
    def unacknowledged(self) -> int:
        """Messages that are taken and not acknowledged."""
        return len(self._open)

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to do though nothing has come: it had no room, or was bad."""
        return bool(self._held or self.settled)

    def has_room(self) -> bool:
        """Return whether another message may be read."""
        return len(self._open) <= self._inflight_max and self._readings < READINGS_MAX

    def begin(self, *, is_kept: bool) -> None:
        """Go on with another connection; unless the session is kept, nothing comes again."""
        self._quiet_ms = self._clock.monotonic_ms()
        self._is_swept = self.must_renew = False
        if not is_kept:
            self._is_new = True
            self._acknowledged.clear()
            self._open.clear()  # they will be stored, and nobody waits for an answer

    # -- from the broker -----------------------------------------------------------

    def take(self, feed: Feed, connection: Connection, message: Any) -> None:
        """Take a message of the library; `bring` brings it to the feed."""
        self.messages_total += 1
        if message.retain and not self._takes_retained:
            self.retained_total += 1
            if message.qos:
                connection.acknowledge(message.mid)
            return
        try:
            self._take(feed, connection, message)
        except SubmissionError as error:
            feed.reject(str(error))
            if message.qos:  # else it would come again for ever
                connection.acknowledge(message.mid)

    def _take(self, feed: Feed, connection: Connection, message: Any) -> None:
        payload = message.payload
        try:
            topic = message.topic
        except UnicodeDecodeError:
            raise SubmissionError("a message whose topic is no UTF-8") from None
        if not message.qos:
            self._take_once(feed, self._reader.read(topic, payload))
            return
        key = receipt_key(message.mid.to_bytes(2, "big"), topic.encode(), payload)
        if message.dup:
            self.repeated_total += 1
            self._quiet_ms = self._clock.monotonic_ms()
            known = self._open.get(key)
            if known is not None:  # it is on its way
                known.connection = connection
                return
        samples = self._reader.read(topic, payload)
        made = _Message(connection, message.mid, key, len(samples))
        self._open[key] = made
        self._readings += len(samples)
        if message.dup:
            self._close_group()
        if self._gathered is None:
            now_ms = self._clock.monotonic_ms()
            self._gathered = _Group(self, now_ms, is_new=not message.dup)
        self._gathered.add(made, samples)
        if message.dup or len(self._gathered.samples) >= GROUP_READINGS_MAX:
            self._close_group()

    def _take_once(self, feed: Feed, samples: list[Sample]) -> None:
        """Take what nobody will send again."""
        if self._held or not feed.put(Submission(samples)):
            self.lost_total += len(samples)
            feed.reject("came with QoS 0 when there was no room, and is lost", len(samples))

    def _close_group(self) -> None:
        """Let what has come be brought, and what comes next be another group."""
        if self._gathered is not None:
            self._held.append(self._gathered)
            self._gathered = None

    # -- in every turn -------------------------------------------------------------

    def bring(self, feed: Feed) -> None:
        """Bring what has come to `feed`, as far as there is room."""
        self._close_group()
        while self._held:
            group = self._held[0]
            try:
                if not self._put(feed, group):
                    return
            except SubmissionError as error:
                if len(group.messages) == 1:
                    feed.reject(str(error))
                self.settled.append((group, Verdict.REFUSED))
            self._held.popleft()

    def _put(self, feed: Feed, group: _Group) -> bool:
        """Put a group into the feed; return False if there is no room. Raises SubmissionError.

        At three quarters of what the broker sends ahead a commit is due, so that it need not
        stop; else messages wait for the usual one: each commit wears a card.
        """
        since_urgent = self._since_urgent + len(group.messages)
        submission = Submission(
            group.samples,
            is_urgent=len(self._open) >= self._urgent_at <= since_urgent,
            settle=group.settle,
        )
        submission.taken_ms = group.taken_ms
        keys = [one.key for one in group.messages]
        if group.is_new:
            submission.new_keys = keys
        else:
            (submission.key,) = keys
        if not feed.put(submission):
            return False
        self._since_urgent = 0 if submission.is_urgent else since_urgent
        return True

    def settle(self, connection: Connection | None) -> None:
        """Acknowledge what is settled, as far as `connection` has brought it."""
        while self.settled:
            group, verdict = self.settled.popleft()
            if verdict is Verdict.REFUSED and len(group.messages) > 1:
                self._held.extend(group.apart())  # not all of it is bad
                continue
            self._readings -= len(group.samples)
            for message in group.messages:
                self._end(message, verdict, connection)

    def _end(self, message: _Message, verdict: Verdict, connection: Connection | None) -> None:
        is_given_up = verdict is Verdict.GIVEN_UP
        if self._open.get(message.key) is not message:
            self.lost_total += message.reading_count if is_given_up else 0  # of an old session
            return
        del self._open[message.key]
        if is_given_up:
            self.must_renew = True
            return
        self._acknowledged.append(message.key)
        self._is_swept = False
        if connection is not None and message.connection is connection:
            connection.acknowledge(message.id)

    def forget(self, feed: Feed, connection: Connection) -> None:
        """Forget the keys of what the broker can't send again."""
        now_ms = self._clock.monotonic_ms()
        if len(self._open) >= self._inflight_max or not self.has_room():
            self._quiet_ms = now_ms  # it may have to wait with what it would send again
        is_proven = now_ms - self._quiet_ms >= PROOF * connection.keepalive_ms
        if not self._is_new and (self._is_swept or not is_proven):
            return
        if feed.forget_all_but([*self._acknowledged, *self._open]):
            if not self._is_new:
                self._is_swept = not self._acknowledged
                self._acknowledged.clear()
                self._quiet_ms = now_ms
            self._is_new = False
