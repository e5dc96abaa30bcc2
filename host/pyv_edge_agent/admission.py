"""Which board may speak on which link: what pins it, and one link at a time per device id.

A link's port says where a board is, not which one it is. The first board under
an alias is taken; from then on another one is quarantined, because its readings
would be stored as the first one's place. Belongs to the agent's thread.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyv_edge_core import session

from .clock import Clock
from .link import SerialLink
from .store import SQLiteStore

HEARD_MS = session.TIME_INTERVAL_MS + 2000  # a board that is there is heard that often


@dataclass(frozen=True)
class Pin:
    """What the configuration says of the board on a link."""

    device_id: str = ""  # the only one that is taken; "": see accept_new
    accept_new: bool = False  # whether another than the first one is taken


def pins(devices: Iterable[dict[str, Any]]) -> dict[str, Pin]:
    """Return what the configuration says of the boards among `devices`, by alias."""
    return {
        device["name"]: Pin(device["device_id"], device["accept_new"])
        for device in devices
        if device["ingest_type"] == "serial"
    }


@dataclass(frozen=True)
class Objection:
    """Why a board is not taken."""

    reason: int  # session.REFUSED_DEVICE, REFUSED_TWICE
    retry_s: int
    problem: str  # one line


class Admission:
    """Decides about each greeting."""

    def __init__(self, store: SQLiteStore, clock: Clock, pins: Mapping[str, Pin]) -> None:
        """Decide with `pins`, by alias; one without has none."""
        self._store = store
        self._clock = clock
        self.pins = pins
        self._present: dict[SerialLink, tuple[str, int]] = {}  # device and boot last taken

    def objection(self, link: SerialLink, hello: Any) -> Objection | None:
        """Return why the board that says `hello` is not taken, None if it is.

        Tells the other link if a device id is on two. Raises StoreError.
        """
        problem = self._foreign(link.name, hello.device)
        if problem:
            return Objection(session.REFUSED_DEVICE, session.REFUSED_S, problem)
        now_ms = self._clock.monotonic_ms()
        for other, (device, boot) in self._present.items():
            # The same boot means that the board was moved: it is not in two places.
            is_twice = other is not link and device == hello.device and boot != hello.boot
            if is_twice and other.is_heard(now_ms, HEARD_MS):
                remedy = "give one of the two another device_id"
                other.warn_twice(f"device id {device!r} is also on {link.name}; {remedy}")
                return Objection(
                    session.REFUSED_TWICE,
                    session.REFUSED_TWICE_S,
                    f"device id {device!r} is in use on {other.name}; {remedy}",
                )
        return None

    def _foreign(self, alias: str, device: str) -> str:
        pin = self.pins.get(alias, Pin())
        if pin.device_id:
            if pin.device_id == device:
                return ""
            return (
                f"board {device!r} is quarantined: device_id is {pin.device_id!r};"
                f" connect that one, or set device_id = {device!r}"
            )
        if pin.accept_new:
            return ""
        known = self._store.boards_called(alias)
        if not known or device in known:
            return ""
        return (
            f"board {device!r} is quarantined: {alias} was {known[-1]!r} so far;"
            f" connect that one, or set device_id = {device!r}, or accept_new = true for any"
        )

    def taken(self, link: SerialLink, hello: Any) -> None:
        """Note that the board is welcomed."""
        self._present[link] = (hello.device, hello.boot)

    def gone(self, link: SerialLink) -> None:
        """Note that no board of that link is welcome any more."""
        self._present.pop(link, None)
