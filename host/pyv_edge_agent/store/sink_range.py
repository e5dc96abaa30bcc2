"""Which readings a sink has: a cursor, and the stretches behind it that came out of order.

Newest data is sent first (the live lane) and what had to wait meanwhile behind it (the
backlog), so what is acknowledged is not one stretch. Ids are of readings, inclusive.
"""

from dataclasses import dataclass, field, replace

LIVE = "live"
BACKLOG = "backlog"

# More stretches than this are not begun: then all goes in order.
STRETCHES_MAX = 32
PARKED_MAX = 32  # batches


@dataclass
class Planned:
    """A batch that is, or is about to be, under way."""

    first_id: int
    last_id: int
    key: str
    is_parked: bool = False  # what is behind it goes before; not known to the disk


@dataclass
class SinkRange:
    """What one sink has, is being sent and lacks."""

    cursor: int = 0  # it has every reading up to here
    acked: list[tuple[int, int]] = field(default_factory=list)  # and these, in order, apart
    batches: list[Planned] = field(default_factory=list)
    live_first: int = 0  # what is older is backlog; 0: nothing is

    def copy(self) -> "SinkRange":
        """Return one that can be changed while this one stands."""
        batches = [replace(one) for one in self.batches]
        return SinkRange(self.cursor, list(self.acked), batches, self.live_first)

    def lane(self, planned: Planned) -> str:
        """Return the lane on which a batch goes."""
        return LIVE if planned.first_id >= self.live_first else BACKLOG

    def planned(self, lane: str) -> Planned | None:
        """Return the batch that is planned on a lane, and not parked."""
        return self._first(lane, is_parked=False)

    def parked(self, lane: str) -> Planned | None:
        """Return the first batch that is parked on a lane."""
        return self._first(lane, is_parked=True)

    def _first(self, lane: str, *, is_parked: bool) -> Planned | None:
        fitting = (one for one in self.batches if self.lane(one) == lane)
        return next((one for one in fitting if one.is_parked is is_parked), None)

    def holes(self, last_id: int) -> list[tuple[int, int]]:
        """Return the stretches up to `last_id` that are neither acknowledged nor planned."""
        taken = sorted([*self.acked, *((one.first_id, one.last_id) for one in self.batches)])
        found, at = [], self.cursor + 1
        for first, last in taken:
            if first > at:
                found.append((at, first - 1))
            at = max(at, last + 1)
        if at <= last_id:
            found.append((at, last_id))
        return found

    def hole(self, lane: str, last_id: int) -> tuple[int, int] | None:
        """Return the oldest stretch that is to be planned on a lane."""
        for first, last in self.holes(last_id):
            if lane == BACKLOG:
                if first < self.live_first:
                    return first, min(last, self.live_first - 1)
            elif last >= self.live_first:
                return max(first, self.live_first), last
        return None

    def acknowledge(self, first_id: int, last_id: int) -> None:
        """Note that the sink has a stretch, or that there is nothing left of it to have."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted([*self.acked, (first_id, last_id)]):
            if first <= self.cursor + 1:
                self.cursor = max(self.cursor, last)
            elif merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        self.acked = merged
        self.batches = [
            one for one in self.batches if not first_id <= one.first_id <= one.last_id <= last_id
        ]

    def park(self, key: str) -> None:
        """Let the batch of that key wait for all others, unless too many do already."""
        if sum(one.is_parked for one in self.batches) < PARKED_MAX:
            for one in self.batches:
                one.is_parked |= one.key == key

    def unpark(self) -> None:
        """Let no batch wait for others any more."""
        for one in self.batches:
            one.is_parked = False

    def turn_lanes(self, last_id: int, live_max: int) -> None:
        """Let what waits be backlog if it is more than `live_max`; end a backlog that is sent."""
        if self.live_first and self.cursor + 1 >= self.live_first:
            self.live_first = 0
        waiting = sum(
            last - max(first, self.live_first) + 1
            for first, last in self.holes(last_id)
            if last >= self.live_first
        )
        if waiting > live_max and len(self.acked) < STRETCHES_MAX:
            self.live_first = last_id + 1
