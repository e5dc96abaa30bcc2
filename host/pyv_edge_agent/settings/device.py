"""[[sensors.devices]]: where readings come from."""

from dataclasses import replace

from .setting import MISSING, Setting
from .sink import TLS

DEVICE: dict[str, Setting] = {
    "name": Setting(str, MISSING, "unique name of the device"),
    "ingest_type": Setting(str, MISSING, "kind of source that its readings come from"),
    "sensor_type": Setting(str, "", "what it measures, for people"),
    "unit": Setting(str, "", "unit of its values, such as Cel or %RH"),
    "silent_after_seconds": Setting(
        float, 0.0, "without a reading for so long it is degraded; 0: it may be silent", 0, 1e7
    ),
}

_POLLED = {
    "interval_seconds": Setting(
        float, 0.0, "time between two polls of it; 0: sensors.poll_interval_seconds", 0, 86400
    ),
}

_ON_ERROR = Setting(
    str,
    "inherit",
    "what a failed poll stores: a reading of quality bad of each channel (zero), nothing"
    " (skip), or what sensors.on_error says (inherit)",
    choices=("inherit", "zero", "skip"),
)

# What a device has whose ingest_type an installed package brings
THIRD_PARTY = {
    **_POLLED,
    "on_error": _ON_ERROR,
    "options": Setting(
        dict, {}, "whatever that package wants to know", is_secret=True, is_free=True
    ),
}

# How an adapter finds readings in what comes in, see adapters/mapping.py. Paths are those of JSON:
# main.temp, list[0], ["odd key"].
MAPPING = {
    "items_path": Setting(
        str, "", "path of the list of readings; empty: the whole is one or a list"
    ),
    "value_path": Setting(
        str, "value", "path of a reading's value: a number, or a text that is one"
    ),
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

_BODY = Setting(int, 1024, "greatest body, also unpacked", 1, 65_536, unit="KiB")

# Of an HTTP listener: devices that share host and port have them alike.
HTTP_LISTENER = {
    "cert_file": Setting(
        str, "", "certificate, PEM; empty: the connection is not encrypted", is_file=True
    ),
    "key_file": Setting(str, "", "its key, PEM; empty: in cert_file", is_file=True),
    "connections_max": Setting(int, 16, "most connections at once", 1, 256, unit="connections"),
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
        float, 1000.0, "most readings over ten seconds and more; 0: no limit", 0, 1e6, unit="1/s"
    ),
    **MAPPING,
    "channel_path": replace(MAPPING["channel_path"], default="sensor_name"),
    "unit_path": replace(MAPPING["unit_path"], default="unit"),
    "quality_path": replace(MAPPING["quality_path"], default="metadata.quality"),
}

_HTTP_POLL = {
    "url": Setting(
        str, MISSING, "what is asked for, http://HOST/PATH or https://HOST/PATH", is_url=True
    ),
    "interval_seconds": Setting(float, 60.0, "time between two polls, at least", 0.1, 86400),
    "timeout_seconds": Setting(float, 10.0, "longest that a poll may take as a whole", 0.1, 600),
    "token": Setting(str, "", "sent as a bearer token; empty: none", is_secret=True),
    "headers": Setting(dict, {}, "headers that are sent with each poll", is_secret=True),
    "redirects_max": Setting(int, 3, "most redirects of one poll", 0, 10, unit="redirects"),
    "body_max_kb": _BODY,
    "on_error": _ON_ERROR,
    **TLS,
    **MAPPING,
    "time_path": replace(MAPPING["time_path"], default=""),
}

FILE = {
    "path": Setting(str, MISSING, "the file, from the config file's folder", is_path=True),
    "mode": Setting(
        str,
        "tail",
        "whether it is read as it grows, or played once more as it was recorded",
        choices=("tail", "replay"),
    ),
    "format": Setting(
        str,
        "auto",
        "form of a line: a row of CSV or a JSON document; auto: csv if it is named .csv or .tsv",
        choices=("auto", "csv", "jsonl"),
    ),
    "delimiter": Setting(
        str,
        "comma",
        "what stands between two columns of CSV",
        choices=("comma", "semicolon", "tab", "pipe", "space"),
    ),
    "columns": Setting(
        str, "", "names of the columns with a comma between, of a CSV file without a header"
    ),
    **MAPPING,
    "start": Setting(
        str,
        "begin",
        "tail: from where a file is read that nothing was read of yet",
        choices=("begin", "end"),
    ),
    "interval_seconds": Setting(
        float, 1.0, "tail: time between two looks at the file", 0.01, 86400
    ),
    "speed": Setting(
        float,
        1.0,
        "replay: how many times as fast as recorded; 0: as it can be stored",
        0,
        1e6,
        unit="times",
    ),
    "times": Setting(
        str,
        "file",
        "replay: the times of readings, those of the file or when they are replayed",
        choices=("file", "now"),
    ),
    "loop": Setting(bool, False, "replay: whether it begins anew at the end; needs times now"),
}

