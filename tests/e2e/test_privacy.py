"""A board's own policy and rules, over a real terminal: what is dropped never leaves it."""

import sqlite3
from struct import iter_unpack

from pyv_edge_core import channel_table, message
from pyv_edge_core.channel_table import AlertRow
from pyv_edge_core.frame import FrameDecoder
from pyv_edge_core.reading import STREAM_EVENTS, STREAM_TELEMETRY
from pyv_edge_core.record_ring import RECORD_FORMAT
from rig import Cable, numbers, serial_device, wait_for

INTERVAL_MS = 40
SIMULATED = {
    "type": "simulated",
    "channel": "temperature",
    "low": 1800,
    "high": 3200,
    "period_s": 2,
}
PRIVACY = {
    "rules": [
        {"channel": "memory_available", "action": "drop"},
        {"pattern": "*.temperature", "action": "quantize", "step": "0.5"},
        {"channel": "cpu_busy", "action": "local_only"},
    ]
}
RULES = [
    {
        "name": "hot",
        "sensor": "*.temperature",
        "above": 29,
        "clear": 28,
        "severity": "critical",
        "message": "{sensor}: {value} {unit}, too hot",
    },
    {"name": "memory", "sensor": "*.memory_available", "above": 0},
]


class Wire:
    """Everything that a board has said, as bytes and as messages."""

    def __init__(self):
        self.bytes = bytearray()
        self.messages = []
        self._decoder = FrameDecoder()

    def tap(self, data):
        self.bytes += data
        self.messages += self._decoder.feed(data)
        return data

    def of(self, kind):
        return [one for one in self.messages if len(one) > 1 and one[1] == kind]

    @property
    def table(self):
        """The rows of the channel table, by place."""
        rows = {}
        for payload in self.of(message.CHANNELS):
            for place, row in enumerate(channel_table.parse(payload[5:]), payload[4]):
                rows[place] = row
        return rows

    def records(self, stream):
        """Return (place in the table, flags, span, value) of all records, sent again or not."""
        found = []
        for payload in self.of(message.DATA):
            _, data = message.parse(payload)
            if data.stream == stream:
                found += iter_unpack(RECORD_FORMAT, data.records)
        return found


def run_to_its_end(board, agents, folder, **settings):
    """Let `board` say all it has to an agent; return (the wire, the agent, its ledger)."""
    board.start()
    wire = Wire()
    cable = Cable(board.path, folder / "usb")
    cable.towards_host = wire.tap
    cable.plug()
    agent = agents(
        {
            "sensors": {"devices": [serial_device("porch", cable.path)]},
            "rules": [{"name": "never", "above": 1e9}],
            **settings,
        }
    )
    agent.start()
    ledger = agent.wait_finished()
    assert agent.stop() == 0
    cable.cut()
    return wire, agent, ledger


def test_what_the_board_drops_never_crosses_the_wire(boards, agents, receiver, tmp_path):
    board = boards(
        "north",
        sample_for_ms=3000,
        interval_ms=INTERVAL_MS,
        privacy=PRIVACY,
        rules=RULES,
        sensors=[
            {**SIMULATED, "interval_ms": INTERVAL_MS},
            {"type": "procfs", "interval_ms": INTERVAL_MS},
        ],
    )
    cloud = {"enabled": True, "endpoint": receiver.url, "retry_max_seconds": 0.2}
    wire, agent, ledger = run_to_its_end(board, agents, tmp_path, cloud=cloud)

    # The wire: no record of the dropped channel, no value that isn't a multiple of the step.
    table = wire.table
    places = {row.name: place for place, row in table.items() if not isinstance(row, AlertRow)}
    sent = wire.records(STREAM_TELEMETRY)
    assert {record[0] for record in sent} == {
        place for name, place in places.items() if name != "memory_available"
    }
    temperatures = [record[3] for record in sent if record[0] == places["temperature"]]
    assert {value % 50 for value in temperatures} == {0}
    assert len(set(temperatures)) > 5
    alerts = {place: row for place, row in table.items() if isinstance(row, AlertRow)}
    assert [row.rule for row in alerts.values()] == ["hot"]  # none on what is dropped
    assert {record[0] for record in wire.records(STREAM_EVENTS)} == set(alerts)

    # The ledger: what the board denied is in the balance, before it was ever numbered.
    assert ledger.is_balanced
    readings, events = ledger.boots
    assert (readings.stream, events.stream) == ("telemetry", "events")
    assert readings.denied * 4 == readings.sampled >= 4 * 60
    assert readings.stored == readings.sampled - readings.denied
    assert (readings.lost, readings.in_flight, readings.duplicates) == (0, 0, 0)
    (found,) = numbers(agent.db).values()
    assert found == list(range(readings.stored))
    (sink,) = ledger.sinks
    assert sink.withheld == readings.denied  # the local channel: as many
    assert sink.acknowledged == readings.stored - sink.withheld
    assert receiver.store.stats()["unique"] == sink.acknowledged

    # The board's alerts are events, with its rule's name, severity and words.
    connection = sqlite3.connect(agent.db)
    rows = connection.execute(
        "SELECT sensor, events.rule, events.severity, events.state, events.value, events.message,"
        " seq FROM events JOIN event ON event.id = events.id ORDER BY seq"
    ).fetchall()
    sensors = {row[0] for row in connection.execute("SELECT sensor FROM readings")}
    connection.close()
    assert sensors == {"porch.temperature", "porch.load_1m", "porch.cpu_busy"}
    assert events.stored == len(rows) >= 2
    assert [row[6] for row in rows] == list(range(len(rows)))
    assert {row[:3] for row in rows} == {("porch.temperature", "hot", "critical")}
    assert [row[3] for row in rows] == (["firing", "resolved"] * len(rows))[: len(rows)]
    for _, _, _, state, value, text, _ in rows:
        assert value % 0.5 == 0
        assert (value > 29) == (state == "firing")
        fired = f"porch.temperature: {value:g} Cel, too hot"
        resolved = f"hot is over: porch.temperature is {value:g} Cel"
        assert text == (fired if state == "firing" else resolved)


def test_events_come_before_the_readings_that_waited(boards, agents, tmp_path):
    """Nobody listens until the board has a backlog: its alerts are the first that are sent."""
    board = boards(
        "north",
        sample_for_ms=2000,
        sensors=[{**SIMULATED, "interval_ms": 20}],
        rules=[{"name": "any", "sensor": "*.temperature", "above": 0, "severity": "info"}],
    )
    wire, agent, ledger = run_to_its_end(board, agents, tmp_path)
    streams = [message.parse(payload)[1].stream for payload in wire.of(message.DATA)]
    assert streams[0] == STREAM_EVENTS
    assert streams.count(STREAM_EVENTS) == 1
    connection = sqlite3.connect(agent.db)
    assert connection.execute("SELECT seq, rule, severity, state FROM event").fetchall() == [
        (0, "any", "info", "firing")
    ]
    connection.close()
    assert ledger.is_balanced


def test_board_with_a_policy_it_cannot_keep_says_so_and_samples_nothing(boards, agents):
    board = boards("north", privacy={"rules": [{"pattern": "*", "action": "quantize"}]})
    board.start()
    agent = agents({"sensors": {"devices": [serial_device("porch", board.path)]}})
    agent.start()
    wait_for(lambda: "privacy.rules[0].step: is missing" in agent.text(), "the board's own words")
    assert agent.ledger().boots == []
    assert agent.stop() == 0
