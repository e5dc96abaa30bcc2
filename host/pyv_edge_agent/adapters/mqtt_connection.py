"""One connection of the MQTT adapter to its broker, from CONNECT to its end.

The library's client is driven by the adapter's own thread, a turn at a time. It reads all
that has come before it looks at anything else: the library's own loop asks the system after
each message, and takes half as long again. And it can leave messages in the socket when
there is no room for them.
"""

import contextlib
import logging
import os
import select
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..bell import Bell
from ..mqtt_client import MQTT_5, BrokerOptions, make_gathering_client

logger = logging.getLogger(__name__)

READS_MAX = 200  # messages of one turn, until acknowledgements are sent
PACKET_SIZE_MAX = 16_777_216  # with MQTT 5 a broker keeps what is larger, and has to say so
LEAVE_S = 0.5  # longest wait for a broker that says nothing when it is left
LEAVE_READS_MAX, READ_SIZE = 64, 65_536
QOS_FAILURE = 0x80  # from here on, codes say no
_TAKEN_OVER = 0x8E
_RETAINED_NEVER, _RETAINED_IF_NEW = 2, 1  # of a subscription, MQTT 5
_REMEDIES = {
    0x84: "set protocol to another version",
    0x85: "set another client_id",
    0x86: "check username and password",
    0x87: "check username and password, and what the broker allows them",
    0x8A: "the broker has banned this client",
}


@dataclass(frozen=True)
class Subscription:
    """What is asked of the broker."""

    topic: str
    qos: int
    takes_retained: bool
    session_expiry_s: int
    inflight_max: int


