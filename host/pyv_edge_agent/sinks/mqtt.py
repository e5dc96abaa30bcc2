"""MQTTSink: publishes readings to a broker, MQTT 3.1.1 or 5, QoS 1.

    PREFIX/CLIENT/DEVICE/CHANNEL   a reading                        (mode "reading")
    PREFIX/CLIENT/batch            a batch, as HTTP would get it    (mode "batch")
    PREFIX/CLIENT/items            an event, a gap, a summary, ...
    PREFIX/CLIENT/status           online or, as the last will, offline; retained

A batch is accepted when the PUBACK of each of its messages has come. Nothing is left to
the library's own queue, which would be gone with the process: after a failure the
connection is given up, and the batch is sent as a whole over a new one.
"""

import hashlib
import json
import threading
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from ..clock import Clock, SystemClock
from ..mqtt_client import MQTT_5, BrokerOptions, make_client
from .delivery import ACCEPTED, FAILED, REFUSED, THROTTLED, TOO_LARGE, UNAUTHORISED, Delivery
from .payload import DOCUMENTED, SENML, envelope, is_reading, senml

INFLIGHT_MAX = 100  # messages on the way at a time
ONLINE, OFFLINE = "online", "offline"
_SAFE = "-._~:@ "  # characters of a name that stay as they are in a topic

# Reason codes of MQTT 5, section 2.4; the library gives those of 3.1.1 as these, too.
_OUTCOMES = {
    0x86: UNAUTHORISED,  # bad user name or password
    0x87: UNAUTHORISED,  # not authorised
    0x8A: UNAUTHORISED,  # banned
    0x95: TOO_LARGE,
    0x97: THROTTLED,  # quota exceeded
    0x99: REFUSED,  # payload format invalid
}

# SenML's unit: what Home Assistant calls it, and the class of sensor it is
HIDDEN = "hidden"  # a device whose name the policy takes out
_UNITS = {
    "Cel": ("°C", "temperature"),
    "%RH": ("%", "humidity"),
    "Pa": ("Pa", "pressure"),
    "V": ("V", "voltage"),
    "A": ("A", "current"),
    "W": ("W", "power"),
    "lx": ("lx", "illuminance"),
}


@dataclass(frozen=True)
class MQTTOptions(BrokerOptions):
    """Which broker, and what is published there."""

    topic_prefix: str = "pyvorin"
    mode: str = "reading"  # or "batch"
    format: str = DOCUMENTED  # of a batch
    discovery_prefix: str = ""  # of Home Assistant; "": none. For mode "reading"


