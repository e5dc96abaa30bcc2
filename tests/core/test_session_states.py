"""Each row of the tables of states, tried: the state that follows, and what is counted."""

from pair import Pair, pair_that_is_up
from pyv_edge_core import device_states, host_states, message, session
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.frame import encode, encode_for_board
from pyv_edge_core.host_session import HostSession

HEAP_KB_MIN = 512  # every pair of a state and an input is a board and a host of its own

_BODIES = {
    message.HELLO: (0,) * 25 + ("d", "b", "f", "c"),
    message.CHANNELS: (0, b""),
    message.DATA: (0, 0, 0, 0, bytes(8)),
    message.GAP: (0, 1, 0, 0),
    message.ACK: (0, 0, 0, 0),
    message.TIME_REQUEST: (7,),
    message.TIME_RESPONSE: (7, 0, 0),
    message.HELLO_REQUEST: (0, 0),
    message.VITALS: (0,) * 23,
    message.LOG: (20, "x"),
    message.REFUSAL: (session.REFUSED_DEVICE, 1, 1, 30),
    message.RESULT: (5, 0, 0, ""),
}


def _body(kind, boot):
    if kind == message.WELCOME:
        return (boot, 64, 0, 0, "")
    if kind == message.COMMAND:
        return (boot, 5, 100, 1, 0, 0)
    if kind == message.CONFIG:
        return (boot, 5, 2, 0, 0, b"{}")
    if kind == message.HELLO:
        return (boot, 0, 0, 1, 1, 0, 0, 0, 0) + (0,) * 16 + ("d", "b", "f", "c")
    return _BODIES[kind]


def _board_in(state):
    """Return a pair whose board is in a state, sampling nothing."""
    pair = Pair(channels=1)
    if state == device_states.UP:
        pair = pair_that_is_up(channels=1)
    elif state == device_states.REFUSED:
        pair.is_welcoming = False
        pair.run(30)
        assert pair.host.refuse(pair.boot, session.REFUSED_DEVICE, session.REFUSED_S)
        pair.run(50)
    assert pair.device.state == state, device_states.STATES[state]
    return pair


def _host_in(state):
    pair = Pair(channels=1)
    if state == host_states.UP:
        pair = pair_that_is_up(channels=1)
    elif state == host_states.GREETED:
        pair.is_welcoming = False
        pair.run(30)
    assert pair.host.state == state, host_states.STATES[state]
    return pair


def test_every_message_to_a_board_has_its_row_and_its_actions_exist():
    kinds = set(device_states.TABLE)
    assert kinds == set(message.TO_BOARD) | {session.TIMEOUT}
    for table, leads, states, owner in (
        (device_states.TABLE, device_states.LEADS, device_states.STATES, DeviceSession),
        (host_states.TABLE, host_states.LEADS, host_states.STATES, HostSession),
    ):
        actions = [action for row in table.values() for action in row]
        for row in table.values():
            assert len(row) == len(states)
        for action in actions:
            assert callable(getattr(owner, action)), action
        assert set(leads) <= set(actions)


def test_every_message_to_a_host_has_its_row():
    kinds = set(range(message.HELLO, message.RESULT + 1)) - set(message.TO_BOARD)
    assert set(host_states.TABLE) == kinds | {session.STRANGER}


def test_board_does_what_its_table_says():
    for kind in sorted(device_states.TABLE):
        if kind == session.TIMEOUT:
            continue
        for state in range(len(device_states.STATES)):
            pair = _board_in(state)
            action = device_states.TABLE[kind][state]
            stale = pair.device.stale_total
            raw = message.pack(kind, pair.device.tag, *_body(kind, pair.boot))
            pair.device.receive(encode_for_board(raw), pair.now_ms)
            expected = device_states.LEADS.get(action, state)
            case = (kind, device_states.STATES[state], action)
            assert pair.device.state == expected, case
            assert pair.device.stale_total - stale == (action == "_skip"), case
            assert pair.device.bad_messages_total == 0, case


def test_board_refuses_what_only_boards_send():
    for kind in range(message.HELLO, message.RESULT + 1):
        if kind in message.TO_BOARD:
            continue
        for state in range(len(device_states.STATES)):
            pair = _board_in(state)
            raw = message.pack(kind, pair.device.tag, *_body(kind, pair.boot))
            pair.device.receive(encode_for_board(raw), pair.now_ms)
            assert pair.device.bad_messages_total == 1, (kind, state)
            assert pair.device.state == state, (kind, state)


def test_board_acts_when_its_time_is_over():
    waits = (session.HELLO_INTERVAL_MS, session.REFUSED_S * 1000, session.HOST_SILENCE_MS)
    for state in range(len(device_states.STATES)):
        pair = _board_in(state)
        while pair.device.transmit(pair.now_ms, 0, 0):
            pass  # what it still had to say
        is_up = state == device_states.UP
        start_ms = pair.device._heard_ms if is_up else pair.device._said_ms
        for early_ms in (0, waits[state] - 30):
            assert pair.device.transmit(start_ms + early_ms, 0, 0) == b"", (state, early_ms)
            assert pair.device.state == state, early_ms
        framed = pair.device.transmit(start_ms + waits[state] + 1, 0, 0)
        assert framed[2] == message.HELLO, state
        assert pair.device.state == device_states.GREETING, state


