"""What an adapter of anybody's puts, and whatever it does afterwards: the others go on."""

from enum import Enum

import pytest
from host.test_intake import KEY, Site
from host.third_party_rig import GATES, MADE, gate, install
from host.waiting import wait_for
from pyv_edge_agent.adapters.guarded_feed import UNTOLD_MAX, GuardedFeed
from pyv_edge_agent.config import Config
from pyv_edge_agent.errors import SubmissionError
from pyv_edge_agent.policy import read_policy
from pyv_edge_agent.report import health_report
from pyv_edge_agent.store import read_ledger
from pyv_edge_agent.submission import POSITION_SIZE_MAX, Feed, Sample, Submission, Verdict

TABLE = {"name": "theirs", "unit": "W", "options": {"pins": [1]}}


class Guarded(Site):
    """A guarded feed beside one of ours, on a store of its own."""

    def start(self, path):
        super().start(path)
        self.theirs = GuardedFeed(
            dict(TABLE), self.ingest.put, self.store.receipts.positions, self.clock
        )
        self.told = []

    def put(self, *values, settle=None, **more):
        settle = settle or (lambda *args: self.told.append(args))
        made = Submission([Sample("", value) for value in values], settle=settle, **more)
        return made, self.theirs.put(made)

    def run(self):
        """Commit, and see that one of ours is stored whatever theirs does."""
        before = len(self.seen())
        assert self.submit(5.0)
        self.ingest.run()
        assert len(self.seen()) > before


@pytest.fixture
def site(tmp_path):
    made = Guarded(tmp_path / "edge.db")
    yield made
    for one in GATES.values():
        one.set()
    GATES.clear()
    made.theirs.close()
    made.store.close()
    assert read_ledger(made.path).is_balanced


def test_what_was_put_is_a_copy(site):
    made, is_taken = site.put(1.0, 2.0, position="a")
    assert is_taken
    made.samples.clear()
    made.samples.append("nonsense")
    made.position, made.key, made.taken_ms, made.settle = "\ud800", "nonsense", 10**30, None
    site.run()
    wait_for(lambda: site.told == [(Verdict.STORED, "")], "what became of it")
    assert site.seen() == [("theirs", 1.0), ("theirs", 2.0), ("meter", 5.0)]
    assert site.theirs.position() == "a"


def test_its_device_is_what_it_can_not_change(site):
    with pytest.raises(TypeError):
        site.theirs.device["unit"] = 5
    site.theirs.device["options"]["pins"].append(2)
    assert TABLE["options"]["pins"] == [1]


@pytest.mark.parametrize("name", ["device", "name"])
def test_it_can_not_become_another_ones(site, name):
    with pytest.raises(AttributeError, match=f"{name} is what the configuration has"):
        setattr(site.theirs, name, {"name": "meter", "unit": "W"})


class Text(str):
    """A text that does harm wherever it is used as one."""

    def __hash__(self):
        raise RuntimeError("harm")

    __eq__ = __len__ = __str__ = __radd__ = isprintable = encode = __hash__


class Number(float):
    """A number that does harm wherever it is used as one."""

    def __hash__(self):
        raise RuntimeError("harm")

    __eq__ = __float__ = __round__ = __mul__ = __abs__ = __int__ = __hash__


class Harm(Sample):
    """A Sample that does harm wherever it is used as one."""

    def __iter__(self):
        raise RuntimeError("harm")

    __len__ = __getitem__ = __hash__ = __eq__ = __iter__


def test_types_derived_from_others_are_stored_as_those(site):
    sample = Harm(Text("power"), Number(1.5), None, Text("kW"))
    made = Submission([sample], position=Text("a"), after=Text(""))
    site.theirs.read_from(Text("here"))
    assert site.theirs.put(made)
    site.run()
    assert site.seen("sensor, value, unit") == [("theirs.power", 1.5, "kW"), ("meter", 5.0, "W")]
    assert site.theirs.position() == "a"
    site.theirs.reject(Text("nothing"))
    site.run()


class Liar:
    """What says that it is of a type, and does harm wherever it is used as one."""

    def __init__(self, kind):
        self.kind = kind

    @property
    def __class__(self):
        return self.kind

    def __eq__(self, other):
        return other == b""

    __hash__ = __len__ = __iter__ = __float__ = __bool__ = Text.__hash__


