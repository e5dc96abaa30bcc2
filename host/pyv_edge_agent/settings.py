"""Every setting of the agent: its type, its range, its default, one sentence.

`config` reads files against these tables. A value is changed nowhere else.
"""

import json
import math
from dataclasses import dataclass, replace
from typing import Any

MISSING = object()  # a setting's default, if it must be given
SHOWN_SIZE_MAX = 60  # characters of a wrong value that a message repeats


def _is_plain(text: str) -> bool:
    """Return whether `text` can be stored and sent: no control characters, valid Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not any(ord(character) < 0x20 for character in text)


@dataclass(frozen=True)
class Setting:
    """One key: its type, its default, and what it may be."""

    kind: type  # bool, int, float, str
    default: Any  # MISSING: must be given
    doc: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    is_secret: bool = False  # its value is never shown

    def check(self, value: Any, is_substituted: bool) -> Any:
        """Return `value` as this setting's type.

        Raises ValueError saying what is allowed. A text that came out of a
        `${VAR}` may stand for a number or a truth value.
        """
        if is_substituted and isinstance(value, str) and self.kind is not str:
            try:
                value = json.loads(value)
            except ValueError:
                raise self._refusal(value, is_substituted) from None
        if type(value) is int and str(value) in self.choices:
            value = str(value)  # as in version = 1
        if type(value) is int and self.kind is float and abs(value) < 2**63:
            value = float(value)
        if type(value) is not self.kind:
            raise self._refusal(value, is_substituted)
        if isinstance(value, dict) and not all(isinstance(one, str) for one in value.values()):
            raise ValueError('the value is not a table of texts, such as {temp = "main.temp"}')
        if isinstance(value, (int, float)) and not (
            self.low <= value <= self.high and math.isfinite(value)
        ):
            raise self._refusal(value, is_substituted)
        if self.choices and value not in self.choices:
            raise self._refusal(value, is_substituted)
        if isinstance(value, str) and not _is_plain(value):
            raise ValueError("the value has a control character or half a surrogate pair")
        return value

    def _refusal(self, value: Any, is_hidden: bool) -> ValueError:
        # What an environment variable holds may be a secret, put where it doesn't belong.
        shown = "the value" if self.is_secret or is_hidden else repr(value)
        if len(shown) > SHOWN_SIZE_MAX:
            shown = shown[:SHOWN_SIZE_MAX] + "..."
        return ValueError(f"{shown} is not {self.allowed}")

    @property
    def allowed(self) -> str:
        """Say what the value may be."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        name = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        name[dict] = "a table"
        text = name[self.kind]
        if self.kind in (int, float) and self.low > -math.inf:
            text += f" in {self.low:g}..{self.high:g}"
        return text


