"""[[sensors.devices]]: where readings come from."""

from .setting import MISSING, Setting

DEVICE: dict[str, Setting] = {
    "name": Setting(str, MISSING, "unique name of the device"),
    "ingest_type": Setting(str, MISSING, "kind of source that its readings come from"),
    "sensor_type": Setting(str, "", "what it measures, for people"),
    "unit": Setting(str, "", "unit of its values, such as Cel or %RH"),
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

DEVICE_DOCS = {
    "simulator": "Makes readings up, to try things out.",
    "serial": "A board on a serial port.",
}

# ingest_type: the keys a device of that type has beside those of every device
DEVICES: dict[str, dict[str, Setting]] = {
    "simulator": {
        **_POLLED,
        "baseline": Setting(float, 20.0, "value it varies about", unit="its unit"),
        "noise_std": Setting(
            float, 0.5, "standard deviation of its noise", 0, 1e9, unit="its unit"
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
        "seed": Setting(int, 0, "seed of its noise", 0, 2**31),
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
}

# kinds that listen on this machine: their keys for address and port
LISTENING: dict[str, tuple[str, str]] = {}
