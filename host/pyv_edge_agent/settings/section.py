"""The sections that are one table each."""

from typing import Any

from .setting import Setting

_ON_FULL = ("drop_oldest", "reject_new", "downsample_oldest")

SECTION_DOCS = {
    "sensors": "What is measured, and how often the agent asks.",
    "windows": "The latest values of each device, in memory.",
    "policies": "How long readings are kept, and what gives way if there is no room.",
    "cloud": "The HTTP endpoint that readings are uploaded to.",
    "privacy": "What may be known of readings, and where; see PRIVACY.md.",
    "health": "The page, and what else tells how the agent does: /health, /metrics, /api/v1.",
    "logging": "What the agent logs, to stdout.",
    "time": "Whether the computer's clock can be believed.",
    "storage": "The store, one SQLite file, and the room it may take.",
}

SECTIONS: dict[str, dict[str, Setting]] = {
    "sensors": {
        "poll_interval_seconds": Setting(
            float, 5.0, "time between two polls of what the agent asks", 0.01, 86400
        ),
        "on_error": Setting(
            str,
            "zero",
            "what a failed poll stores: a 0.0 of quality bad, or nothing",
            choices=("zero", "skip"),
        ),
    },
    "windows": {
        "default_size": Setting(
            int, 1000, "values kept in memory per device", 1, 1_000_000, unit="values"
        ),
        "dtype": Setting(
            str, "d", "array typecode of these values: float or double", choices=("f", "d")
        ),
    },
    "policies": {
        "keep_days": Setting(
            float, 0.0, "how long readings are kept; 0: until there is no room", 0, 36500
        ),
        "summary_keep_days": Setting(
            float, 0.0, "how long summaries are kept; 0: until there is no room", 0, 36500
        ),
        "event_keep_days": Setting(
            float, 0.0, "how long events and gaps are kept; 0: until there is no room", 0, 36500
        ),
        "on_full_bulk": Setting(
            str,
            "drop_oldest",
            "what gives way of class bulk if there is no room",
            choices=_ON_FULL,
        ),
        "on_full_telemetry": Setting(
            str,
            "drop_oldest",
            "what gives way of class telemetry, once there is no bulk to evict",
            choices=_ON_FULL,
        ),
        "on_full_event": Setting(
            str,
            "drop_oldest",
            "what gives way of class event, once there is nothing else",
            choices=_ON_FULL,
        ),
    },
    "cloud": {
        "enabled": Setting(bool, False, "whether readings are uploaded"),
        "endpoint": Setting(str, "", "URL that takes POSTed batches", is_url=True),
        "api_key": Setting(str, "", "sent as a bearer token; empty: none is", is_secret=True),
        "timeout_seconds": Setting(float, 30.0, "longest wait for a reply", 0.1, 600),
        "batch_size": Setting(int, 500, "most readings in one POST", 1, 10_000, unit="readings"),
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
        "ca_file": Setting(
            str, "", "whom to trust, PEM; empty: whom the system does", is_file=True
        ),
        "cert_file": Setting(str, "", "certificate of this client, PEM", is_file=True),
        "key_file": Setting(str, "", "key of cert_file, PEM; empty: in cert_file", is_file=True),
        "retry_base_seconds": Setting(
            float, 1.0, "first back-off of every sink, with full jitter", 0.01, 60
        ),
        "retry_max_seconds": Setting(float, 300.0, "longest back-off of every sink", 0.01, 86400),
        "queue_max_mb": Setting(
            float, 64.0, "most that queued items take; then the least urgent go", 0.01, 1e5
        ),
    },
    "privacy": {
        "enabled": Setting(bool, True, "whether the policy is in force"),
        "default": Setting(
            str,
            "allow",
            "what happens to what no rule fits; drop is deny",
            choices=("allow", "deny", "drop"),
        ),
        "hash_key": Setting(
            str, "", "secret of this installation, for action hash", is_secret=True
        ),
        "hash_key_file": Setting(
            str,
            "data/privacy.key",
            "made at the start if hash_key is empty and a rule hashes",
            is_path=True,
        ),
    },
    "health": {
        "enabled": Setting(bool, True, "whether the page, /health and /metrics are served"),
        "host": Setting(
            str, "127.0.0.1", "address to listen on; beyond loopback, only with a token"
        ),
        "port": Setting(int, 8080, "port to listen on; 0: any free one", 0, 65535),
        "token": Setting(
            str, "", "bearer token that a request must have; empty: none", is_secret=True
        ),
        "cert_file": Setting(
            str, "", "certificate, PEM; empty: the connection is not encrypted", is_file=True
        ),
        "key_file": Setting(str, "", "its key, PEM; empty: in cert_file", is_file=True),
        "cors_origins": Setting(
            str, "", "whose pages may read it, as https://ops.example; several: a comma between"
        ),
    },
    "logging": {
        "level": Setting(
            str,
            "INFO",
            "least severity that is logged",
            choices=("DEBUG", "INFO", "WARNING", "ERROR"),
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
        "path": Setting(
            str, "data/edge_store.db", "the store, from the config file's folder", is_path=True
        ),
        "commit_interval_ms": Setting(
            int, 1000, "longest wait of a reading for its commit", 10, 2000
        ),
        "commit_max": Setting(
            int, 500, "readings that make a commit due", 1, 100_000, unit="readings"
        ),
        "max_mb": Setting(
            float, 0.0, "most disk that the store and its WAL take; 0: see min_free_mb", 0, 1e7
        ),
        "min_free_mb": Setting(
            float, 200.0, "disk that is to stay free; 0: all of it may be used", 0, 1e7
        ),
        "keep_mb": Setting(
            float,
            64.0,
            "what of the store is never evicted because others fill the disk",
            0,
            1e7,
        ),
        "high_water": Setting(float, 0.95, "part of the room at which eviction begins", 0.1, 1.0),
        "low_water": Setting(float, 0.90, "part of the room at which eviction ends", 0.05, 1.0),
    },
}


def origins(health: dict[str, Any]) -> list[str]:
    """Return the origins that a [health] section names."""
    return [one.strip() for one in health["cors_origins"].split(",") if one.strip()]
