"""query and export: what comes out is what a sink gets, in every form, and no more of it."""

import csv
import json
import sqlite3
from contextlib import ExitStack, closing

import pytest
from host.command import run_host
from host.fakes import UTC_MS
from host.processes import small_disk
from host.test_egress import BOOT, HASH, KEY, Rig, policy
from host.test_store import event_row
from pyv_edge_agent import exit_status
from pyv_edge_agent.cli import extraction, moment
from pyv_edge_agent.cli.filters import FORMS
from pyv_edge_agent.cli.form import senml_text, text_of
from pyv_edge_agent.cli.selection import OpenedView
from pyv_edge_agent.egress import Egress
from pyv_edge_agent.errors import StoreError, UsageError
from pyv_edge_agent.sinks import line_protocol, payload
from pyv_edge_agent.store import WriteBatch
from pyv_edge_agent.store.extract import PIECE_IDS, Wanted, events, newest_ids, readings
from pyv_edge_agent.store.query import ALWAYS
from pyv_edge_agent.store.reader import StoreReader
from pyv_edge_agent.store.schema import SCHEMA_VERSION
from pyv_edge_agent.view import KINDS
from pyv_edge_agent.view.extraction import Extraction, Request
from pyv_edge_agent.view.store_view import Names
from pyv_edge_core.pattern import Pattern
from pyv_edge_core.privacy import PrivacyPolicy

