"""How many bytes a reading takes on the wire, and what else goes over it.

Both ends of a real session at 100 readings a second for ten minutes of their
own clock, committing once a second and telling VITALS once a minute. Flags,
headers, FCS and stuffing are counted, since whole frames are. Repeats are of
other values, which need other stuffing.
"""

import re

from pyv_edge_core import message
from pyv_edge_core.record_ring import BLOCK_RECORDS

from . import senml
from .figure import Measured
from .link_pair import LinkPair, push, vitals
from .link_readings import INTERVAL_MS, START_MS, Taken, take

REPEATS = 5
READINGS = 60_000
_CAPACITY = 2048
_COMMIT_MS = 1000
_VITALS_MS = 60_000


def measure() -> list[Measured]:
    """Measure bytes per reading of DATA, of what else is said, of all of it, and of SenML."""
    return measured(READINGS, REPEATS)


def measured(count: int, repeats: int) -> list[Measured]:
    """Return the figure and its lines from `repeats` runs of `count` readings."""
    found: dict[str, list[float]] = {}
    for seed in range(1, repeats + 1):
        readings = list(take(count, seed))
        for name, size_bytes in _sizes(readings).items():
            found.setdefault(name, []).append(size_bytes / count)
    return [Measured(name, "bytes", values) for name, values in found.items()]


def _sizes(readings: list[Taken]) -> dict[str, int]:
    """Return the bytes that all `readings` take, by the name of the figure."""
    sent = run(readings)
    packs = [readings[at : at + BLOCK_RECORDS] for at in range(0, len(readings), BLOCK_RECORDS)]
    found = {"link.wire_bytes_per_reading": sent.pop(("board", message.DATA))}
    for (sender, kind), size_bytes in sorted(sent.items()):
        found[f"link.wire_bytes.{sender}_{_name(kind)}"] = size_bytes
    found["link.wire_bytes.both_directions"] = sum(found.values())
    found["link.wire_bytes.senml_json_lines"] = sum(len(senml.json_line(pack)) for pack in packs)
    found["link.wire_bytes.senml_cbor"] = sum(len(senml.cbor(pack)) for pack in packs)
    return found


def _name(kind: int) -> str:
    """Return what a type of message is called: "time_response"."""
    return re.sub(r"(?<=.)([A-Z])", r"_\1", message.shape(kind).__name__).lower()


def run(readings: list[Taken]) -> dict[tuple[str, int], int]:
    """Deliver `readings`; return the bytes on the wire by (who sends, type of message).

    The greeting, once per boot, is left out. Raises RuntimeError if any is not acknowledged.
    """
    pair = LinkPair(_CAPACITY, START_MS)
    pair.wire_bytes.clear()
    for number, taken in enumerate(readings):
        if not push(pair.ring, taken):
            raise RuntimeError("the ring has overflowed")
        elapsed_ms = number * INTERVAL_MS
        if elapsed_ms % _VITALS_MS == 0:
            pair.board.report(vitals(pair.board, pair.ring, pair.now_ms))
        pair.step()
        if elapsed_ms % _COMMIT_MS == 0:
            pair.commit()
    for _ in range(200):
        pair.step()
        pair.commit()
    if len(pair.ring):
        raise RuntimeError(f"{len(pair.ring)} readings are not acknowledged")
    return dict(pair.wire_bytes)
