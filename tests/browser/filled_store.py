"""A store with a day and some hours of readings of `porch.temp`, from some time ago."""

from host.fakes import UTC_MS
from host.store_rig import StoreRig
from pyv_edge_agent.store import WriteBatch

SENSOR = "porch.temp"
START_MS = UTC_MS
COUNT = 110_000  # a second apart; more than are looked at for one chart
PIECE = 10_000  # of which the last one is bad
LOST = 7  # behind the second piece, in so many seconds
END_MS = START_MS + (COUNT + LOST) * 1000


def fill(path):
    """Fill a new store."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rig = StoreRig(path)
    for first in range(0, COUNT, PIECE):
        _add(rig, [_value(number) for number in range(first, first + PIECE - 1)])
        rig.add(1, quality=2, value=0)
        if first == PIECE:
            _lose(rig)
    rig.keep_up()
    rig.close()


def _value(number):
    """Return hundredths of a degree that neither rise nor fall."""
    return 2000 + number * 7919 % 1000 - number % 3


def _add(rig, values):
    batch = WriteBatch()
    progress = batch.stream(rig.opened.boot_id, 0, rig.seq)
    channel_id, boot_id = rig.opened.channel_ids[0], rig.opened.boot_id
    for number in values:
        batch.readings.append((channel_id, boot_id, 0, rig.seq, rig.clock.utc_ms(), 2, 0, number))
        rig.seq += 1
        rig.clock.advance(1000)
    progress.move(stored=len(values))
    rig.store.commit(batch)


def _lose(rig):
    batch = WriteBatch()
    boot_id, first, last = rig.opened.boot_id, rig.seq, rig.seq + LOST - 1
    batch.gaps.append((boot_id, 0, first, last, "overwritten", rig.clock.utc_ms(), 0))
    batch.stream(boot_id, 0, first).move(lost=LOST)
    rig.seq += LOST
    rig.clock.advance(LOST * 1000)
    rig.store.commit(batch)