SECTIONS: dict[str, dict[str, Setting]] = {
    "sensors": {
        "poll_interval_seconds": Setting(float, 5.0, "time between two polls", 0.01, 86400),
        "on_error": Setting(
            str,
            "zero",
            "what a failed poll stores: a 0.0 of quality bad, or nothing",
            choices=("zero", "skip"),
        ),
    },
    "windows": {
        "default_size": Setting(int, 1000, "values kept in memory per device", 1, 1_000_000),
        "dtype": Setting(str, "d", "their array typecode: float or double", choices=("f", "d")),
    },
    "policies": {
        "keep_days": Setting(
            float, 0.0, "how long readings are kept; 0: until there is no room", 0, 36500
        ),
        "summary_keep_days": Setting(float, 0.0, "the same of summaries", 0, 36500),
        "event_keep_days": Setting(float, 0.0, "the same of events and gaps", 0, 36500),
        "on_full_bulk": Setting(
            str,
            "drop_oldest",
            "what happens to readings of class bulk if there is no room",
            choices=("drop_oldest", "reject_new", "downsample_oldest"),
        ),
        "on_full_telemetry": Setting(
            str,
            "drop_oldest",
            "the same of class telemetry, once there is no bulk to evict",
            choices=("drop_oldest", "reject_new", "downsample_oldest"),
        ),
        "on_full_event": Setting(
            str,
            "drop_oldest",
            "the same of class event, once there is nothing else",
            choices=("drop_oldest", "reject_new", "downsample_oldest"),
        ),
    },
    "cloud": {
        "enabled": Setting(bool, False, "whether readings are uploaded"),
        "endpoint": Setting(str, "", "URL that takes POSTed batches", is_secret=True),
        "api_key": Setting(str, "", "sent as a bearer token", is_secret=True),
        "timeout_seconds": Setting(float, 30.0, "longest wait for a reply", 0.1, 600),
        "batch_size": Setting(int, 500, "most readings in one POST", 1, 10_000),
        "format": Setting(
            str,
            "documented",
            "form of readings: {batch_id, timestamp, count, items}, or SenML JSON",
            choices=("documented", "senml"),
        ),
        "compress": Setting(bool, False, "whether bodies are sent with gzip"),
        "hmac_key": Setting(
            str, "", "signs each body, in X-Pyvorin-Signature; empty: none is", is_secret=True
        ),
        "ca_file": Setting(str, "", "whom to trust, PEM; empty: whom the system does"),
        "cert_file": Setting(str, "", "certificate of this client, PEM"),
        "key_file": Setting(str, "", "its key, PEM; empty: in cert_file"),
        "retry_base_seconds": Setting(float, 1.0, "first back-off, with full jitter", 0.01, 60),
        "retry_max_seconds": Setting(float, 300.0, "longest back-off", 0.01, 86400),
        "queue_max_mb": Setting(
            float, 64.0, "most bytes of queued items; then the least urgent go", 0.01, 1e5
        ),
    },
    "privacy": {
        "enabled": Setting(bool, True, "whether the policy is in force"),
        "default": Setting(
            str,
            "allow",
            "what happens to what no rule fits",
            choices=("allow", "deny", "drop"),
        ),
        "hash_key": Setting(
            str, "", "secret of this installation, for action hash", is_secret=True
        ),
        "hash_key_file": Setting(
            str, "data/privacy.key", "made at the start if hash_key is empty and a rule hashes"
        ),
    },
    "health": {
        "enabled": Setting(bool, True, "whether /health and /metrics are served"),
        "host": Setting(str, "127.0.0.1", "address they listen on"),
        "port": Setting(int, 8080, "port they listen on; 0: any free one", 0, 65535),
    },
    "logging": {
        "level": Setting(
            str, "INFO", "least severity", choices=("DEBUG", "INFO", "WARNING", "ERROR")
        ),
        "format": Setting(str, "json", "form of a line", choices=("json", "text")),
    },
    "time": {
        "source": Setting(
            str,
            "ntp",
            "who sets the clock: what the kernel knows of, or something that is trusted"
            " without asking it (a battery clock, GPS, the host of a container)",
            choices=("ntp", "trusted"),
        ),
        "upload_wait_seconds": Setting(
            float,
            300.0,
            "how long after the start readings wait for the clock to be set before they are"
            " uploaded; 0: not at all",
            0,
            86400,
        ),
    },
    "storage": {
        "path": Setting(str, "data/edge_store.db", "the store, from the config file's folder"),
        "commit_interval_ms": Setting(int, 1000, "longest wait for a commit", 10, 2000),
        "commit_max": Setting(int, 500, "readings that make one due", 1, 100_000),
        "max_mb": Setting(
            float, 0.0, "most disk that the store and its WAL take; 0: see min_free_mb", 0, 1e7
        ),
        "min_free_mb": Setting(
            float, 200.0, "disk that is to stay free; 0: all of it may be used", 0, 1e7
        ),
        "keep_mb": Setting(
            float, 64.0, "of the store, never evicted because others fill the disk", 0, 1e7
        ),
        "high_water": Setting(float, 0.95, "part of the room at which eviction begins", 0.1, 1.0),
        "low_water": Setting(float, 0.90, "and at which it ends", 0.05, 1.0),
    },
}

_TIMEOUT = Setting(float, 30.0, "longest wait for an answer", 0.1, 600)
_BATCH = Setting(int, 500, "most readings in one batch", 1, 10_000)
_ENABLED = Setting(bool, False, "whether this sink gets readings")
_TLS = {
    "ca_file": Setting(str, "", "whom to trust, PEM; empty: whom the system does"),
    "cert_file": Setting(str, "", "certificate of this client, PEM"),
    "key_file": Setting(str, "", "its key, PEM"),
}

