"""A store with its upkeep, filled as the agent would, on a clock of the test's."""

from host.fakes import UTC_MS, FakeClock
from host.test_store import info, query
from pyv_edge_agent.channel_policy import ChannelPolicies
from pyv_edge_agent.store import Limits, SQLiteStore, Upkeep, WriteBatch, read_ledger, verify

DAY_MS = 86_400_000


class StoreRig:
    """Readings of one board with three channels: temp, count, power."""

    def __init__(self, path, policies=None, limits=None, free=None):
        self.path = path
        self.clock = FakeClock()
        self.policies = ChannelPolicies(policies)
        self.limits = limits
        self.free = free
        self.seq = 0
        self.open()

    def open(self):
        self.store = SQLiteStore(self.path, self.clock)
        self.store.apply_policies(self.policies)
        self.upkeep = Upkeep(self.store, self.limits, self.free)
        self.opened = self.store.open_boot(info(), UTC_MS)
        self.seq = self.opened.next_seq[0]

    def reopen(self, is_crash=False):
        if is_crash:
            self.store.abandon()
        else:
            self.close()
        self.open()

    def close(self):
        self.store.close()

    def write_config(self, more=""):
        """Write an edge.toml for commands beside the store; return its folder."""
        folder = self.path.parent
        (folder / "edge.toml").write_text(f'[storage]\npath = "{self.path.name}"\n{more}')
        return folder

    def add(self, count, channel=0, step_ms=1000, quality=0, value=None, refuse=False):
        """Store `count` readings, the clock going on by `step_ms` for each."""
        batch = WriteBatch()
        progress = batch.stream(self.opened.boot_id, 0, self.seq)
        for _ in range(count):
            batch.readings.append(
                (
                    *(self.opened.channel_ids[channel], self.opened.boot_id, 0, self.seq),
                    *(self.clock.utc_ms(), 2, quality),
                    self.seq if value is None else value,
                )
            )
            self.seq += 1
            self.clock.advance(step_ms)
        progress.move(stored=count)
        if refuse:
            self.upkeep.refuse(batch)
        self.store.commit(batch)

    def mixed(self, count, step_ms=1000):
        """Store readings of all three channels in turn."""
        batch = WriteBatch()
        progress = batch.stream(self.opened.boot_id, 0, self.seq)
        for turn in range(count):
            channel = self.opened.channel_ids[turn % 3]
            batch.readings.append(
                (channel, self.opened.boot_id, 0, self.seq, self.clock.utc_ms(), 2, 0, turn)
            )
            self.seq += 1
            self.clock.advance(step_ms)
        progress.move(stored=count)
        self.store.commit(batch)

    def keep_up(self, **more):
        """Do all the upkeep that is due."""
        steps = 0
        while self.upkeep.step(self.clock.utc_ms(), **{"is_time_right": True, **more}):
            steps += 1
            assert steps < 10_000, "upkeep does not come to an end"
        return steps

    def minute(self, **more):
        self.clock.advance(60_000)
        return self.keep_up(**more)

    def rows(self, statement):
        return query(self.store, statement)

    def ledger(self):
        self.store.sinks.flush()
        found = read_ledger(self.path)
        assert found.is_balanced, found.to_dict()
        return found

    def verdict(self, checkpoint=None):
        return verify(self.path, checkpoint)

    def items(self):
        return [item["payload"] for item in self.store.items.due("", 10_000)]

    def send_all(self, sink="http", count=500):
        """Let a sink have everything."""
        total = 0
        for lane in ("live", "backlog"):
            while batch := self.store.sinks.next_batch(sink, count, lane):
                total += len(batch.rows)
                assert self.store.sinks.acknowledge(sink, batch)
        return total


SMALL = Limits(max_size=3_000_000, high_water=0.9, low_water=0.7)