class _Connection:
    """One connection to the broker and what its thread has told of it."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.answer: Any = None  # reason code of the CONNACK
        self.acked: dict[int, Any] = {}  # reason code by message id
        self.is_lost = False
        self.is_woken = False
        self.client: Any = None
        self.announced: set[str] = set()  # channels that Home Assistant knows of

    def on_connect(self, *args: Any) -> None:
        with self.condition:
            self.answer = args[3]
            self.condition.notify_all()

    def on_publish(self, *args: Any) -> None:
        with self.condition:
            self.acked[args[2]] = args[3]
            self.condition.notify_all()

    def on_disconnect(self, *_: Any) -> None:
        with self.condition:
            self.is_lost = True
            self.condition.notify_all()

    def wake(self) -> None:
        with self.condition:
            self.is_woken = True
            self.condition.notify_all()


class MQTTSink:
    """Sink for one broker. For one thread; `wake` may come from another."""

    def __init__(self, options: MQTTOptions, clock: Clock | None = None) -> None:
        """Prepare to publish; nothing is opened yet."""
        self._options = options
        self._clock = clock or SystemClock()
        self._connection: _Connection | None = None
        self._is_woken = False
        self._root = f"{options.topic_prefix}/{_level(options.client_id)}"

    @property
    def shown(self) -> str:
        """The broker and the prefix of the topics."""
        return f"{self._options.shown}/{self._options.topic_prefix}"

    def deliver(self, batch_key: str, items: list[dict[str, Any]]) -> Delivery:
        """Publish `items`, and wait until the broker has acknowledged each message."""
        if self._is_woken:
            return Delivery(FAILED, "the agent stops")
        try:
            connection = self._connection or self._connect()
        except (OSError, ValueError) as error:
            # ValueError: what the library thinks of a certificate or a host name
            self._give_up()
            return self._unreachable(error)
        if isinstance(connection, Delivery):
            self._give_up()
            return connection
        delivery = self._publish(connection, batch_key, items)
        if not delivery.is_accepted:
            self._give_up()
        return delivery

    def _unreachable(self, error: Exception) -> Delivery:
        return Delivery(FAILED, f"no connection to {self.shown}: {_short(error)}")

    def probe(self) -> Delivery:
        """Connect under another name, so that nobody's session ends, publish nothing and leave."""
        options = replace(self._options, client_id=f"{self._options.client_id}-probe")
        made = self._connection = _Connection()
        try:
            made.client = make_client(options)
            refusal = self._greet(made)
        except (OSError, ValueError) as error:
            refusal = self._unreachable(error)
        if refusal is None:
            made.client.disconnect()
            self._wait(made, lambda: made.is_lost)
        self._give_up()
        return refusal or Delivery(ACCEPTED)

    # -- connection ----------------------------------------------------------------

    def _connect(self) -> "_Connection | Delivery":
        made = self._connection = _Connection()
        made.is_woken = self._is_woken
        client = made.client = make_client(self._options)
        client.max_inflight_messages_set(INFLIGHT_MAX)
        client.will_set(f"{self._root}/status", OFFLINE, qos=1, retain=True)
        refusal = self._greet(made)
        if refusal is not None:
            return refusal
        online = client.publish(f"{self._root}/status", ONLINE, qos=1, retain=True)
        if not self._wait(made, lambda: online.mid in made.acked):
            return Delivery(FAILED, f"no answer from {self.shown}")
        return made

    def _greet(self, made: _Connection) -> Delivery | None:
        """Connect and wait for the broker's answer; return why there is no connection."""
        options, client = self._options, made.client
        client.on_connect, client.on_publish = made.on_connect, made.on_publish
        client.on_disconnect = made.on_disconnect
        client.connect(options.host, options.port, options.keepalive)
        client.loop_start()
        if not self._wait(made, lambda: made.answer is not None):
            return Delivery(FAILED, f"no answer from {self.shown}")
        code = made.answer
        if code.is_failure:
            outcome = _OUTCOMES.get(code.value, FAILED)
            return Delivery(outcome, f"{self.shown} refuses the connection: {code}")
        return None

    def _wait(self, connection: _Connection, condition: Any) -> bool:
        """Wait until `condition()`; return False if time, connection or agent end before."""
        end_ms = self._clock.monotonic_ms() + round(self._options.timeout_seconds * 1000)
        with connection.condition:
            while not condition():
                left_s = (end_ms - self._clock.monotonic_ms()) / 1000
                if connection.is_lost or connection.is_woken or left_s <= 0:
                    return False
                connection.condition.wait(left_s)
        return True

    def _give_up(self) -> None:
        """Close the connection without a farewell: the broker publishes the last will."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.client is not None:
            socket = connection.client.socket()
            if socket is not None:
                socket.close()
            connection.client.loop_stop()

    # -- messages ------------------------------------------------------------------

    def _publish(
        self, connection: _Connection, batch_key: str, items: list[dict[str, Any]]
    ) -> Delivery:
        sent: set[int] = set()
        for topic, payload, retain in self._messages(connection, batch_key, items):
            info = connection.client.publish(
                topic, payload, qos=1, retain=retain, properties=self._properties(batch_key)
            )
            sent.add(info.mid)
            if connection.is_lost:
                break
        acked = connection.acked
        is_whole = self._wait(connection, lambda: sent <= acked.keys())
        for code in [acked[mid] for mid in sent & acked.keys()]:
            if code.is_failure:
                outcome = _OUTCOMES.get(code.value, FAILED)
                return Delivery(outcome, f"{self.shown} refuses a message: {code}")
        if not is_whole:
            missing = len(sent - acked.keys())
            why = "the connection is lost" if connection.is_lost else "time is over"
            return Delivery(FAILED, f"{self.shown}: {missing} messages not acknowledged: {why}")
        acked.clear()
        return Delivery(ACCEPTED)

    def _properties(self, batch_key: str) -> Any:
        if self._options.protocol != MQTT_5:
            return None
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.UserProperty = [("batch_id", batch_key)]
        return properties

    def _messages(
        self, connection: _Connection, batch_key: str, items: list[dict[str, Any]]
    ) -> Any:
        """Yield (topic, payload, whether it is retained)."""
        readings: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for item in items:
            (readings if is_reading(item) else others).append(item)
        if readings and self._options.mode == "batch":
            if self._options.format == SENML:
                body = senml(readings)
            else:
                body = envelope(batch_key, self._clock.utc_ms(), readings)
            yield f"{self._root}/batch", body, False
            readings = []
        for item in readings:
            topic = self._topic(item)
            if self._options.discovery_prefix and topic not in connection.announced:
                connection.announced.add(topic)
                yield self._discovery(item, topic)
            yield topic, json.dumps(item), False
        for item in others:
            yield f"{self._root}/items", json.dumps(item), False

    def _topic(self, item: dict[str, Any]) -> str:
        # What the policy takes out of the metadata must not be in the topic either.
        metadata = item["metadata"]
        channel = metadata.get("channel", item["sensor_name"])
        return f"{self._root}/{_level(_device(metadata))}/{_level(channel)}"

    def _discovery(self, item: dict[str, Any], topic: str) -> tuple[str, str, bool]:
        """Return what tells Home Assistant of a channel."""
        client = self._options.client_id
        name = hashlib.sha256(topic.encode()).hexdigest()[:16]
        device = _device(item["metadata"])
        config: dict[str, Any] = {
            "unique_id": f"{client}-{name}",
            "name": item["sensor_name"],
            "state_topic": topic,
            "value_template": "{{ value_json.value }}",
            "json_attributes_topic": topic,
            "json_attributes_template": "{{ value_json.metadata | tojson }}",
            "availability_topic": f"{self._root}/status",
            "state_class": "measurement",
            "device": {"identifiers": [f"{client}-{device}"], "name": device},
        }
        unit, kind = _UNITS.get(item["unit"], (item["unit"], ""))
        if unit:
            config["unit_of_measurement"] = unit
        if kind:
            config["device_class"] = kind
        place = f"{self._options.discovery_prefix}/sensor/{_slug(client)}_{name}/config"
        return place, json.dumps(config), True

    # -- the end -------------------------------------------------------------------

    def wake(self) -> None:
        """Let a delivery under way end soon: the agent stops."""
        self._is_woken = True
        connection = self._connection
        if connection is not None:
            connection.wake()

    def close(self) -> None:
        """Say that nobody is online any more, and close the connection."""
        connection, self._connection = self._connection, None
        if connection is None or connection.client is None:
            return
        if not connection.is_lost:
            connection.is_woken = False
            farewell = connection.client.publish(
                f"{self._root}/status", OFFLINE, qos=1, retain=True
            )
            self._wait(connection, lambda: farewell.mid in connection.acked)
            connection.client.disconnect()
        connection.client.loop_stop()


def _device(metadata: dict[str, Any]) -> str:
    return str(metadata.get("device", HIDDEN))


def _level(name: str) -> str:
    """Return a name as one level of a topic; different names stay different."""
    return quote(name, safe=_SAFE)


def _slug(name: str) -> str:
    return "".join(one if one.isascii() and one.isalnum() else "_" for one in name)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