HOUR_MS = 3_600_000
ALERTING = [{"name": "hot", "sensor": "*.temp", "above": 20}]


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a store which is filled under a policy."""
    with ExitStack() as stack:

        def rig(**how):
            made = Rig(tmp_path / "edge.db", **how)
            stack.callback(made.store.close)
            return made

        yield rig


def extract(path, today=None, kind="readings", is_local=False, limit=None, times=ALWAYS, **more):
    """Return (payloads, how many were withheld) of a store that somebody else may have open."""
    names = Names([Pattern(one) for one in more.get("sensors", ())])
    names.devices += [Pattern(one) for one in more.get("devices", ())]
    request = Request(kind, names, more.get("qualities"), times, limit)
    with closing(
        OpenedView(StoreReader(path), today or PrivacyPolicy(), is_local=is_local)
    ) as view:
        found = Extraction(view, request)
        payloads = [one for piece in found.pieces() for one in piece]
        assert found.taken_total == len(payloads)
        return payloads, found.withheld_total


# -- privacy -----------------------------------------------------------------------------

ACTIONS = {
    "allow": {},
    "drop": {},
    "mask": {},
    "redact": {},
    "hash": {},
    "quantize": {"step": 0.5},
    "clamp": {"high": 20},
    "local_only": {},
    "aggregate_only": {},
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("about", [{"pattern": "porch.temp"}, {"device": "porch"}, {}])
@pytest.mark.parametrize("key", [None, "device", "channel"])
def test_readings_are_what_a_sink_gets(make, action, about, key):
    rig = make()
    rig.add(2153, 1900)
    rig.add(2153, quality=2)
    rig.add(480, 500, channel=1)
    rig.poll("t1", 47.11)
    rules = [{**about, "action": action, **ACTIONS[action]}]
    if key is not None:
        rules.insert(0, {"key": key, "action": "drop"})
    today = policy(*rules)
    found, withheld = extract(rig.store.path, today)
    worker = rig.send(today)
    assert found == rig.sink.got
    assert withheld == worker.withheld_total
    assert len(found) + withheld == 6


# What the readings of a channel, its events and its summaries come to: what goes to a sink, and
# what may be known at the machine. What is new may not undo what holds already.
AT_HAND = [
    # action, readings, at the machine, summaries, at the machine
    ("allow", [21.53], [21.53], 1, 1),
    ("drop", [], [], 0, 0),
    ("mask", [None], [None], 0, 0),
    ("quantize", [21.5], [21.5], 1, 1),
    ("hash", [21.53], [21.53], 1, 1),
    ("local_only", [], [21.53], 0, 1),
    ("aggregate_only", [], [], 0, 1),
]


@pytest.mark.parametrize(("action", "leaving", "here", "summaries", "summaries_here"), AT_HAND)
def test_who_is_at_the_machine_sees_what_may_be_stored(
    rig, action, leaving, here, summaries, summaries_here
):
    rig.add(1, value=2153)
    rig.minute()
    today = policy({"pattern": "porch.temp", "action": action, **ACTIONS[action]})
    assert [one["value"] for one in extract(rig.path, today)[0]] == leaving
    assert [one["value"] for one in extract(rig.path, today, is_local=True)[0]] == here
    count, withheld = extract(rig.path, today, "summaries")
    assert (len(count), withheld) == (summaries, 1 - summaries)
    count, withheld = extract(rig.path, today, "summaries", is_local=True)
    assert (len(count), withheld) == (summaries_here, 1 - summaries_here)


def test_keys_that_stay_here_are_shown_here(make):
    rig = make()
    rig.add(2153)
    today = policy({"key": "device", "action": "local_only"})
    assert "device" not in extract(rig.store.path, today)[0][0]["metadata"]
    assert extract(rig.store.path, today, is_local=True)[0][0]["metadata"]["device"] == "board-1"


def test_marks_of_what_was_stored_hold_at_the_machine_too(make):
    rig = make(policy=policy({"pattern": "porch.temp", "action": "local_only"}, HASH))
    rig.add(2153)
    assert extract(rig.store.path) == ([], 1)
    assert extract(rig.store.path, is_local=True)[0][0]["value"] == 21.53


def test_what_was_hashed_is_not_shown_in_doubt(make):
    rig = make(policy=policy(HASH))
    rig.add(2153)
    doubtful = policy({"channel": "light", "action": "drop"}, HASH)
    for is_local in (False, True):
        assert extract(rig.store.path, doubtful, is_local=is_local) == ([], 1)
        assert len(extract(rig.store.path, policy(HASH), is_local=is_local)[0]) == 1


def test_nobody_finds_a_pseudonym_by_the_name_it_stands_for(make):
    rig = make()
    rig.add(2153)
    today = policy(HASH)
    for sensor in ("porch.temp", "porch.*", "*temp"):
        assert extract(rig.store.path, today, sensors=[sensor]) == ([], 0), sensor
    for device in ("porch", "board-1"):
        assert extract(rig.store.path, today, devices=[device]) == ([], 0), device
    found, _ = extract(rig.store.path, today, sensors=[today.pseudonym("porch.temp")])
    assert len(found) == 1
    assert extract(rig.store.path, today, devices=[today.pseudonym("board-1")])[0] == found


def test_quality_of_what_is_hidden_is_not_told_by_asking_for_it(make):
    rig = make()
    rig.add(2153)
    rig.add(2154, quality=1)
    rig.add(2155, quality=2)
    masked = policy({"pattern": "porch.temp", "action": "mask"})
    assert extract(rig.store.path, masked, qualities=["good", "uncertain"]) == ([], 0)
    assert len(extract(rig.store.path, masked, qualities=["bad"])[0]) == 3
    dropped = policy({"pattern": "porch.temp", "action": "drop"})
    for quality in ("good", "uncertain", "bad"):
        assert extract(rig.store.path, dropped, qualities=[quality]) == ([], 3)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("kept", ["allow", "local_only", "hash"])
def test_events_are_what_a_sink_gets(make, action, kept):
    stored = policy({"pattern": "porch.hum", "action": kept})
    rig = make(policy=stored, rules=[*ALERTING, {"name": "dry", "sensor": "*.hum", "below": 40}])
    rig.add(2153, 1900)
    rig.add(300, channel=1)
    today = policy(
        {"pattern": "porch.temp", "action": action, **ACTIONS[action]},
        {"pattern": "porch.hum", "action": kept},
    )
    judge = Egress(today)
    queued = [judge.item(item["payload"]) for item in rig.queue.peek()]
    expected = sorted((one for one in queued if one is not None), key=lambda one: str(one))
    found, withheld = extract(rig.store.path, today, "events")
    for one in found:
        number = one["metadata"].pop("item_id").split("-")
        assert number[:2] == [rig.store.store_id, "event"]
    assert sorted(found, key=str) == expected
    assert len(found) + withheld == 3


@pytest.mark.parametrize("action", ["allow", "drop", "hash", "local_only", "aggregate_only"])
def test_gaps_are_what_a_sink_gets(rig, action):
    batch = WriteBatch()
    batch.stream(rig.opened.boot_id, 0, 0).move(lost=2)
    batch.gaps.append((rig.opened.boot_id, 0, 0, 1, "overwritten", UTC_MS, 1))
    rig.store.commit(batch)
    today = policy({"device": "porch", "action": action})
    judge = Egress(today, None, rig.store.channels_of)
    expected = [judge.item(one) for one in rig.items()]
    found, withheld = extract(rig.path, today, "gaps")
    assert (len(found), withheld) == ((1, 0) if expected[0] else (0, 1))
    for one in found:
        item_id = one["metadata"].pop("item_id")
        assert item_id == f"{rig.store.store_id}-gap-1"
    assert found == [one for one in expected if one]
    asked, _ = extract(rig.path, today, "gaps", devices=["porch"])
    assert len(asked) == (action == "allow")  # by a name that is hidden nobody can ask
    assert extract(rig.path, today, "gaps", devices=["other"]) == ([], 0)


# -- which -------------------------------------------------------------------------------


def seqs(found):
    return [one["metadata"]["seq"] for one in found[0]]


@pytest.mark.parametrize("is_sealed", [True, False])
def test_readings_of_a_time_of_a_sensor_of_a_device(rig, is_sealed):
    for _ in range(4):
        rig.mixed(3600)
        if is_sealed:
            rig.upkeep.blocks.seal()
    hour = (UTC_MS + HOUR_MS, UTC_MS + 2 * HOUR_MS)
    assert seqs(extract(rig.path, times=hour)) == list(range(3600, 7200))
    assert seqs(extract(rig.path, times=hour, sensors=["*.temp"])) == list(range(3600, 7200, 3))
    two = extract(rig.path, times=hour, sensors=["*.temp", "porch.p*"], limit=4)
    assert seqs(two) == [7194, 7196, 7197, 7199]
    for device in ("board-1", "porch", "b*"):
        assert len(extract(rig.path, times=hour, devices=[device])[0]) == 3600
    assert extract(rig.path, devices=["board-2"]) == ([], 0)
    assert seqs(extract(rig.path, limit=2)) == [14398, 14399]
    assert seqs(extract(rig.path, limit=20_000, sensors=["*.count"]))[:2] == [1, 4]


def test_limit_is_of_what_comes_out(rig):
    rig.mixed(12)
    rig.add(1, quality=2)
    today = policy({"pattern": "*.count", "action": "local_only"})
    assert seqs(extract(rig.path, today, limit=3)) == [9, 11, 12]
    assert seqs(extract(rig.path, today, limit=3, qualities=["good"])) == [8, 9, 11]
    assert extract(rig.path, today, limit=3, sensors=["*.count"]) == ([], 4)


def test_newest_of_what_there_is_little_of(rig):
    for number in range(5):
        batch = WriteBatch()
        batch.events.append(event_row(rig.opened, rule=f"r{number}"))
        rig.store.commit(batch)
    found, _ = extract(rig.path, kind="events", limit=2)
    assert [one["rule_name"] for one in found] == ["r3", "r4"]
    assert len(extract(rig.path, kind="events")[0]) == 5
    assert extract(rig.path, kind="events", sensors=["*.count"]) == ([], 0)


def test_rows_come_in_pieces_of_a_limited_size(rig):
    rig.mixed(2 * PIECE_IDS + 7)
    with closing(OpenedView(StoreReader(rig.path), PrivacyPolicy(), is_local=False)) as view:
        found = Extraction(view, Request("readings", Names(), None, ALWAYS, None))
        done = []
        assert [len(one) for one in found.pieces(done.append)] == [PIECE_IDS, PIECE_IDS, 7]
        assert done == [PIECE_IDS, 2 * PIECE_IDS, found.size()]


def test_newest_are_no_more_if_others_come_meanwhile(rig):
    rig.mixed(10)
    wanted = Wanted(list(rig.opened.channel_ids))
    with closing(StoreReader(rig.path)) as reader:
        ids = newest_ids(reader, wanted, 5)
        rig.mixed(10)
        assert ids == (6, 10)
        found = [row for _, rows in readings(reader, wanted, *ids) for row in rows]
        assert len(found) == 5


def test_events_go_on_behind_an_id_over_many_pieces(rig):
    order = {"piece_rows": 2}
    batch = WriteBatch()
    batch.events += [event_row(rig.opened) for _ in range(5)]
    rig.store.commit(batch)
    with closing(StoreReader(rig.path)) as reader:
        ids = [[row[0] for row in piece] for piece in events(reader, *ALWAYS, **order)]
        assert ids == [[1, 2], [3, 4], [5]]
        behind = [
            row[0] for piece in events(reader, *ALWAYS, after=(3,), **order) for row in piece
        ]
        assert behind == [4, 5]
        newest = [
            [row[0] for row in piece]
            for piece in events(reader, *ALWAYS, is_newest_first=True, **order)
        ]
        assert newest == [[5, 4], [3, 2], [1]]


# -- forms -------------------------------------------------------------------------------


def texts(form, kind, payloads):
    return "".join(text_of(form, kind, [payloads[:1], [], payloads[1:]], "site"))


def test_every_form_of_readings_says_the_same(make):
    rig = make()
    rig.add(2153)
    rig.add(7, quality=2)
    found, _ = extract(rig.store.path)
    assert [json.loads(one) for one in texts("ndjson", "readings", found).splitlines()] == found
    assert json.loads(texts("senml", "readings", found)) == json.loads(payload.senml(found))
    lines = texts("line-protocol", "readings", found).splitlines()
    assert lines == [line_protocol.line("site", one) for one in found]
    rows = list(csv.DictReader(texts("csv", "readings", found).splitlines()))
    assert rows[0] == {
        "time": "2026-05-28T20:26:40.000Z",
        "sensor": "porch.temp",
        "value": "21.53",
        "unit": "Cel",
        "quality": "good",
        "time_quality": "good",
        "time_error_ms": str(found[0]["metadata"]["time_error_ms"]),
        "device": "board-1",
        "channel": "temp",
        "boot": f"{BOOT:08x}",
        "stream": "telemetry",
        "seq": "0",
    }
    assert (rows[1]["value"], rows[1]["quality"]) == ("", "bad")
    head, first, second = texts("table", "readings", found).splitlines()
    assert first.split() == [
        "2026-05-28T20:26:40.000Z",
        "porch.temp",
        "21.53",
        "Cel",
        "good",
        "good",
    ]
    assert second.split()[2:] == ["-", "Cel", "bad", "good"]
    assert head.index("quality") == first.index("good")


def test_nothing_is_nothing_in_every_form():
    assert texts("table", "readings", []) == texts("ndjson", "readings", []) == ""
    assert json.loads("".join(senml_text([]))) == []
    assert texts("csv", "gaps", []).splitlines()[0].startswith("noticed,device,")
    assert texts("line-protocol", "readings", []) == ""


@pytest.mark.parametrize("kind", KINDS[1:])
def test_other_kinds_have_forms_too(rig, kind):
    batch = WriteBatch()
    batch.stream(rig.opened.boot_id, 0, 0).move(lost=2)
    batch.gaps.append((rig.opened.boot_id, 0, 0, 1, "overwritten", UTC_MS, 0))
    batch.events.append(event_row(rig.opened))
    rig.store.commit(batch)
    rig.seq = 2
    rig.add(3)
    rig.minute()
    found, _ = extract(rig.path, kind=kind)
    assert len(found) == 1
    for form in FORMS:
        if form != "senml":
            shown = texts(form, kind, found)
            assert len(shown.splitlines()) == (2 if form in ("table", "csv") else 1)
            assert "None" not in shown


# -- times as people write them ------------------------------------------------------------

NOON_MS = 1_780_056_000_000  # 2026-05-29T12:00:00Z


@pytest.mark.parametrize(
    ("text", "utc_ms"),
    [
        ("2026-05-29T12:00:00Z", NOON_MS),
        ("2026-05-29T12:00", NOON_MS),
        ("2026-05-29 14:00+02:00", NOON_MS),
        ("2026-05-29T12:00:00.250Z", NOON_MS + 250),
        ("2026-05-29", NOON_MS - 12 * HOUR_MS),
        ("0s", NOON_MS),
        ("90s", NOON_MS - 90_000),
        ("5m", NOON_MS - 300_000),
        ("250ms", NOON_MS - 250),
        ("1.5h", NOON_MS - 5_400_000),
        ("7d", NOON_MS - 7 * 24 * HOUR_MS),
        ("2w", NOON_MS - 14 * 24 * HOUR_MS),
    ],
)
def test_moments(text, utc_ms):
    assert moment.parse_moment("--since", text, NOON_MS) == utc_ms


@pytest.mark.parametrize("text", ["", "yesterday", "h", "-2h", "2 parsecs", "2026-13-01", "12:00"])
def test_what_is_no_moment_is_refused_in_a_line(text):
    with pytest.raises(UsageError) as caught:
        moment.parse_moment("--since", text, NOON_MS)
    assert str(caught.value).startswith(f"--since: {text!r} is no time; such as 2026-05-28, ")
    assert "\n" not in str(caught.value)


def test_moments_are_shown_as_the_store_shows_them():
    assert moment.show_ms(NOON_MS + 5) == "2026-05-29T12:00:00.005Z"
    assert moment.show_ms(-1) == "1969-12-31T23:59:59.999Z"
    assert moment.show_ms(10**17) == f"{10**17} ms"


# -- the commands --------------------------------------------------------------------------


@pytest.fixture
def site(rig, tmp_path):
    """A folder with edge.toml and a store that the test has open, as an agent would."""
    rig.mixed(300)
    (tmp_path / "edge.toml").write_text(
        '[storage]\npath = "edge.db"\n[[privacy.rules]]\npattern = "*.count"\n'
        'action = "local_only"\n'
    )
    return tmp_path


def test_query_shows_the_newest_and_says_what_it_kept_back(site):
    done = run_host("query", "--limit", "4", cwd=site)
    assert done.returncode == exit_status.DONE
    head, *rows = done.stdout.splitlines()
    assert head.split()[:2] == ["time", "sensor"]
    assert [row.split()[1] for row in rows] == ["porch.temp", "porch.power"] * 2
    assert done.stderr == (
        "2 readings withheld by the privacy policy;"
        " --local shows what may be known at this machine\n"
    )
    done = run_host("query", "--limit", "3", "--local", "--json", cwd=site)
    assert {json.loads(line)["sensor_name"] for line in done.stdout.splitlines()} == {
        *("porch.temp", "porch.count", "porch.power")
    }
    assert done.stderr == ""


def test_export_is_a_file_whole_or_not_at_all(site, tmp_path):
    done = run_host("export", "--output", "out.csv", "--sensor", "*.temp", cwd=site)
    assert (done.returncode, done.stdout) == (exit_status.DONE, "")
    assert done.stderr == "out.csv: 100 readings\n"
    with (site / "out.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 100
    before = (site / "out.csv").read_bytes()
    assert before == run_host("export", "--sensor", "*.temp", cwd=site).stdout.encode().replace(
        b"\n", b"\r\n"
    )
    assert before == run_host(
        "export", "--sensor", "*.temp", "--output", "-", cwd=site
    ).stdout.encode().replace(b"\n", b"\r\n")
    done = run_host("export", "--output", "no/such/out.csv", cwd=site)
    assert done.returncode == exit_status.USAGE
    assert done.stderr == "no/such/out.csv: no/such is no folder; make it, or name another\n"
    done = run_host("export", "--output", "out.csv", cwd=site)
    assert done.returncode == exit_status.USAGE
    assert done.stderr == "out.csv: is there already; name another file, or say --force\n"
    assert (site / "out.csv").read_bytes() == before
    done = run_host("export", "--output", "out.csv", "--force", "--limit", "7", cwd=site)
    assert done.stderr.startswith("out.csv: 7 readings\n")
    with small_disk(tmp_path / "disk", 8192) as disk:
        (disk / "out.csv").write_text("before")
        done = run_host("export", "--output", disk / "out.csv", "--force", cwd=site)
        assert done.returncode == exit_status.REFUSED
        assert "No space left" in done.stderr
        assert [(one.name, one.read_text()) for one in disk.iterdir()] == [("out.csv", "before")]


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("--since", "tomorrow"), "--since: 'tomorrow' is no time"),
        (("--since", "2027"), "--since: '2027' is no time since 1970; such as 2026-05-28"),
        (("--since", "20260528"), "--since: '20260528' is no time since 1970"),
        (("--since", "1h", "--until", "2h"), "--until: is not later than --since"),
        (("--sensor", "a[b]"), "--sensor: 'a[b]' is not a pattern"),
        (("--limit", "0"), "'0' is no number of at least 1"),
        (("--limit", str(2**63)), f"'{2**63}' is no number of at least 1 and below 2^53"),
        (("--quality", "fine"), "invalid choice: 'fine'"),
        (("--period", "hour"), "--period: is of summaries, not of readings"),
        (("--measurement", "m"), "--measurement: is of --format line-protocol"),
        (("--format", "line-protocol", "--measurement", ""), "--measurement: must not be empty"),
        (("--force",), "--force: is of --output FILE"),
        (("events", "--quality", "bad"), "--quality: is of readings, not of events"),
        (("events", "--format", "senml"), "--format: senml is for readings"),
        (("gaps", "--sensor", "x"), "--sensor: gaps are of devices"),
        (("--json", "--format", "csv"), "not allowed with argument"),
    ],
)
def test_wrong_options_are_refused_in_a_line(site, args, problem):
    done = run_host("export", *args, cwd=site)
    assert (done.returncode, done.stdout) == (exit_status.USAGE, "")
    assert problem in done.stderr.splitlines()[-1]


def test_without_a_configuration_nothing_is_let_out(site):
    (site / "edge.toml").unlink()
    done = run_host("query", "--db", "edge.db", cwd=site)
    assert (done.returncode, done.stdout) == (exit_status.USAGE, "")
    assert "nobody knows what may be shown" in done.stderr
    done = run_host("query", "--db", "edge.db", "--local", "--limit", "3", cwd=site)
    assert done.returncode == exit_status.DONE
    assert "porch.count" in done.stdout


def test_reading_makes_no_secret(site):
    config = (site / "edge.toml").read_text()
    (site / "edge.toml").write_text(config.replace("local_only", "hash"))
    done = run_host("query", cwd=site)
    assert (done.returncode, done.stdout) == (exit_status.REFUSED, "")
    assert "privacy.key is not there; the agent makes it" in done.stderr
    assert not (site / "data").exists()
    (site / "data").mkdir()
    (site / "data" / "privacy.key").write_text(KEY.decode())
    done = run_host("query", "--limit", "3", cwd=site)
    assert policy().pseudonym("porch.count") in done.stdout


def test_store_of_another_version_is_refused_with_what_to_do(site, rig):
    rig.close()
    for version, remedy in ((SCHEMA_VERSION - 1, "let the agent run"), (99, "use a newer one")):
        with closing(sqlite3.connect(rig.path)) as tampered:
            tampered.execute(f"PRAGMA user_version = {version}")
        done = run_host("query", cwd=site)
        assert done.returncode == exit_status.REFUSED
        assert f"edge.db: has schema {version}" in done.stderr
        assert remedy in done.stderr
    with closing(sqlite3.connect(rig.path)) as tampered:
        tampered.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    rig.open()


def test_facts_that_are_damaged_are_a_fault_of_the_store(rig):
    with rig.store.transaction() as tx:
        tx.execute("INSERT INTO meta VALUES ('sealed', 'no JSON')")
    with closing(StoreReader(rig.path)) as reader, pytest.raises(StoreError, match="JSONDecode"):
        _ = reader.last_reading_id
    with rig.store.transaction() as tx:
        tx.execute("DELETE FROM meta WHERE key = 'sealed'")


def test_reading_changes_nothing(site, rig):
    rig.close()
    before = rig.path.read_bytes()
    for kind in KINDS:
        assert run_host("export", kind, cwd=site).returncode == exit_status.DONE
    assert rig.path.read_bytes() == before
    rig.open()


def test_withheld_is_told_only_if_there_is_some(capsys):
    extraction.tell_withheld(0, "readings", is_local=False)
    assert capsys.readouterr().err == ""
