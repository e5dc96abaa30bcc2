"""[sinks.NAME]: where readings go beside [cloud]."""

from .setting import Setting

_TIMEOUT = Setting(float, 30.0, "longest wait for an answer", 0.1, 600)
_BATCH = Setting(int, 500, "most readings in one batch", 1, 10_000, unit="readings")
_ENABLED = Setting(bool, False, "whether this sink gets readings")
_CA = Setting(str, "", "whom to trust, PEM; empty: whom the system does", is_file=True)
# what an encrypted connection needs
TLS = {
    "ca_file": _CA,
    "cert_file": Setting(str, "", "certificate of this client, PEM", is_file=True),
    "key_file": Setting(str, "", "key of cert_file, PEM; empty: in cert_file", is_file=True),
}

SINK_DOCS = {
    "mqtt": "Messages to an MQTT broker, QoS 1; pip install '.[mqtt]' in a clone.",
    "nats": "Messages to a NATS JetStream; pip install '.[nats]' in a clone.",
    "influxdb": "Points in line protocol to an InfluxDB, 1 or 2.",
    "file": "NDJSON files in a folder, for somebody to take away.",
}

SINKS: dict[str, dict[str, Setting]] = {
    "mqtt": {
        "enabled": _ENABLED,
        "host": Setting(str, "127.0.0.1", "name or address of the broker"),
        "port": Setting(int, 1883, "port of the broker", 1, 65535),
        "client_id": Setting(str, "pyv-edge", "name of this client at the broker, unique there"),
        "username": Setting(str, "", "user at the broker; empty: none"),
        "password": Setting(str, "", "password of the user", is_secret=True),
        "protocol": Setting(str, "3.1.1", "version of MQTT", choices=("3.1.1", "5")),
        "tls": Setting(bool, False, "whether the connection is encrypted"),
        **TLS,
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
        "batch_size": Setting(int, 200, "most readings in one batch", 1, 10_000, unit="readings"),
    },
    "nats": {
        "enabled": _ENABLED,
        "servers": Setting(str, "nats://127.0.0.1:4222", "URLs with a comma between", is_url=True),
        "stream": Setting(str, "PYVORIN", "JetStream stream that takes the readings"),
        "subject_prefix": Setting(str, "pyvorin", "first token of all subjects"),
        "create_stream": Setting(bool, False, "whether a stream that isn't there is made"),
        "replicas": Setting(int, 1, "copies of a stream that is made", 1, 5, unit="copies"),
        "duplicate_window_seconds": Setting(
            float, 120.0, "how long that stream knows a message again", 1, 86400
        ),
        "username": Setting(str, "", "user at the server; empty: none"),
        "password": Setting(str, "", "password of the user", is_secret=True),
        "token": Setting(str, "", "token, instead of a user", is_secret=True),
        "creds_file": Setting(str, "", "JWT and seed of the user", is_file=True),
        **TLS,
        "timeout_seconds": _TIMEOUT,
        "batch_size": _BATCH,
    },
    "influxdb": {
        "enabled": _ENABLED,
        "url": Setting(str, "http://127.0.0.1:8086", "URL of the server", is_url=True),
        "version": Setting(str, "2", "version of its write endpoint", choices=("1", "2")),
        "database": Setting(str, "", "version 1: database that the points go to"),
        "username": Setting(str, "", "version 1: user; empty: none"),
        "password": Setting(str, "", "version 1: password of the user", is_secret=True),
        "org": Setting(str, "", "version 2: organisation that the bucket belongs to"),
        "bucket": Setting(str, "", "version 2: bucket that the points go to"),
        "token": Setting(str, "", "version 2: token that may write there", is_secret=True),
        "measurement": Setting(str, "pyvorin", "name of the measurement"),
        "compress": Setting(bool, False, "whether bodies are sent with gzip"),
        "ca_file": _CA,
        "timeout_seconds": _TIMEOUT,
        "batch_size": _BATCH,
    },
    "file": {
        "enabled": _ENABLED,
        "folder": Setting(
            str,
            "data/export",
            "where the NDJSON segments go, from the config file's folder",
            is_path=True,
        ),
        "segment_mb": Setting(float, 16.0, "size that ends a segment", 0.01, 4096),
        "total_mb": Setting(float, 0.0, "most of all segments together; 0: no limit", 0, 1e7),
        "on_full": Setting(
            str,
            "stop",
            "at that limit, wait for someone to take segments away, or drop the oldest",
            choices=("stop", "drop_oldest"),
        ),
        "batch_size": _BATCH,
    },
}