# [sinks.NAME]: where readings go beside [cloud]; paths count from the config file's folder
SINKS: dict[str, dict[str, Setting]] = {
    "mqtt": {
        "enabled": _ENABLED,
        "host": Setting(str, "127.0.0.1", "name or address of the broker"),
        "port": Setting(int, 1883, "its port", 1, 65535),
        "client_id": Setting(str, "pyv-edge", "name of this client at the broker, unique there"),
        "username": Setting(str, "", "empty: none"),
        "password": Setting(str, "", "of the user", is_secret=True),
        "protocol": Setting(str, "3.1.1", "version of MQTT", choices=("3.1.1", "5")),
        "tls": Setting(bool, False, "whether the connection is encrypted"),
        **_TLS,
        "topic_prefix": Setting(str, "pyvorin", "first level of all topics"),
        "mode": Setting(
            str,
            "reading",
            "a message for each reading, on PREFIX/CLIENT/DEVICE/CHANNEL, or for each batch",
            choices=("reading", "batch"),
        ),
        "format": Setting(str, "documented", "form of a batch", choices=("documented", "senml")),
        "discovery_prefix": Setting(
            str, "", "topic prefix of Home Assistant's discovery; empty: none"
        ),
        "keepalive_seconds": Setting(int, 60, "longest silence on the line", 5, 3600),
        "timeout_seconds": _TIMEOUT,
        "batch_size": Setting(int, 200, "most readings in one batch", 1, 10_000),
    },
    "nats": {
        "enabled": _ENABLED,
        "servers": Setting(
            str, "nats://127.0.0.1:4222", "URLs with a comma between", is_secret=True
        ),
        "stream": Setting(str, "PYVORIN", "JetStream stream that takes them"),
        "subject_prefix": Setting(str, "pyvorin", "first token of all subjects"),
        "create_stream": Setting(bool, False, "whether a stream that isn't there is made"),
        "replicas": Setting(int, 1, "of the stream that is made", 1, 5),
        "duplicate_window_seconds": Setting(
            float, 120.0, "how long that stream knows a message again", 1, 86400
        ),
        "username": Setting(str, "", "empty: none"),
        "password": Setting(str, "", "of the user", is_secret=True),
        "token": Setting(str, "", "instead of a user", is_secret=True),
        "creds_file": Setting(str, "", "JWT and seed of the user"),
        **_TLS,
        "timeout_seconds": _TIMEOUT,
        "batch_size": _BATCH,
    },
    "influxdb": {
        "enabled": _ENABLED,
        "url": Setting(str, "http://127.0.0.1:8086", "of the server", is_secret=True),
        "version": Setting(str, "2", "of its write endpoint", choices=("1", "2")),
        "database": Setting(str, "", "version 1: where they go"),
        "username": Setting(str, "", "version 1; empty: none"),
        "password": Setting(str, "", "version 1", is_secret=True),
        "org": Setting(str, "", "version 2: whose the bucket is"),
        "bucket": Setting(str, "", "version 2: where they go"),
        "token": Setting(str, "", "version 2", is_secret=True),
        "measurement": Setting(str, "pyvorin", "name of the measurement"),
        "compress": Setting(bool, False, "whether bodies are sent with gzip"),
        "ca_file": Setting(str, "", "whom to trust, PEM; empty: whom the system does"),
        "timeout_seconds": _TIMEOUT,
        "batch_size": _BATCH,
    },
    "file": {
        "enabled": _ENABLED,
        "folder": Setting(str, "data/export", "where the NDJSON segments are written"),
        "segment_mb": Setting(float, 16.0, "size that ends a segment", 0.01, 4096),
        "total_mb": Setting(float, 0.0, "of all segments; 0: no limit", 0, 1e7),
        "on_full": Setting(
            str,
            "stop",
            "at that limit, wait for someone to take segments away, or drop the oldest",
            choices=("stop", "drop_oldest"),
        ),
        "batch_size": _BATCH,
    },
}

DEVICE: dict[str, Setting] = {
    "name": Setting(str, MISSING, "unique name of the device"),
    "ingest_type": Setting(str, MISSING, "where its readings come from"),
    "sensor_type": Setting(str, "", "what it measures, for people"),
    "unit": Setting(str, "", "unit of its values"),
}

_POLLED = {
    "interval_seconds": Setting(
        float, 0.0, "time between two polls of it; 0: sensors.poll_interval_seconds", 0, 86400
    ),
}

