"""rules test: what would have fired is what the agent's own rules would have made of it."""

import json
import random
from contextlib import closing

import pytest
from host.command import run_host
from host.fakes import UTC_MS, FakeClock
from host.test_alerting import HIGH, Agent
from pyv_edge_agent import exit_status
from pyv_edge_agent.cli import moment
from pyv_edge_agent.cli.selection import OpenedView
from pyv_edge_agent.replay import Replay
from pyv_edge_agent.store import WriteBatch, extract
from pyv_edge_agent.store.channel import channels
from pyv_edge_agent.store.extract import Wanted
from pyv_edge_agent.store.reader import StoreReader
from pyv_edge_core.privacy import PrivacyPolicy
from pyv_edge_core.rule import read_rules

WARM = {"name": "warm", "sensor": "*.temp", "above": 20, "clear": 19}


@pytest.fixture
def site(rig, tmp_path):
    """Return a function that writes a configuration beside the store, and replays."""

    def replay(*args, rules=(WARM,), privacy=(), since=UTC_MS, until=UTC_MS + 3_600_000):
        config = {
            "storage": {"path": "edge.db"},
            "rules": list(rules),
            "privacy": {"rules": list(privacy), "hash_key": "0123456789abcdef"},
        }
        (tmp_path / "c.json").write_text(json.dumps(config))
        times = [moment.show_ms(since), moment.show_ms(until)]
        command = ["rules", "test", "--config", "c.json", "--replay", *times, *args]
        done = run_host(*command, "--json", cwd=tmp_path)
        assert done.returncode == exit_status.DONE, done.stderr
        return json.loads(done.stdout)

    return replay


def told(found):
    """Return (rule, state, seconds since the beginning, value) of each event."""
    return [
        (
            one["rule_name"],
            one["metadata"]["state"],
            round(one["timestamp"] - UTC_MS / 1000),
            one["sensor_readings"][0]["value"] if one["sensor_readings"] else None,
        )
        for one in found["events"]
    ]


def test_levels_fire_resolve_and_are_counted(rig, site):
    for value in (1000, 2100, 1950, 1800, 2500):
        rig.add(1, value=value, step_ms=10_000)
    found = site()
    assert told(found) == [
        ("warm", "firing", 10, 21.0),
        ("warm", "resolved", 30, 18.0),
        ("warm", "firing", 40, 25.0),
    ]
    (rule,) = found["rules"]
    assert rule == {
        "rule": "warm",
        "fired": 2,
        "resolved": 1,
        "firing_ms": 20_000 + 3_600_000 - 40_000,
        "before": 0,
    }
    assert (found["readings"], found["events_total"]) == (5, 3)


def test_time_passes_between_readings_and_behind_the_last(rig, site):
    rig.add(1, value=2100, step_ms=120_000)
    rig.add(1, value=2200, step_ms=1000)
    rules = [
        {"name": "gone", "sensor": "*.temp", "missing": "30s"},
        {**WARM, "name": "long", "for": "60s"},
    ]
    found = site(rules=rules)
    assert [one[:3] for one in told(found)] == [
        ("gone", "firing", 30),
        ("long", "firing", 60),
        ("gone", "resolved", 120),
        ("gone", "firing", 150),
    ]


def test_moments_last_for_no_time(rig, site):
    for value in (1000, 1700, 1800, 2500):
        rig.add(1, value=value)
    found = site(rules=[{"name": "moves", "sensor": "*.temp", "deadband": 5}])
    assert [one[3] for one in told(found)] == [17.0, 25.0]
    assert found["rules"][0]["firing_ms"] == 0


def test_what_did_fire_stands_beside_it(rig, site):
    rig.add(1, value=2100)
    batch = WriteBatch()
    channel, boot = rig.opened.channel_ids[0], rig.opened.boot_id
    for seq, state, utc_ms in (
        *((None, "firing", UTC_MS), (None, "resolved", UTC_MS + 1), (None, "firing", UTC_MS + 2)),
        *((None, "firing", UTC_MS - 1), (0, "firing", UTC_MS)),
    ):
        batch.events.append((channel, boot, seq, "warm", "warning", state, utc_ms, 1.0, "m", 0))
    batch.stream(boot, 1, 0).move(stored=1)
    rig.store.commit(batch)
    assert site()["rules"][0]["before"] == 2  # neither the board's own, nor what was before


def test_only_what_may_be_known_is_tried(rig, site):
    rig.add(1, value=2100)
    rig.add(1, channel=1, value=99)
    rules = [WARM, {"name": "many", "sensor": "*.count", "above": 50}]
    privacy = [{"pattern": "*.count", "action": "local_only"}]
    found = site(rules=rules, privacy=privacy)
    assert [one[0] for one in told(found)] == ["warm"]
    assert (found["channels_withheld"], found["readings"]) == (1, 1)
    found = site("--local", rules=rules, privacy=privacy)
    assert {one[0] for one in told(found)} == {"warm", "many"}
    found = site("--sensor", "*.count", "--local", rules=rules, privacy=privacy)
    assert [one[0] for one in told(found)] == ["many"]


def test_todays_policy_is_before_the_rules(rig, site):
    rig.add(1, value=2149)
    masked = site(privacy=[{"pattern": "*.temp", "action": "mask"}])
    assert masked["events_total"] == 0
    clamped = site(privacy=[{"pattern": "*.temp", "action": "clamp", "high": 15}])
    assert clamped["events_total"] == 0
    stepped = site(privacy=[{"pattern": "*.temp", "action": "quantize", "step": 10}])
    assert stepped["rules"][0]["fired"] == 0  # 20 is not above 20


