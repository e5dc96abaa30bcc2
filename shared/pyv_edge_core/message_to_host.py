"""The fields of the messages that a board sends: what a host parses. See `message`."""

from . import message

# type: (name, fields behind the tag)
FIELDS = {
    message.HELLO: (
        "Hello",
        (
            "boot uptime_s uptime_ms version_min version_max reset_cause flags channel_count"
            " channels_crc telemetry_first telemetry_next events_first events_next capacity"
            " dropped_total config_hash policy_hash firmware_hash boots greeting challenge_a"
            " challenge_b last_boot last_sampled last_denied device board firmware core"
        ),
    ),
    message.CHANNELS: ("Channels", "first entries"),
    message.DATA: ("Data", "stream first_seq base_s base_ms records"),
    message.GAP: ("Gap", "stream cause first_seq last_seq"),
    message.TIME_RESPONSE: ("TimeResponse", "token uptime_s uptime_ms"),
    message.VITALS: (
        "Vitals",
        (
            "uptime_s uptime_ms flags sampled_total denied_total dropped_total late_total"
            " sensor_errors_total resends_total frames_bad_total errors_total refused_total"
            " skipped_total unsent_total telemetry_next held heap_free loop_lag_ms_max"
            " pages pages_written_total pages_dropped_total pages_failed_total"
            " pages_refused_total"
        ),
    ),
    message.LOG: ("Log", "level text"),
    message.RESULT: ("Result", "request code value text"),
}

GAP_CAUSES = ("unknown", "overwritten", "released")
RESET_CAUSES = ("unknown", "power", "pin", "watchdog", "soft", "deep sleep")