# How an adapter finds readings in what comes in, see adapters/mapping.py. Paths are those of JSON:
# main.temp, list[0], ["odd key"].
MAPPING = {
    "items_path": Setting(
        str, "", "path of the list of readings; empty: the whole is one or a list"
    ),
    "value_path": Setting(str, "value", "path of a reading's value"),
    "time_path": Setting(
        str,
        "timestamp",
        "path of its time, ISO-8601 or s or ms since 1970; empty: when it arrived",
    ),
    "channel_path": Setting(str, "", "path of its channel's name; empty: the device has only one"),
    "unit_path": Setting(str, "", "path of its unit; empty, or nothing there: the device's unit"),
    "quality_path": Setting(
        str, "", "path of its quality: good, uncertain or bad; empty, or nothing there: good"
    ),
    "fields": Setting(
        dict, {}, "several channels of one reading: name of each, and path of its value"
    ),
}

_BODY = Setting(int, 1024, "most kilobytes of a body, also unpacked", 1, 65_536)

# Of an HTTP listener: devices that share host and port have them alike.
HTTP_LISTENER = {
    "cert_file": Setting(str, "", "its certificate, PEM, from the config file's folder: TLS"),
    "key_file": Setting(str, "", "its key, PEM; empty: in cert_file"),
    "connections_max": Setting(int, 16, "most connections at once", 1, 256),
    "timeout_seconds": Setting(
        float, 10.0, "longest that a POST may take to come, and then to be stored", 0.1, 600
    ),
}

_HTTP = {
    "host": Setting(str, "127.0.0.1", "address to listen on; beyond loopback, only with a token"),
    "port": Setting(
        int, 8081, "port to listen on, which devices may share; 0: any free one", 0, 65535
    ),
    "endpoint": Setting(str, "/ingest", "path of the URL that takes POSTs"),
    "token": Setting(str, "", "bearer token that a POST must have; empty: none", is_secret=True),
    **HTTP_LISTENER,
    "body_max_kb": _BODY,
    "readings_per_second": Setting(
        float, 1000.0, "most readings over ten seconds and more; 0: no limit", 0, 1e6
    ),
    **MAPPING,
    "channel_path": replace(MAPPING["channel_path"], default="sensor_name"),
    "unit_path": replace(MAPPING["unit_path"], default="unit"),
    "quality_path": replace(MAPPING["quality_path"], default="metadata.quality"),
}

_HTTP_POLL = {
    "url": Setting(str, MISSING, "what is asked for, http://... or https://...", is_secret=True),
    "interval_seconds": Setting(float, 60.0, "time between two polls, at least", 0.1, 86400),
    "timeout_seconds": Setting(float, 10.0, "longest that a poll may take as a whole", 0.1, 600),
    "token": Setting(str, "", "sent as a bearer token; empty: none", is_secret=True),
    "headers": Setting(dict, {}, "sent with each poll", is_secret=True),
    "redirects_max": Setting(int, 3, "most redirects of one poll", 0, 10),
    "body_max_kb": _BODY,
    "on_error": Setting(
        str,
        "inherit",
        "what a failed poll stores: a reading of quality bad of each channel (zero), nothing"
        " (skip), or what sensors.on_error says (inherit)",
        choices=("inherit", "zero", "skip"),
    ),
    **_TLS,
    **MAPPING,
    "time_path": replace(MAPPING["time_path"], default=""),
}

# What `system` measures, and the unit of each unless the device has another
SYSTEM_UNITS = {
    "cpu_percent": "%",
    "ram_percent": "%",
    "swap_percent": "%",
    "disk_percent": "%",
    "load_1": "1",
    "temperature": "Cel",
    "uptime_seconds": "s",
    "network_received_bytes": "By",
    "network_sent_bytes": "By",
    "network_received_rate": "By/s",
    "network_sent_rate": "By/s",
    "disk_read_bytes": "By",
    "disk_written_bytes": "By",
    "disk_read_rate": "By/s",
    "disk_written_rate": "By/s",
}

