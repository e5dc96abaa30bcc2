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
from ..submission import Feed, Submission, Verdict, receipt_key
from .mqtt_connection import Connection
from .mqtt_message import MessageReader

READINGS_MAX = 20_000  # taken and not acknowledged, from which on no message is read
PROOF = 2.5  # keep-alives


class _Delivery:
    """A message that is taken and not acknowledged."""

    __slots__ = ("connection", "key", "message_id", "owner", "submission")

    def __init__(
        self, owner: "Deliveries", connection: Connection, message_id: int, key: bytes
    ) -> None:
        self.owner = owner
        self.connection = connection  # the last one that has brought it
        self.message_id = message_id
        self.key = key
        self.submission: Submission

    def settle(self, verdict: Verdict, reason: str) -> None:
        """Note what became of it. For the thread that stores."""
        del reason  # whoever refuses has counted it, and said why
        self.owner.settled.append((self, verdict))
        self.owner.bell.ring()


class Deliveries:
    """The messages of one device. For one thread, but for what is settled."""

    def __init__(self, device: dict[str, Any], inflight_max: int, clock: Clock) -> None:
        """Begin without any."""
        self.bell = Bell()  # rings when something is settled
        self.settled: deque[tuple[_Delivery, Verdict]] = deque()
        self.position = ""  # what is to be stored with the next message
        self.must_renew = False  # the broker is to send again what could not be stored
        self.messages_total = 0
        self.repeated_total = 0  # messages that came again
        self.retained_total = 0  # old messages that were ignored
        self.lost_total = 0  # readings that can't be stored, nor will be sent again
        self._reader = MessageReader(device)
        self._takes_retained = device["retained"] == "take"
        self._inflight_max = inflight_max
        self._urgent_at = (inflight_max + 1) // 2
        self._clock = clock
        self._open: dict[bytes, _Delivery] = {}  # by key
        self._readings = 0  # in them
        self._held: deque[_Delivery] = deque()  # those of them for which there was no room
        self._since_urgent = 0  # messages brought since one that was urgent
        self._acknowledged: deque[bytes] = deque(maxlen=KEYS_MAX)  # keys, since `_quiet_ms`
        self._quiet_ms = 0  # since when nothing has come again
        self._is_swept = False  # whether there is no key to be forgotten
        self._is_new = False  # whether all keys are of another session

    @property
    def unacknowledged(self) -> int:
        """Messages that are taken and not acknowledged."""
        return len(self._open)

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
        """Take a message of the library, and bring what is in it to `feed`."""
        self.messages_total += 1
        if message.retain and not self._takes_retained:
            self.retained_total += 1
            self._acknowledge(connection, message)
            return
        try:
            self._take(feed, connection, message)
        except SubmissionError as error:
            # It would come again for ever.
            feed.reject(str(error))
            self._acknowledge(connection, message)

    def _take(self, feed: Feed, connection: Connection, message: Any) -> None:
        payload = message.payload
        try:
            topic = message.topic
        except UnicodeDecodeError:
            raise SubmissionError("a message whose topic is no UTF-8") from None
        if not message.qos:
            self._take_once(feed, topic, payload)
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
        delivery = _Delivery(self, connection, message.mid, key)
        delivery.submission = Submission(
            samples,
            key,
            is_first=not message.dup,
            position=self.position,
            settle=delivery.settle,
        )
        if self._held or not self._bring(feed, delivery):
            self._held.append(delivery)
        self.position = ""
        self._open[key] = delivery
        self._readings += len(samples)

    def _take_once(self, feed: Feed, topic: str, payload: bytes) -> None:
        """Take a message that nobody will send again."""
        samples = self._reader.read(topic, payload)
        if self._held or not feed.put(Submission(samples)):
            self.lost_total += len(samples)
            feed.reject("came with QoS 0 when there was no room, and is lost", len(samples))

    def _bring(self, feed: Feed, delivery: _Delivery) -> bool:
        """Bring one to the feed; return False if there is no room. Raises SubmissionError.

        At half of what the broker sends ahead a commit is due, so that it never has to stop;
        else messages wait for the usual one.
        """
        self._since_urgent += 1
        is_urgent = len(self._open) + 1 >= self._urgent_at <= self._since_urgent
        delivery.submission.is_urgent = is_urgent
        if not feed.put(delivery.submission):
            return False
        if is_urgent:
            self._since_urgent = 0
        return True

    @staticmethod
    def _acknowledge(connection: Connection, message: Any) -> None:
        if message.qos:
            connection.acknowledge(message.mid)

    # -- in every turn -------------------------------------------------------------

    def settle(self, feed: Feed, connection: Connection | None) -> None:
        """Acknowledge what is settled, and bring what has waited for room."""
        while self.settled:
            self._end(*self.settled.popleft(), connection)
        while self._held:
            delivery = self._held[0]
            try:
                if not self._bring(feed, delivery):
                    return
            except SubmissionError as error:
                feed.reject(str(error))
                self._end(delivery, Verdict.REFUSED, connection)
            self._held.popleft()

    def _end(self, delivery: _Delivery, verdict: Verdict, connection: Connection | None) -> None:
        count = len(delivery.submission.samples)
        self._readings -= count
        is_given_up = verdict is Verdict.GIVEN_UP
        if self._open.get(delivery.key) is not delivery:
            self.lost_total += count if is_given_up else 0  # its session is gone
            return
        del self._open[delivery.key]
        if is_given_up:
            self.must_renew = True
            return
        self._acknowledged.append(delivery.key)
        self._is_swept = False
        if connection is not None and delivery.connection is connection:
            connection.acknowledge(delivery.message_id)

    @property
    def is_waiting(self) -> bool:
        """Whether something waits for room."""
        return bool(self._held)

    def forget(self, feed: Feed, connection: Connection) -> None:
        """Forget the keys of what the broker can't send again."""
        now_ms = self._clock.monotonic_ms()
        if len(self._open) >= self._inflight_max:
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