DEVICE_DOCS = {
    "simulator": "Makes readings up, to try things out.",
    "file": "Lines of a file, as it grows or played once more.",
    "http": "What others POST to this machine.",
    "http_poll": "A URL that is asked again and again.",
    "system": "A figure of this computer.",
    "serial": "A board on a serial port.",
    "mqtt": "Messages of an MQTT broker; pip install '.[mqtt]' in a clone.",
}

# ingest_type: the keys a device of that type has beside those of every device
DEVICES: dict[str, dict[str, Setting]] = {
    "simulator": {
        **_POLLED,
        "baseline": Setting(float, 20.0, "value it varies about", unit="its unit"),
        "noise_std": Setting(
            float, 0.5, "standard deviation of its noise", 0, 1e9, unit="its unit"
        ),
        "noise_model": Setting(
            str, "GAUSSIAN", "distribution of its noise", choices=("GAUSSIAN",)
        ),
        "min_value": Setting(float, -1e9, "least value it gives", unit="its unit"),
        "max_value": Setting(float, 1e9, "greatest value it gives", unit="its unit"),
        "drift_model": Setting(
            str, "NONE", "how the baseline moves", choices=("NONE", "LINEAR", "SINUSOIDAL")
        ),
        "drift_rate": Setting(float, 0.0, "speed of a LINEAR drift", unit="its unit a second"),
        "drift_amplitude": Setting(float, 0.0, "amplitude of a SINUSOIDAL drift", unit="its unit"),
        "drift_period_seconds": Setting(
            float, 86400.0, "period of a SINUSOIDAL drift", 0.001, 1e9
        ),
        "spike_probability": Setting(float, 0.0, "how likely a reading begins a spike", 0, 1),
        "spike_size": Setting(
            float, 10.0, "how far a spike is away, up or down", 0, 1e9, unit="its unit"
        ),
        "spike_count": Setting(
            int, 1, "readings that a spike lasts for", 1, 1_000_000, unit="readings"
        ),
        "dropout_probability": Setting(float, 0.0, "how likely a reading begins a dropout", 0, 1),
        "dropout_count": Setting(
            int, 1, "readings that a dropout takes away", 1, 1_000_000, unit="readings"
        ),
        "stuck_probability": Setting(float, 0.0, "how likely a reading begins to repeat", 0, 1),
        "stuck_count": Setting(
            int, 10, "readings that repeat the one before", 1, 1_000_000, unit="readings"
        ),
        "seed": Setting(int, 0, "seed of its noise and anomalies", 0, 2**31),
    },
    "file": FILE,
    "http": _HTTP,
    "http_poll": _HTTP_POLL,
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
        "baudrate": Setting(
            int, 115200, "speed of a UART; USB ignores it", 50, 4_000_000, unit="Bd"
        ),
        "dtr": Setting(
            bool, True, "whether DTR is asserted while the port is open; a Pico sends only with it"
        ),
        "rts": Setting(bool, True, "the same of RTS; the two alike let an ESP32 run"),
        "device_id": Setting(str, "", "the only board that is taken; empty: see accept_new"),
        "accept_new": Setting(
            bool,
            False,
            "whether any board is taken; else the first one that comes is, and another is"
            " quarantined: not stored, and told so",
        ),
        "settings_file": Setting(
            str,
            "",
            "the board's device.json, pushed when the board greets and has other settings",
            is_file=True,
        ),
        "link_key_file": Setting(
            str,
            "",
            "file whose first line is the board's key, as on the board: only that board is heard",
            is_file=True,
        ),
    },
    "mqtt": {
        "host": Setting(str, "127.0.0.1", "name or address of the broker"),
        "port": Setting(int, 1883, "port of the broker", 1, 65535),
        "client_id": Setting(
            str, "", "name of the session at the broker, unique there; empty: pyv-edge-NAME"
        ),
        "username": Setting(str, "", "user at the broker; empty: none"),
        "password": Setting(str, "", "password of the user", is_secret=True),
        "protocol": Setting(str, "5", "version of MQTT", choices=("5", "3.1.1")),
        "tls": Setting(bool, False, "whether the connection is encrypted"),
        **TLS,
        "topic": Setting(str, MISSING, "topics that are taken, a filter with + and #"),
        "channel": Setting(
            str,
            "",
            "channel of a topic, {1} being what its first + stands for, {#} the rest; empty: all"
            " of that with dots between, and %2E for a dot inside one",
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
            "quality of service; 0: what is sent while the agent is away or behind is lost;"
            " 1: nothing is",
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
            unit="messages",
        ),
        "keepalive_seconds": Setting(int, 30, "longest silence on the line", 5, 3600),
        "timeout_seconds": Setting(float, 10.0, "longest wait for an answer", 0.1, 600),
    },
}

# kinds that bring a reading, or more, once in their interval_seconds
POLLED = frozenset({"simulator", "system", "http_poll"})

# kinds that listen on this machine: their keys for address and port
LISTENING: dict[str, tuple[str, str]] = {"http": ("host", "port")}