# ingest_type: the keys a device of that type has beside those of every device
DEVICES: dict[str, dict[str, Setting]] = {
    "simulator": {
        **_POLLED,
        "baseline": Setting(float, 20.0, "value it varies about"),
        "noise_std": Setting(float, 0.5, "standard deviation of its noise", 0, 1e9),
        "noise_model": Setting(str, "GAUSSIAN", "its distribution", choices=("GAUSSIAN",)),
        "min_value": Setting(float, -1e9, "clamp"),
        "max_value": Setting(float, 1e9, "clamp"),
        "drift_model": Setting(
            str, "NONE", "how the baseline moves", choices=("NONE", "LINEAR", "SINUSOIDAL")
        ),
        "drift_rate": Setting(float, 0.0, "units a second, LINEAR"),
        "drift_amplitude": Setting(float, 0.0, "units, SINUSOIDAL"),
        "drift_period_seconds": Setting(float, 86400.0, "of SINUSOIDAL", 0.001, 1e9),
        "spike_probability": Setting(float, 0.0, "that a reading begins a spike", 0, 1),
        "spike_size": Setting(float, 10.0, "units that a spike is away, up or down", 0, 1e9),
        "spike_count": Setting(int, 1, "readings that a spike lasts for", 1, 1_000_000),
        "dropout_probability": Setting(float, 0.0, "that a reading begins a dropout", 0, 1),
        "dropout_count": Setting(int, 1, "readings that are missing then", 1, 1_000_000),
        "stuck_probability": Setting(float, 0.0, "that a reading begins to repeat", 0, 1),
        "stuck_count": Setting(int, 10, "readings that repeat the one before", 1, 1_000_000),
        "seed": Setting(int, 0, "of its noise and anomalies", 0, 2**31),
    },
    "system": {
        **_POLLED,
        "metric": Setting(
            str, MISSING, "which figure of this computer", choices=tuple(SYSTEM_UNITS)
        ),
        "path": Setting(str, "/", "disk_percent: a folder on the disk that is meant"),
        "source": Setting(
            str,
            "",
            "which sensor (chip or chip/label), network interface or disk; empty: the first"
            " temperature, the sum of all interfaces or disks",
        ),
    },
    "serial": {
        "port": Setting(
            str, MISSING, "path, best from /dev/serial/by-id, or usb:VID:PID or usb:VID:PID:SERIAL"
        ),
        "baudrate": Setting(int, 115200, "of a UART; USB ignores it", 50, 4_000_000),
        "dtr": Setting(bool, True, "whether DTR is asserted while the port is open"),
        "rts": Setting(bool, True, "the same of RTS; the two alike let an ESP32 run"),
        "device_id": Setting(str, "", "the only board that is taken; empty: see accept_new"),
        "accept_new": Setting(
            bool, False, "whether another board than the first one here is taken, not quarantined"
        ),
        "settings_file": Setting(
            str, "", "JSON settings that the board is given, from the config file's folder"
        ),
        "link_key_file": Setting(
            str, "", "file whose first line is the board's link_key: only that board is heard"
        ),
    },
    "mqtt": {
        "host": Setting(str, "127.0.0.1", "name or address of the broker"),
        "port": Setting(int, 1883, "its port", 1, 65535),
        "client_id": Setting(
            str, "", "name of the session at the broker, unique there; empty: pyv-edge-NAME"
        ),
        "username": Setting(str, "", "empty: none"),
        "password": Setting(str, "", "of the user", is_secret=True),
        "protocol": Setting(str, "5", "version of MQTT", choices=("5", "3.1.1")),
        "tls": Setting(bool, False, "whether the connection is encrypted"),
        **_TLS,
        "topic": Setting(str, MISSING, "topics that are taken, a filter with + and #"),
        "channel": Setting(
            str,
            "",
            "channel of a topic, {1} being what its first + stands for, {#} the rest; empty: all"
            " of that with dots between",
        ),
        "payload": Setting(
            str,
            "json",
            "form of a message: JSON, or a bare number, whose time is that of arrival",
            choices=("json", "number"),
        ),
        **MAPPING,
        "qos": Setting(
            int,
            1,
            "0: what is sent while the agent is away or behind is lost; 1: nothing is",
            0,
            1,
        ),
        "retained": Setting(
            str,
            "ignore",
            "what becomes of the old message that a broker keeps for those who subscribe",
            choices=("ignore", "take"),
        ),
        "session_expiry_seconds": Setting(
            int,
            604_800,
            "how long the broker keeps what comes while the agent is away, MQTT 5; with 3.1.1 that"
            " is the broker's affair",
            0,
            4_294_967_295,
        ),
        "inflight_max": Setting(
            int,
            0,
            "messages that the broker sends ahead of their acknowledgement; with 3.1.1 this must"
            " be what the broker has set; 0: 1000 with MQTT 5, 20 with 3.1.1 as mosquitto has",
            0,
            5000,
        ),
        "keepalive_seconds": Setting(int, 30, "longest silence on the line", 5, 3600),
        "timeout_seconds": Setting(float, 10.0, "longest wait for an answer", 0.1, 600),
    },
    "http": _HTTP,
    "http_poll": _HTTP_POLL,
}