@pytest.mark.parametrize(
    "made",
    [
        lambda: Submission([Sample(Liar(str), 1.0)]),
        lambda: Submission([Sample("", Liar(float))]),
        lambda: Submission([Sample("", 1.0, Liar(int))]),
        lambda: Submission([Sample("", 1.0, None, Liar(str))]),
        lambda: Submission([Liar(Sample)]),
        lambda: Submission([Sample("", 1.0)], key=Liar(bytes)),
        lambda: Submission([Sample("", 1.0)], new_keys=[Liar(bytes)]),
        lambda: Submission([Sample("", 1.0)], position=Liar(str)),
        lambda: Submission([Sample("", 1.0)], after=Liar(str)),
        lambda: Submission([Sample("", 1.0)], new_keys=[KEY] * 10_001),
    ],
)
def test_what_only_says_that_it_is_of_a_type_is_refused(site, made):
    with pytest.raises(SubmissionError):
        site.theirs.put(made())
    site.run()
    assert site.seen() == [("meter", 5.0)]


@pytest.mark.parametrize("source", [lambda: Liar(str), lambda: "x" * 100_000])
def test_source_that_is_none_is_refused(site, source):
    with pytest.raises(SubmissionError):
        site.theirs.read_from(source())


def test_name_of_another_type_passes_no_rule_of_the_policy(site):
    class Kind(str, Enum):
        SECRET = "secret"

    rules = [{"pattern": "theirs.secret", "action": "drop"}]
    policy = Config({"privacy": {"enabled": True, "rules": rules}}).get("privacy")
    site.ingest.adopt(read_policy(policy), [], (), ())
    assert site.theirs.put(Submission([Sample(Kind.SECRET, 1.0, None, "W")]))
    site.run()
    assert site.seen() == [("meter", 5.0)]


@pytest.mark.parametrize(
    "fields",
    [
        {"position": "\ud800"},
        {"position": "x" * (POSITION_SIZE_MAX + 1)},
        {"position": None},
        {"position": b"x"},
        {"new_keys": ["text"]},
        {"new_keys": (KEY,)},
        {"new_keys": [KEY, b"short"]},
        {"new_keys": None},
        {"key": "text"},
        {"key": b"short"},
        {"key": None},
        {"after": 5},
        {"settle": None},
        {"samples": (Sample("", 1.0),)},
        {"samples": [("", 1.0)]},
        {"samples": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [GuardedFeed, Feed])
def test_nonsense_is_refused_where_it_is_put(site, fields, kind):
    made = Submission([Sample("", 1.0)])
    for name, value in fields.items():
        setattr(made, name, value)
    feed = kind(dict(TABLE), site.ingest.put, site.store.receipts.positions, site.clock)
    with pytest.raises(SubmissionError):
        feed.put(made)
    site.run()
    assert site.seen() == [("meter", 5.0)]


@pytest.mark.parametrize("taken_ms", [10**30, -5, 0])
def test_time_of_its_own_making_is_none(site, taken_ms):
    made = Submission([Sample("", 1.0)])
    made.taken_ms = taken_ms
    assert site.theirs.put(made)
    site.run()
    assert site.rows("SELECT utc_ms FROM reading")[0] == site.rows("SELECT utc_ms FROM reading")[1]


def test_time_is_that_of_the_first_attempt(site):
    site.theirs._inbox = lambda *_: False
    made, is_taken = site.put(1.0)
    assert not is_taken
    site.clock.advance(500)
    site.theirs._inbox = site.ingest.put
    assert site.theirs.put(made)
    site.run()
    (theirs,), (ours,) = site.rows("SELECT utc_ms FROM reading")
    assert ours - theirs == 500
    wait_for(lambda: site.told == [(Verdict.STORED, "")], "that it is told once")


@pytest.mark.parametrize(
    "call",
    [
        lambda feed: feed.forget_all_but(["text"]),
        lambda feed: feed.forget_all_but([b"short"]),
        lambda feed: feed.reject(5),
        lambda feed: feed.reject("x", -1),
        lambda feed: feed.reject("x", "2"),
        lambda feed: feed.beat(float("nan")),
        lambda feed: feed.beat(0),
        lambda feed: feed.beat(10**30),
        lambda feed: feed.read_from(5),
    ],
)
def test_other_nonsense_is_refused_too(site, call):
    with pytest.raises(SubmissionError):
        call(site.theirs)
    site.run()


def test_texts_that_no_file_could_hold_are_written_another_way(site, log):
    site.theirs.reject("half \ud800 a\ncharacter" + "x" * 1000)
    assert site.theirs.problem.startswith("half \\ud800 a characterxxx")
    assert len(site.theirs.problem) < 250
    site.theirs.read_from("/tmp/\udcff")
    site.put(1.0, position="a")
    site.run()
    assert site.theirs.position() == "a"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, ValueError])
