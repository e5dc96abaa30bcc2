"""The states of a link as a table, and what is logged of them."""

import pytest
from host.fakes import FakeClock, FixedRandom
from pyv_edge_agent import link_state
from pyv_edge_agent.link_state import (
    ABSENT,
    BEHIND,
    FOUND,
    GREETED,
    HANDSHAKING,
    LENDING,
    LENT,
    LOST,
    NOT_OPENED,
    OPENED,
    OPENING,
    RESTARTED,
    RETURNED,
    SEARCHING,
    SILENCE,
    SILENT,
    STATES,
    STOPPED,
    TABLE,
    UP,
    LinkState,
)


class Rig:
    def __init__(self):
        self.clock = FakeClock()
        self.rng = FixedRandom(1.0)
        self.states = LinkState("porch", self.clock, self.rng)

    def lead(self, *events):
        for event in events:
            if event == UP:
                self.states.up("board-1")
            elif event == LENT:
                self.states.lend(self.clock.monotonic_ms() + 60_000)
            else:
                self.states.on(event)
        return self.states.state


@pytest.fixture
def rig():
    return Rig()


# Each state, and a way there.
WAYS = {
    SEARCHING: (),
    OPENING: (FOUND,),
    HANDSHAKING: (FOUND, OPENED),
    UP: (FOUND, OPENED, UP),
    SILENT: (FOUND, OPENED, UP, SILENCE),
    LENT: (FOUND, OPENED, UP, LENT),
}


def test_table_speaks_of_known_states_and_waits_only():
    waits = (link_state.AT_ONCE, link_state.LOOK, link_state.BACK_OFF, link_state.AGREED)
    for event, row in TABLE.items():
        for state, (next_state, wait) in row.items():
            assert state in STATES and next_state in STATES and wait in waits, event


def test_every_state_can_be_reached_and_left():
    reached = {next_state for row in TABLE.values() for next_state, _ in row.values()}
    assert reached == set(STATES)
    for state in STATES:
        assert any(state in row and row[state][0] != state for row in TABLE.values()), state


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", TABLE)
def test_event_leads_where_the_table_says(rig, state, event):
    assert rig.lead(*WAYS[state]) == state
    before, failures = dict(rig.states.entered_total), rig.states.failures_total
    if state not in TABLE[event]:
        with pytest.raises(KeyError):
            rig.states.on(event)
        assert rig.states.state == state
        return
    rig.clock.advance(10)
    next_state, wait = TABLE[event][state]
    rig.lead(LENT if event == LENDING else event)
    assert rig.states.state == next_state
    assert rig.states.entered_total[next_state] == before[next_state] + (next_state != state)
    waits_s = {link_state.AT_ONCE: 0, link_state.LOOK: 0.5, link_state.BACK_OFF: 0.251}
    waits_s[link_state.AGREED] = 60 if event == LENDING else 59.99
    if wait == link_state.BACK_OFF and failures:
        waits_s[wait] = 0.501
    assert rig.states.wait_s() == waits_s[wait]
    assert rig.states.failures_total == failures + (wait == link_state.BACK_OFF)
    if next_state != state:
        assert rig.states.since_ms == rig.clock.monotonic_ms()


def test_open_states_are_those_between_opened_and_closed(rig):
    for state in STATES:
        one = Rig()
        one.lead(*WAYS[state])
        assert one.states.is_open == (state in (HANDSHAKING, UP))


def test_back_off_doubles_and_begins_anew_once_up(rig):
    rig.lead(FOUND)
    for _ in range(7):
        rig.lead(NOT_OPENED)
    rig.lead(OPENED, UP, SILENCE)
    assert [high for _, high in rig.rng.ranges] == [0.25, 0.5, 1, 2, 4, 5, 5, 0.25]


def test_port_that_is_looked_for_uses_no_random_and_no_back_off(rig):
    for _ in range(100):
        rig.lead(ABSENT)
        assert rig.states.wait_s() == 0.5
    assert rig.rng.ranges == []
    assert rig.states.entered_total[SEARCHING] == 1


# -- what is told ------------------------------------------------------------------


def test_same_problem_is_one_line_until_it_was_up(rig, log):
    rig.lead(FOUND)
    for _ in range(3):
        rig.states.on(NOT_OPENED, "is in use")
    rig.lead(OPENED, UP, LOST, FOUND)
    assert rig.states.problem == ""
    rig.states.on(NOT_OPENED, "is in use")
    assert log.warnings() == ["link porch: is in use; trying again"] * 2


