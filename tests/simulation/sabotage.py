"""Ways to break what is simulated: each must be found by the invariant that it breaks."""

from dataclasses import replace

from pyv_edge_agent.dating import TimedBatch
from pyv_edge_core import message
from pyv_edge_core.frame import FrameDecoder, encode
from pyv_edge_core.seal import content

_SPARED = 20  # commits, batches, frames: first all is well for a while


class SpoilingStore:
    """A store that does what it should, but for what a subclass says."""

    spared = _SPARED  # commits of each run of the agent

    def __init__(self, store):
        self._store = store
        self._commits = 0

    def __getattr__(self, name):
        return getattr(self._store, name)

    def commit(self, batch):
        self._commits += 1
        if self._commits > self.spared:
            batch = self.spoil(batch)
        self._store.commit(batch)

    def spoil(self, batch):
        raise NotImplementedError


class LosingStore(SpoilingStore):
    """Forgets the last reading of a commit."""

    def spoil(self, batch):
        return replace(batch, readings=batch.readings[:-1])


class RepeatingStore(SpoilingStore):
    """Writes the last reading of a commit twice."""

    def spoil(self, batch):
        return replace(batch, readings=[*batch.readings, *batch.readings[-1:]])


class ShufflingStore(SpoilingStore):
    """Writes the readings of a commit backwards."""

    def spoil(self, batch):
        return replace(batch, readings=batch.readings[::-1])


class GaplessStore(SpoilingStore):
    """Forgets gap records."""

    spared = 0  # a gap is the first thing that a new run hears of

    def spoil(self, batch):
        return replace(batch, gaps=[])


class DeafStore(SpoilingStore):
    """Forgets events of the host's rules."""

    def spoil(self, batch):
        return replace(batch, events=[event for event in batch.events if event[2] is not None])


class MuteStore(SpoilingStore):
    """Forgets events of the boards' rules."""

    def spoil(self, batch):
        return replace(batch, events=[event for event in batch.events if event[2] is None])


class MiscountingStore(SpoilingStore):
    """Counts a reading as denied that it has stored."""

    def spoil(self, batch):
        progress = {}
        for key, one in batch.progress.items():
            is_wrong = key[1] == 0 and one.stored > 0
            progress[key] = replace(
                one, stored=one.stored - is_wrong, denied=one.denied + is_wrong
            )
        return replace(batch, progress=progress)


class HastyStore(SpoilingStore):
    """Says that a batch is committed when only the one before it is."""

    def __init__(self, store):
        super().__init__(store)
        self._kept = None

    def commit(self, batch):
        kept, self._kept = self._kept, batch
        if kept is not None:
            self._store.commit(kept)


def alter_frames():
    """Return a wire that changes a value now and then and mends the FCS."""
    frames = [0]

    def tamper(data):
        payloads = FrameDecoder().feed(data)
        if not payloads or payloads[0][1] != message.DATA or payloads[0][4] != 0:
            return data
        frames[0] += 1
        if frames[0] <= _SPARED:
            return data
        payload = bytearray(payloads[0])
        payload[-4] ^= 1  # the lowest byte of the last value
        return encode(bytes(payload))

    return tamper


def double_frames():
    """Return a wire on which everything comes twice after a while."""
    chunks = [0]

    def tamper(data):
        chunks[0] += 1
        return data if chunks[0] <= _SPARED else data * 2

    return tamper


def trust_all(link):
    """Let a link believe what is unsealed, or wrongly sealed."""
    challenge = link.dialogue.challenge
    check = challenge.open

    def open_all(sealed):
        return check(sealed) or content(sealed) or bytes(sealed)

    challenge.open = open_all


def doubling_inbox():
    """Return a wrapper that hands one batch on twice, as if it were one."""
    batches = [0]

    def wrap(put):
        def put_twice(link, event):
            if isinstance(event, TimedBatch) and event.stream == 0:
                batches[0] += 1
                if batches[0] == _SPARED:
                    event = replace(event, records=event.records * 2)
            return put(link, event)

        return put_twice

    return wrap


def closing_inbox():
    """Return a wrapper that lets nothing through after a while."""
    events = [0]

    def wrap(put):
        def put_until(link, event):
            events[0] += 1
            return events[0] <= _SPARED * 2 and put(link, event)

        return put_until

    return wrap


class CreepingClock:
    """A clock whose UTC runs a thousandth fast."""

    def __init__(self, clock):
        self._clock = clock
        self._began_ms = clock.monotonic_ms()

    def __getattr__(self, name):
        return getattr(self._clock, name)

    def utc_ms(self):
        return self._clock.utc_ms() + (self._clock.monotonic_ms() - self._began_ms) // 1000