def test_settle_that_fails_is_shown_and_keeps_nothing_from_being_stored(site, log, error):
    def settle(*_):
        raise error("the secret value 777")

    for value in (1.0, 2.0):
        site.put(value, settle=settle)
        site.run()
        wait_for(lambda: site.theirs.failure, "the failure")
    wait_for(lambda: not site.theirs._untold, "both")
    site.put(3.0)
    site.run()
    wait_for(lambda: site.told, "what became of the next one")
    (line,) = log.warnings()
    assert f"device theirs: its settle() failed: {error.__name__} at test_guarded_feed.py:" in line
    assert "777" not in log.whole()
    assert site.theirs._teller.is_alive()


def test_settle_that_does_not_return_takes_only_its_own_room(site):
    site.put(1.0, settle=lambda *_: gate("settle").wait())
    for number in range(UNTOLD_MAX - 1):
        assert site.put(float(number))[1]
    assert not site.put(1.0)[1]
    assert site.theirs.full_total == 1
    site.run()
    assert not site.put(1.0)[1]
    gate("settle").set()
    wait_for(lambda: len(site.told) == UNTOLD_MAX - 1, "all the others")
    assert site.put(1.0)[1]


def test_what_was_taken_is_told_behind_the_end_of_the_feed(site):
    site.put(1.0)
    site.theirs.close()
    assert not site.put(2.0)[1]
    site.run()
    wait_for(lambda: site.told == [(Verdict.STORED, "")], "what became of it")
    site.theirs._teller.join(10)
    assert not site.theirs._teller.is_alive()


# -- in an agent -------------------------------------------------------------------------------

WILD = """
import host.third_party_rig as tests
from pyv_edge_agent.submission import Sample, Submission, SubmissionError

class wild:
    is_pushing = True

    def __init__(self, device, clock):
        self.feed = None
        tests.MADE.append(self)

    def settle(self, *told):
        raise SystemExit(1)

    def run(self, feed):
        self.feed = feed
        for position in ("x", chr(0xD800)):
            made = Submission([Sample("", 1.0)], position=position, settle=self.settle)
            try:
                feed.put(made)
            except SubmissionError:
                continue
            made.samples[:] = [None, None]
        tests.gate("never").wait()  # whatever stop() says

    def stop(self):
        pass
"""


def test_agent_stores_beside_an_adapter_that_does_what_it_likes(
    tmp_path, monkeypatch, agents, write_config
):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    GATES.clear()
    MADE.clear()
    install(folder, "wildlife", WILD, "wild")
    simulated = {"name": "t1", "ingest_type": "simulator", "noise_std": 0.0}
    path = write_config(
        [simulated, {"name": "w", "ingest_type": "wild"}],
        sensors={"poll_interval_seconds": 0.05},
    )
    agent = agents(path)
    agent.start()
    wait_for(lambda: MADE and MADE[0].feed and MADE[0].feed.failure, "what is wrong with it")
    count = agent._readings_processed
    wait_for(lambda: agent._readings_processed > count + 3, "readings of the other one")
    found = health_report(agent)["components"]
    ill = {name: one["status"] for name, one in found.items() if one["status"] != "healthy"}
    assert ill == {"device/w": "degraded"}
    write_config([simulated], sensors={"poll_interval_seconds": 0.05})
    agent.reload_config()
    assert not MADE[0].feed.put(Submission([Sample("", 2.0)]))
    gate("never").set()
    agent.stop()
    ledger = read_ledger(agent._config.store_path)
    assert ledger.is_balanced