class Connection:
    """One connection. For one thread."""

    def __init__(
        self,
        broker: BrokerOptions,
        wanted: Subscription,
        on_session: Callable[["Connection", bool], None],
        on_message: Callable[["Connection", Any], None],
    ) -> None:
        """Prepare it: `on_session` is told whether the broker has kept the session.

        Raises OSError or ValueError for a certificate that can't be used.
        """
        self.is_subscribed = False
        self.is_over = False
        self.is_accepted = False
        self.has_asked = False  # for what it is to bring, and what not
        self.was_taken_over = False
        self.problem = ""  # why it is over, one line
        self.messages_total = 0
        self._outdated: dict[int, str] = {}  # topics that are taken back, by message id
        self._broker = broker
        self._wanted = wanted
        self._on_session = on_session
        self._on_message = on_message
        is_lasting = {} if broker.protocol == MQTT_5 else {"clean_session": False}
        client = self._client = make_gathering_client(broker, manual_ack=True, **is_lasting)
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_unsubscribe = self._unsubscribed
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        # Else each acknowledgement would be a packet of its own at once.
        client.on_socket_register_write = _written_by_turns

    @property
    def keepalive_ms(self) -> int:
        """The longest silence on the line: MQTT 5 lets the broker decide."""
        return self._client.keepalive * 1000

    def open(self) -> None:
        """Connect and greet.

        Raises OSError or ValueError if nobody is there, or not the right one.
        """
        broker = self._broker
        more: dict[str, Any] = {}
        if broker.protocol == MQTT_5:
            more = {"clean_start": False, "properties": self._properties()}
        self._client.connect(broker.host, broker.port, broker.keepalive, **more)

    def _properties(self) -> Any:
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._wanted.session_expiry_s
        properties.ReceiveMaximum = self._wanted.inflight_max
        properties.MaximumPacketSize = PACKET_SIZE_MAX
        return properties

    # -- what the adapter does -----------------------------------------------------

    def turn(self, bell: Bell, wait_s: float, has_room: Callable[[], bool]) -> None:
        """Wait for bytes or the bell; read while there is room for messages, write, keep alive."""
        client, may_read = self._client, has_room()
        line: Any = client.socket()
        if line is None:
            self._end("the connection is lost")
            return
        readers = [bell, line] if may_read else [bell]
        writers = [line] if client.want_write() else []
        is_read = client.has_bytes or (self._broker.is_tls and line.pending())
        has_bytes = bool(may_read and is_read)
        ready, _, _ = select.select(readers, writers, [], 0 if has_bytes else wait_s)
        if bell in ready:
            bell.quiet()
        if has_bytes or line in ready:
            self._read(has_room)
        if client.want_write():
            client.loop_write()
        if may_read:  # else the answer to a ping could be what is not read
            client.loop_misc()

    def _read(self, has_room: Callable[[], bool]) -> None:
        for _ in range(READS_MAX):
            seen = self.messages_total
            self._client.loop_read()
            if seen == self.messages_total or self.is_over or not has_room():
                return

    def acknowledge(self, message_id: int) -> None:
        """Let the broker know that it may forget a message, in the next turn."""
        self._client.ack(message_id, 1)

    def ask(self, *, has_topic: bool, outdated: list[str]) -> None:
        """Ask for messages, unless the session has that; and not for those of other topics.

        `is_subscribed` once that is granted.
        """
        self.has_asked = True
        # In this order something may come twice that was sent at that moment; in the other
        # one it would be missed.
        if has_topic:
            self.is_subscribed = True
        else:
            self._subscribe()
        for topic in outdated:
            _, message_id = self._client.unsubscribe(topic)
            assert message_id is not None  # None: it isn't connected
            self._outdated[message_id] = topic

    @property
    def is_settled(self) -> bool:
        """Whether the session has what was asked for, and nothing else."""
        return self.is_subscribed and not self._outdated

    def _subscribe(self) -> None:
        from paho.mqtt.subscribeoptions import SubscribeOptions

        wanted = self._wanted
        if self._broker.protocol == MQTT_5:
            retained = _RETAINED_IF_NEW if wanted.takes_retained else _RETAINED_NEVER
            options = SubscribeOptions(wanted.qos, retainHandling=retained)
            self._client.subscribe(wanted.topic, options=options)
        else:
            self._client.subscribe(wanted.topic, wanted.qos)

    def close(self) -> None:
        """Send what is to be sent, take leave and close it. The session stays."""
        client = self._client
        is_here = self.is_accepted and not self.is_over
        self.is_over = True
        line: Any = client.socket()
        if is_here and line is not None:
            # Who has not greeted yet must not: the session may be another's by now.
            client.loop_write()
            with socket.socket(fileno=os.dup(line.fileno())) as kept:
                client.disconnect()
                client.loop_write()  # which closes it
                _await_end(kept)
        line = client.socket()
        if line is not None:
            line.close()

    # -- what the library tells ------------------------------------------------------

    def _connected(self, *told: Any) -> None:
        flags, code = told[2], told[3]
        if code.is_failure:
            remedy = _REMEDIES.get(code.value)
            more = f"; {remedy}" if remedy else ""
            self._end(f"the broker refuses the connection: {code}{more}")
        else:
            self.is_accepted = True
            self._on_session(self, flags.session_present)

    def _subscribed(self, *told: Any) -> None:
        (code,) = told[3]
        if code.value >= QOS_FAILURE:
            self._end(f"the broker refuses the subscription: {code}; check topic, and its rules")
        elif code.value < self._wanted.qos:
            self._end(f"the broker grants only QoS {code.value}; check its rules, or set qos")
        else:
            self.is_subscribed = True

    def _unsubscribed(self, *told: Any) -> None:
        message_id, codes = told[2], told[3]
        topic = self._outdated.get(message_id, "")
        if any(code.is_failure for code in codes):
            # It stays noted, and the next connection asks again.
            logger.warning(
                "the broker doesn't take back the subscription of %s: %s", topic, codes[0]
            )
        else:
            self._outdated.pop(message_id, None)

    def _disconnected(self, *told: Any) -> None:
        flags, code = told[2], told[3]
        self.was_taken_over = code.value == _TAKEN_OVER
        if flags.is_disconnect_packet_from_server:
            self._end(f"the broker ends the connection: {code}")
        elif code.getName() == "Keep alive timeout":
            self._end("the broker is silent")
        else:
            self._end("the connection is lost")

    def _received(self, *told: Any) -> None:
        self.messages_total += 1
        self._on_message(self, told[2])

    def _end(self, problem: str) -> None:
        if not self.is_over:
            self.problem = problem
        self.is_over = True


def _await_end(line: socket.socket) -> None:
    """Read until the broker closes it, for a while.

    With bytes unread a close is a reset, and a broker may then not read what was sent before:
    it would send again what is acknowledged.
    """
    line.settimeout(LEAVE_S)
    with contextlib.suppress(OSError):
        for _ in range(LEAVE_READS_MAX):
            if not line.recv(READ_SIZE):
                return


def _written_by_turns(*_: Any) -> None:
    """Tell the library that somebody else will let it write."""


def reason_of(error: Exception) -> str:
    """Return why a broker can't be reached, and what to do, in one line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what = error.verify_message.rstrip(".")
        return f"its certificate is not trusted ({what}); check ca_file, and that host is its name"
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, FileNotFoundError):
        return "ca_file, cert_file or key_file does not exist"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}; check tls, port, ca_file, cert_file and key_file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"
