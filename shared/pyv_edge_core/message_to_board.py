"""The fields of the messages that a host sends: what a board parses. See `message`."""

from . import message

# type: (name, fields behind the tag)
FIELDS = {
    message.WELCOME: ("Welcome", "boot window telemetry_resume events_resume host"),
    message.ACK: ("Ack", "stream flags committed wanted"),
    message.TIME_REQUEST: ("TimeRequest", "token"),
    message.HELLO_REQUEST: ("HelloRequest", "challenge_a challenge_b"),
    message.REFUSAL: ("Refusal", "reason version_min version_max retry_s"),
    message.COMMAND: ("Command", "boot request until_s op target value"),
    message.CONFIG: ("Config", "boot request size hash offset content"),
}
