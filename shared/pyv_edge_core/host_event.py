"""What a host learns from a board: what `HostSession.receive` returns."""

from collections import namedtuple

Greeting = namedtuple("Greeting", ("hello", "channels"))
"""A board wants to be welcomed: answer with `HostSession.welcome()`."""
Batch = namedtuple("Batch", ("stream", "first_seq", "base_s", "base_ms", "records", "boot"))
"""Readings in order, never handed on before: `records` is whole slots, see `ring`."""
Loss = namedtuple("Loss", ("stream", "cause", "first_seq", "last_seq", "boot"))
"""Numbers that the board can no longer send, and why (message_to_host.GAP_CAUSES)."""
TimeExchange = namedtuple(
    "TimeExchange", ("sent_ms", "received_ms", "uptime_s", "uptime_ms", "boot", "end_ms")
)
"""The board's uptime was read after `sent_ms` and before `received_ms`.

Of a `boot` that is over, it is how long ago, at least, that had run for `end_ms`, the uptime
up to which it is known; -1 of one that isn't.
"""
Report = namedtuple("Report", ("kind", "message", "boot"))
"""VITALS or LOG, as parsed."""
Refusal = namedtuple("Refusal", ("hello", "reason", "problem"))
"""A board that was refused before anybody was asked: session.REFUSED_VERSION, REFUSED_GREETING."""
