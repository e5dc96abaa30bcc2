"""The figures that are metrics: what each is called, and where it stands in the report.

A figure with a label of its own is one series of a family; the family's name and sentence are
those of its first. Names follow Prometheus's conventions: base units, _total for what only rises.
"""

from typing import Any, NamedTuple

PREFIX = "pyv_edge_"
COUNTER, GAUGE = "counter", "gauge"

# area of the report: the label that tells its rows apart; "": it has one only
AREAS = {
    "agent": "",
    "ingest": "",
    "privacy": "",
    "rules": "",
    "time": "",
    "store": "",
    "sinks": "sink",
    "devices": "device",
    "links": "device",
    "vitals": "device",
}


class Figure(NamedTuple):
    """One figure of an area."""

    name: str
    kind: str
    area: str
    key: str  # in the area's table; with dots, in a table within it
    doc: str
    label: tuple[str, str] | None = None  # of its own: name and value
    scale: float = 1.0

    def value(self, table: dict[str, Any]) -> float | None:
        """Return what a row of the area has for it, None if it has nothing."""
        found: Any = table
        for part in self.key.split("."):
            if not isinstance(found, dict) or part not in found:
                return None
            found = found[part]
        return None if found is None else float(found) * self.scale


def _dropped(area: str, key: str, cause: str) -> Figure:
    doc = "Readings that are stored no more, or never were, by cause."
    return Figure("readings_dropped_total", COUNTER, area, key, doc, ("cause", cause))


def _attempt(result: str) -> Figure:
    doc = "Batches that were sent, by what became of them."
    return Figure(
        *("sink_attempts_total", COUNTER, "sinks", f"attempts.{result}", doc, ("result", result))
    )


def _bad_frame(key: str, cause: str) -> Figure:
    doc = "Frames and messages of a board that were not taken, by cause."
    return Figure("link_bad_frames_total", COUNTER, "links", key, doc, ("cause", cause))


def _vital(name: str, kind: str, key: str, doc: str, scale: float = 1.0) -> Figure:
    return Figure(f"board_{name}", kind, "vitals", key, doc, None, scale)