def test_what_was_lost_is_told_on_the_way_down(rig, log):
    rig.lead(*WAYS[UP])
    rig.states.on(LOST, "it went away", "; 7 readings come again")
    rig.states.on(ABSENT, "does not exist")
    rig.states.on(ABSENT, "does not exist")
    assert log.warnings() == ["link porch: it went away; 7 readings come again; looking for it"]
    rig.states.on(ABSENT, "fits 2 ports")  # that is news
    assert log.warnings()[1:] == ["link porch: fits 2 ports; looking for it"]


def test_way_up_tells_how_long_it_took(rig, log):
    rig.lead(*WAYS[UP])
    rig.clock.advance(60_000)
    rig.lead(BEHIND)
    rig.clock.advance(2500)
    rig.lead(OPENED, UP)
    assert log.having("is up after") == [
        "link porch: board board-1 is up after 0.0 s and 0 failed attempts",
        "link porch: board board-1 is up after 2.5 s and 1 failed attempts",
    ]


def test_trouble_stands_until_it_is_up(rig, log):
    rig.lead(FOUND, OPENED)
    rig.states.trouble("quarantined", " (details)")
    rig.states.trouble("quarantined", " (details)")
    assert rig.states.problem == "quarantined"
    assert log.warnings() == ["link porch: quarantined (details)"]
    rig.lead(UP)
    assert rig.states.problem == ""
    rig.lead(GREETED, RESTARTED)
    assert rig.states.problem == ""


def test_warning_stands_beside_the_trouble_also_if_up(rig, log):
    rig.lead(*WAYS[UP])
    rig.states.warn("settings", "not JSON")
    rig.states.warn("settings", "not JSON")
    assert rig.states.problem == "not JSON"
    rig.states.on(LOST, "went away")
    assert rig.states.problem == "went away; not JSON"
    rig.states.warn("settings", "")
    assert rig.states.problem == "went away"
    assert log.having("not JSON") == ["link porch: not JSON"]


def test_warning_ends_by_itself_if_it_is_not_repeated(rig, log):
    rig.states.warn("twice", "two of them", 1000)
    rig.clock.advance(999)
    rig.states.warn("twice", "two of them", 1000)
    rig.clock.advance(999)
    assert rig.states.problem == "two of them"
    rig.clock.advance(1)
    assert rig.states.problem == ""
    rig.states.warn("twice", "two of them", 1000)  # and is news again then
    assert log.warnings() == ["link porch: two of them"] * 2


def test_status_is_all_of_it(rig):
    rig.lead(*WAYS[SILENT])
    rig.clock.advance(1500)
    assert rig.states.status() == {
        "state": "silent",
        "state_s": 1.5,
        "problem": "",
        "lent_until": None,
        "entered_total": {**dict.fromkeys(STATES, 1), LENT: 0},
        "failures_total": 1,
    }
    assert rig.lead(STOPPED) == SEARCHING


# -- a port that is lent -----------------------------------------------------------


def test_nothing_is_wrong_with_a_port_that_is_lent(rig, log):
    rig.lead(FOUND)
    rig.states.on(NOT_OPENED, "is in use")
    rig.lead(LENT)
    assert rig.states.problem == ""
    assert rig.states.wait_s() == 60
    assert rig.lead(RETURNED, FOUND) == OPENING
    rig.states.on(NOT_OPENED, "is in use")  # and that is news again
    assert log.warnings() == ["link porch: is in use; trying again"] * 2
    assert [high for _, high in rig.rng.ranges] == [0.25, 0.25]


def test_until_when_it_is_lent_follows_the_clock(rig):
    assert (rig.states.lent, rig.states.lent_until_utc_ms) == ("", None)
    rig.clock.now_utc_ms = 1_780_000_000_000  # 20:26:40
    rig.lead(LENT)
    rig.clock.advance(30_000)
    assert rig.states.status()["lent_until"] == 1_780_000_060
    assert rig.states.lent == "lent until 20:27 UTC"
    rig.clock.step(3_600_000)  # it was an hour slow; the loan is as long as it was
    assert rig.states.lent == "lent until 21:27 UTC"
    assert rig.states.wait_s() == 30
    rig.lead(RETURNED)
    assert (rig.states.lent, rig.states.lent_until_utc_ms) == ("", None)