def test_host_does_what_its_table_says():
    for kind in sorted(host_states.TABLE):
        if kind == session.STRANGER:
            continue
        for state in range(len(host_states.STATES)):
            pair = _host_in(state)
            action = host_states.TABLE[kind][state]
            stale = pair.host.stale_total
            raw = message.pack(kind, pair.device.tag, *_body(kind, pair.boot))
            now_ms = pair.now_ms + session.GREETING_LOST_MS
            events = pair.host.receive(encode(raw), now_ms)
            case = (kind, host_states.STATES[state], action)
            # A HELLO without channels is a whole greeting; the rest of the table came with it.
            expected = state
            if kind == message.HELLO:
                expected = host_states.GREETED
                assert len(events) == 1, case
            assert pair.host.state == expected, case
            is_unasked = kind == message.TIME_RESPONSE
            skipped = action in ("_skip", "_ask_hello") or is_unasked
            assert pair.host.stale_total - stale == skipped, case
            assert pair.host.bad_messages_total == 0, case


def test_host_skips_messages_of_other_boots():
    for kind in sorted(host_states.TABLE):
        if kind in (session.STRANGER, message.HELLO, message.CHANNELS, message.TIME_RESPONSE):
            continue
        for state in range(len(host_states.STATES)):
            pair = _host_in(state)
            stale = pair.host.stale_total
            raw = message.pack(kind, pair.device.tag ^ 1, *_body(kind, pair.boot))
            assert pair.host.receive(encode(raw), pair.now_ms) == [], (kind, state)
            assert (pair.host.state, pair.host.stale_total) == (state, stale + 1), (kind, state)


def test_host_refuses_what_only_hosts_send():
    for kind in message.TO_BOARD:
        pair = _host_in(host_states.UP)
        raw = message.pack(kind, pair.device.tag, *_body(kind, pair.boot))
        assert pair.host.receive(encode(raw), pair.now_ms) == [], kind
        assert (pair.host.bad_messages_total, pair.host.state) == (1, host_states.UP), kind


def test_unknown_types_are_skipped_and_counted_at_both_ends():
    pair = pair_that_is_up()
    for kind in (0, message.RESULT + 1, 255):
        raw = bytes((1, kind)) + pair.device.tag.to_bytes(2, "little") + b"whatever"
        pair.host.receive(encode(raw), pair.now_ms)
        pair.device.receive(encode_for_board(raw), pair.now_ms)
    assert (pair.host.unknown_messages_total, pair.device.unknown_messages_total) == (3, 3)
    pair.sample(20)
    pair.run(500)
    assert pair.is_settled()


def test_refused_board_is_quiet_for_as_long_as_it_is_told_and_then_greets():
    pair = _board_in(device_states.REFUSED)
    assert pair.device.refusal.reason == session.REFUSED_DEVICE
    said = len(pair.to_host.kinds())
    pair.run(session.REFUSED_S * 1000 - 200, 50)
    assert len(pair.to_host.kinds()) == said
    pair.is_welcoming = True
    pair.run(2000)
    assert (pair.device.state, pair.device.refusal) == (device_states.UP, None)


def test_boards_and_hosts_without_a_common_version_say_so():
    for low, high, is_welcome in ((1, 1, True), (1, 9, True), (2, 9, False), (0, 0, False)):
        host = HostSession()
        boot = 0xC0FFEE01
        hello = (boot, 0, 0, low, high, 0, 0, 0, 0) + (0,) * 16 + ("d", "b", "f", "c")
        events = host.receive(encode(message.pack(message.HELLO, boot & 0xFFFF, *hello)), 0)
        if is_welcome:
            assert (events[0].hello.version_max, host.state) == (high, host_states.GREETED)
            continue
        assert (events[0].reason, host.state) == (session.REFUSED_VERSION, host_states.WAITING)
        assert events[0].hello.device == "d"
        board = Pair()
        board.device.tag = boot & 0xFFFF
        board.device.receive(host.transmit(1), 1)
        refusal = board.device.refusal
        assert (refusal.reason, refusal.version_min, refusal.version_max) == (1, 1, 1)
        assert board.device.state == device_states.REFUSED


def test_refusal_of_another_boot_does_nothing():
    pair = _host_in(host_states.GREETED)
    assert not pair.host.refuse(pair.boot ^ 1, session.REFUSED_DEVICE, 30)
    assert pair.host.state == host_states.GREETED
    assert pair.host.refuse(pair.boot, session.REFUSED_DEVICE, 30)
    assert not pair.host.refuse(pair.boot, session.REFUSED_DEVICE, 30)