def test_rules_of_another_file_and_none_at_all(rig, site, tmp_path):
    rig.add(1, value=3100)
    (tmp_path / "try.toml").write_text(
        '[[rules]]\nname = "hot"\nsensor = "*.temp"\nabove = 31.5\n'
    )
    assert site("--rules", "try.toml")["rules"][0]["rule"] == "hot"
    assert site("--rules", "try.toml")["events_total"] == 0
    assert site(rules=[])["rules"] == [
        {
            "rule": "value above 30",
            "fired": 1,
            "resolved": 0,
            "before": 0,
            "firing_ms": 3_600_000,
        }
    ]


def test_limit_is_of_the_events_that_are_shown(rig, site):
    for value in (2100, 1800) * 5:
        rig.add(1, value=value)
    found = site("--limit", "3")
    assert len(found["events"]) == 3
    assert found["events_total"] == 10
    assert found["events"][-1]["metadata"]["state"] == "resolved"


EVERY_KIND = [
    {"name": "level", "above": 30, "clear": 29},
    {"name": "long", "above": 30, "for": "5s", "keep_for": "3s", "cooldown": "20s"},
    {"name": "outside", "outside": [25, 34], "on_bad": "fire"},
    {"name": "rate", "rate_above": 1, "window": "4s"},
    {"name": "stuck", "stuck": "4s", "within": 0.5},
    {"name": "mean", "above": 30, "aggregate": "mean", "window": "12s"},
    {"name": "moves", "deadband": 4},
]


@pytest.mark.parametrize("seed", range(8))
def test_replay_decides_as_the_agent_did(tmp_path, seed):
    """What the agent's own path has stored of events, the replay makes of the readings."""
    rng = random.Random(seed)
    agent = Agent(tmp_path / "edge.db", FakeClock(), rules=EVERY_KIND)
    agent.greet()
    value = 3000
    for number in range(400):
        if number % 50 > 8:  # else it is stuck
            value += rng.choice((-300, -100, 0, 100, 300)) + (3000 - value) // 8
        agent.read(value, quality=rng.choice((0, 0, 0, 0, 1, 2)))
    happened = agent.rows(
        "SELECT channel_id, rule, severity, state, utc_ms, value, message FROM event ORDER BY id"
    )
    agent.kill()
    with closing(OpenedView(StoreReader(agent.path), PrivacyPolicy(), is_local=True)) as view:
        known = {one.id: one for one in channels(view.reader)}
        replay = Replay(read_rules(EVERY_KIND), view.policy, UTC_MS)
        events = []
        for _, rows in extract.readings(view.reader, Wanted(list(known))):
            for row in rows:
                channel = known[row[1]]
                events += replay.add(channel, view.judge(channel), row)
    assert replay.readings_total == 400
    assert [row[1:8] for row in events] == happened
    assert {row[2] for row in events} == {rule["name"] for rule in EVERY_KIND}


def test_pseudonyms_are_counted_and_not_tried(tmp_path):
    policy = PrivacyPolicy([{"pattern": "*", "action": "hash"}], key=bytes(16))
    agent = Agent(tmp_path / "edge.db", FakeClock(), privacy=policy)
    agent.greet()
    agent.read(3500, 3500)
    agent.kill()
    with closing(OpenedView(StoreReader(agent.path), policy, is_local=True)) as view:
        (channel, *_) = [one for one in channels(view.reader) if one.marks]
        replay = Replay(read_rules([HIGH]), policy, UTC_MS)
        for _, rows in extract.readings(view.reader, Wanted([channel.id])):
            for row in rows:
                assert list(replay.add(channel, view.judge(channel), row)) == []
    assert (replay.readings_total, replay.unknown_total) == (2, 2)


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("test",), "required: --replay"),
        (("test", "--replay", "1h"), "expected 2 arguments"),
        (("test", "--replay", "1h", "2h"), "--replay: TO is not later than FROM"),
        (("test", "--replay", "x", "0s"), "--replay: 'x' is no time"),
        (("test", "--replay", "1h", "0s", "--rules", "no.toml"), "no.toml: no such config file"),
        (("try",), "invalid choice: 'try'"),
    ],
)
def test_wrong_usage_is_told(rig, tmp_path, args, problem):
    rig.write_config()
    done = run_host("rules", *args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (exit_status.USAGE, "")
    assert problem in done.stderr.splitlines()[-1]


def test_faulty_rules_are_told_a_line_each(rig, tmp_path):
    rig.write_config()
    (tmp_path / "try.toml").write_text('[[rules]]\nname = "a"\nabove = "x"\n[[rules]]\n')
    done = run_host("rules", "test", "--replay", "1h", "0s", "--rules", "try.toml", cwd=tmp_path)
    assert done.returncode == exit_status.USAGE
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
        ["try.toml:3", "rules[0].above"],
        ["try.toml:4", "rules[1].name"],
        ["try.toml:4", "rules[1]"],
    ]


def test_lines_for_people(rig, tmp_path):
    rig.add(1, value=2100)
    (tmp_path / "edge.toml").write_text(
        '[storage]\npath = "edge.db"\n[[rules]]\nname = "warm"\nsensor = "*.temp"\nabove = 20\n'
    )
    times = ("2026-05-28T20:00Z", "2026-05-28T22:00Z")
    done = run_host("rules", "test", "--replay", *times, cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "2026-05-28T20:26:40.000Z  warning firing: porch.temp is 21 Cel, above 20 (warm)",
        "",
        "rule                             would fire  did fire  firing for",
        "warm                                      1         0  93 minutes",
        "1 readings from 2026-05-28T20:00:00.000Z to 2026-05-28T22:00:00.000Z",
    ]