FIGURES: tuple[Figure, ...] = (
    # -- readings
    Figure(
        "readings_ingested_total", COUNTER, "agent", "readings_processed", "Readings taken in."
    ),
    Figure("readings_sampled_total", COUNTER, "ingest", "sampled_total", "Readings sampled."),
    Figure(
        *("readings_aggregated_total", COUNTER, "privacy", "readings_aggregated"),
        "Readings that only summaries may be known of.",
    ),
    _dropped("privacy", "readings_dropped", "denied"),
    _dropped("store", "evicted_total", "evicted"),
    _dropped("store", "rejected_total", "rejected"),
    _dropped("store", "expired_total", "expired"),
    _dropped("agent", "discarded_total", "discarded"),
    Figure(
        *("readings_misplaced_total", COUNTER, "agent", "misplaced_total"),
        "Batches of boards that did not continue their stream; they are sent again.",
    ),
    Figure("polls_failed_total", COUNTER, "agent", "adapter_failures_total", "Polls that failed."),
    Figure(
        *("polls_skipped_total", COUNTER, "agent", "polls_skipped_total"),
        "Polls whose reading there was no room for.",
    ),
    Figure(
        *("polls_missed_total", COUNTER, "agent", "polls_missed_total"),
        "Polls for which it was too late.",
    ),
    Figure(
        "devices_configured", GAUGE, "ingest", "devices_configured", "Devices that are configured."
    ),
    Figure(
        "devices_connected", GAUGE, "ingest", "adapters_connected", "Devices that can be reached."
    ),
    # -- the store
    Figure("commits_total", COUNTER, "agent", "commits_total", "Transactions that are durable."),
    Figure(
        *("commit_failures_total", COUNTER, "agent", "commit_failures_total"),
        "Commits that failed.",
    ),
    Figure("store_size_bytes", GAUGE, "store", "size_bytes", "Size of the store's file."),
    Figure("store_free_bytes", GAUGE, "store", "free_bytes", "Free pages within that file."),
    Figure("store_wal_bytes", GAUGE, "store", "wal_bytes", "Size of its write-ahead log."),
    Figure("store_room_bytes", GAUGE, "store", "room_bytes", "How large the file may become."),
    Figure(
        *("store_disk_free_bytes", GAUGE, "store", "disk_free_bytes"),
        "Free bytes of the disk that the store is on.",
    ),
    Figure(
        *("store_unsummarised_readings", GAUGE, "store", "unsummarised_count"),
        "Readings that are in no summary yet.",
    ),
    Figure(
        *("store_recoveries_total", COUNTER, "store", "recoveries_total"),
        "Times that another file was gone on with.",
    ),
    Figure("queue_items", GAUGE, "store", "queued_items", "Queued items of all sinks."),
    Figure("queue_bytes", GAUGE, "store", "queued_bytes", "Bytes of those items."),
    Figure(
        *("queue_items_dropped_total", COUNTER, "store", "items_expired_total"),
        "Queued items that were dropped, by cause.",
        ("cause", "expired"),
    ),
    Figure(
        *("queue_items_dropped_total", COUNTER, "store", "items_evicted_total"),
        "Queued items that were dropped, by cause.",
        ("cause", "evicted"),
    ),
    Figure("dead_letters", GAUGE, "store", "dead_letters", "Dead letters of all sinks."),
    # -- sinks
    Figure(
        *("sink_pending_readings", GAUGE, "sinks", "pending_readings"),
        "Readings that a sink has not acknowledged.",
    ),
    Figure(
        "sink_pending_items", GAUGE, "sinks", "pending_items", "Queued items that wait for it."
    ),
    Figure("sink_pending_bytes", GAUGE, "sinks", "pending_bytes", "About what those take."),
    Figure(
        *("sink_oldest_pending_seconds", GAUGE, "sinks", "oldest_pending_age_seconds"),
        "Age of the oldest reading that a sink has not acknowledged.",
    ),
    Figure(
        *("sink_readings_delivered_total", COUNTER, "sinks", "readings_delivered_total"),
        "Readings that a sink has accepted.",
    ),
    Figure(
        *("sink_items_delivered_total", COUNTER, "sinks", "items_delivered_total"),
        "Queued items that a sink has accepted.",
    ),
    Figure(
        *("sink_withheld_total", COUNTER, "sinks", "withheld_total"),
        "Readings and items that the policy has kept back.",
    ),
    Figure(
        *("sink_dead_letters_total", COUNTER, "sinks", "dead_total"),
        "Readings and items that a sink has refused for good.",
    ),
    *map(_attempt, ("accepted", "failed", "refused", "too large", "throttled", "unauthorised")),
    Figure(
        *("sink_circuit_open", GAUGE, "sinks", "is_circuit_open"),
        "Whether nothing gets through to a sink.",
    ),
    Figure(
        *("sink_last_success_timestamp_seconds", GAUGE, "sinks", "last_success_time"),
        "When a sink last accepted something.",
    ),
    # -- devices whose adapters bring readings
    Figure(
        *("device_submitted_total", COUNTER, "devices", "submitted_total"),
        "Readings that an adapter has brought.",
    ),
    Figure(
        *("device_duplicates_total", COUNTER, "devices", "known_total"),
        "Of them, those that had been stored before.",
    ),
    Figure(
        *("device_rejected_total", COUNTER, "devices", "rejected_total"),
        "What came and was no reading.",
    ),
    Figure(
        *("device_full_total", COUNTER, "devices", "full_total"),
        "Times that there was no room for what came.",
    ),
    Figure(
        *("device_connected", GAUGE, "devices", "is_connected"),
        "Whether an adapter's source can be reached.",
    ),
    # -- links
    Figure("link_opens_total", COUNTER, "links", "opens_total", "Times the port was opened."),
    Figure(
        *("link_failures_total", COUNTER, "links", "failures_total"),
        "Times that something led to a back-off.",
    ),
    Figure("link_frames_total", COUNTER, "links", "frames_total", "Frames that were whole."),
    _bad_frame("bad_fcs_total", "fcs"),
    _bad_frame("oversize_total", "oversize"),
    _bad_frame("messages_bad_total", "malformed"),
    _bad_frame("messages_unknown_total", "unknown"),
    _bad_frame("messages_stale_total", "stale"),
    _bad_frame("unsealed_total", "unsealed"),
    _bad_frame("forged_total", "forged"),
    _bad_frame("replayed_total", "replayed"),
    _bad_frame("unasked_total", "unasked"),
    Figure(
        *("link_duplicates_total", COUNTER, "links", "duplicates_total"),
        "Readings that had come before.",
    ),
    Figure(
        *("link_resend_requests_total", COUNTER, "links", "resend_requests_total"),
        "Times that a board was asked to send again.",
    ),
    Figure(
        *("link_refused_total", COUNTER, "links", "refused_total"),
        "Times that the agent was too far behind.",
    ),
    Figure(
        *("link_noise_bytes_total", COUNTER, "links", "noise_bytes_total"),
        "Bytes between frames that mean nothing.",
    ),
    # -- what boards say of themselves
    _vital("uptime_seconds", GAUGE, "uptime_s", "How long a board runs."),
    _vital("sampled_total", COUNTER, "sampled_total", "Readings that it has sampled."),
    _vital("denied_total", COUNTER, "denied_total", "Readings that its own policy dropped."),
    _vital("ring_dropped_total", COUNTER, "dropped_total", "Readings that its ring has lost."),
    _vital("late_total", COUNTER, "late_total", "Measurements that it has missed."),
    _vital("sensor_errors_total", COUNTER, "sensor_errors_total", "Measurements that failed."),
    _vital("resends_total", COUNTER, "resends_total", "Times that it has sent again."),
    _vital("frames_bad_total", COUNTER, "frames_bad_total", "Damaged frames that it got."),
    _vital("errors_total", COUNTER, "errors_total", "Errors that it has survived."),
    _vital("ring_readings", GAUGE, "held", "Readings that wait in its ring."),
    _vital("heap_free_bytes", GAUGE, "heap_free", "Free memory of its heap."),
    _vital(
        *("loop_lag_max_seconds", GAUGE, "loop_lag_ms_max"),
        "Longest lag of its loop since it last said so.",
        0.001,
    ),
    _vital("pages", GAUGE, "pages", "Pages of readings on its flash."),
    _vital("pages_written_total", COUNTER, "pages_written_total", "Pages that it has written."),
    _vital("pages_dropped_total", COUNTER, "pages_dropped_total", "Pages without room any more."),
    _vital(
        *("pages_failed_total", COUNTER, "pages_failed_total"),
        "Pages that could not be written or read.",
    ),
    _vital(
        *("pages_refused_total", COUNTER, "pages_refused_total"),
        "Times that the limit of a day kept pages from being written.",
    ),
    # -- rules, time, configuration
    Figure("alerts_fired_total", COUNTER, "rules", "fired_total", "Alerts that fired here."),
    Figure(
        *("alerts_of_boards_total", COUNTER, "rules", "board_events_total"),
        "Events of rules that boards evaluate.",
    ),
    Figure(
        *("alerts_suppressed_total", COUNTER, "rules", "suppressed_total"),
        "Readings that a cooldown or their age has kept from firing.",
    ),
    Figure(
        *("alerts_late_total", COUNTER, "rules", "late_total"),
        "Readings that came too late for rules.",
    ),
    Figure(
        *("clock_synchronised", GAUGE, "time", "is_synchronised"),
        "Whether the computer's clock is known to be right.",
    ),
    Figure("clock_steps_total", COUNTER, "time", "steps_total", "Times that it was set."),
    Figure(
        *("readings_retimed_total", COUNTER, "time", "retimed_total"),
        "Readings whose time was corrected.",
    ),
    Figure(
        "config_reloads_total", COUNTER, "agent", "reloads_total", "Reloads that were asked for."
    ),
    Figure(
        *("config_last_reload_failed", GAUGE, "agent", "is_reload_failed"),
        "Whether the last one failed, so that the configuration before still holds.",
    ),
    Figure(
        *("config_last_reload_success_timestamp_seconds", GAUGE, "agent", "reloaded_time"),
        "When one last succeeded.",
    ),
)
