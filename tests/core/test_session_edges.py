"""Either end of the link by itself: what it is told at the wrong moment, and its limits."""

from binascii import crc32

from check import raises
from pyv_edge_core import channel_table, device_states, host_states, message, session
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.errors import FieldError
from pyv_edge_core.frame import FrameDecoder, encode, encode_for_board
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.identity import Identity
from pyv_edge_core.reading import Channel, check_name
from pyv_edge_core.record_ring import RecordRing

HEAP_KB_MIN = 80  # the code of both ends takes most of 64 kB with 64-bit objects

_BOOT = 0xC0FFEE01
_TAG = _BOOT & 0xFFFF
_CHANNELS = [Channel("a", "Cel", -2)]


def _board():
    identity = Identity("device-1", _BOOT, "fake", "0.1", "0.1")
    return DeviceSession(identity, _CHANNELS, RecordRing(32), RecordRing(16))


def _tell(board, kind, tag, *values):
    board.receive(encode_for_board(message.pack(kind, tag, *values)), 0)


def _hello(boot=_BOOT, channels=_CHANNELS):
    return _announce(boot, len(channels), channel_table.crc(channels))


def _announce(boot, channel_count, crc, device="d"):
    numbers = (boot, 0, 0, 1, 1, 0, 0, channel_count, crc) + (0, 0, 0, 0, 32) + (0,) * 11
    return encode(
        message.pack(message.HELLO, boot & 0xFFFF, *(numbers + (device, "fake", "0.1", "0.1")))
    )


def _greet(host, boot=_BOOT, now_ms=0):
    """Let the host hear of a board without channels; return what it makes of it."""
    return host.receive(_hello(boot, []), now_ms)


def _kinds(framed):
    return [payload[1] for payload in FrameDecoder().feed(framed)]


def test_window_is_within_its_limits():
    for window in (1, session.WINDOW_MAX):
        assert HostSession(window).window == window
    for window in (0, -1, session.WINDOW_MAX + 1):
        assert str(window) in str(raises(FieldError, HostSession, window)), window


def test_name_of_a_host_must_fit_a_welcome():
    error = raises(FieldError, HostSession, 1, "h" * 200)
    assert "host" in str(error)


def test_board_that_greets_is_asked_for_its_hello_in_vain():
    board = _board()
    first = board.transmit(0, 0, 0)
    _tell(board, message.HELLO_REQUEST, 0, 0, 0)
    assert board.state == device_states.GREETING
    # It goes on where it was, and doesn't begin anew: the table follows.
    assert _kinds(first) == [message.HELLO]
    assert _kinds(board.transmit(0, 0, 0)) == [message.CHANNELS]
    assert board.stale_total == board.bad_messages_total == 0


def test_acknowledgement_before_the_welcome_is_stale():
    board = _board()
    board.telemetry = None
    _tell(board, message.ACK, _TAG, 0, 0, 0, 0)
    assert (board.state, board.stale_total, board.bad_messages_total) == (
        device_states.GREETING,
        1,
        0,
    )


def test_readings_before_the_welcome_are_stale():
    host = HostSession()
    assert len(_greet(host)) == 1
    assert host.receive(encode(message.pack_data(_TAG, 0, 0, 0, 0, bytes(8))), 0) == []
    assert (host.state, host.stale_total) == (host_states.GREETED, 1)


def test_another_boot_greets_while_the_first_has_no_answer():
    host = HostSession()
    assert [event.hello.boot for event in _greet(host, now_ms=0)] == [_BOOT]
    # At once it is taken for what was still on its way, and a moment later for the board.
    assert _greet(host, _BOOT + 1, now_ms=1) == []
    later_ms = session.HELLO_INTERVAL_MS // 2 + 1
    assert [event.hello.boot for event in _greet(host, _BOOT + 1, later_ms)] == [_BOOT + 1]
    assert host.hello.boot == _BOOT + 1


# What a table may not be: its entries, how many, and why not.
_UNUSABLE = (
    (b"\x0a\x00\x01a\x00", 1, "entry 0: exponent: 10 is outside -9..9"),
    (b"\x00\x00\x01A\x00", 1, "entry 0: channel: 'A' has a character other than a-z 0-9 _ . -"),
    (
        b"\x00\x00\x01a\x00\x00\x00\x01b\x03foo",
        2,
        "entry 1: unit: 'foo' is not one of those in PROTOCOL.md; use '' for none",
    ),
    (b"\x00\x00\x01a\x00\x00\x00\x01a\x00", 2, "entry 1: 'a' comes twice"),
    (
        b"\x00\x00\x01a\x00\x01\x80\x03hot\x01m",
        2,
        "entry 1: alert 'hot' is about channel 1, there are 1",
    ),
    (b"\x00\x00\x01a\x00\x00\x83\x03hot\x01m", 2, "entry 1: 3 is no severity"),
    (
        b"\x00\x00\x01a\x00\x00\x80\x03hot\x01m\x00\x00\x01b\x00",
        3,
        "entry 2: channel 'b' comes behind alerts",
    ),
)


def _check_refusal(host, events, problem):
    (refusal,) = events
    assert (refusal.hello.boot, refusal.reason) == (_BOOT, session.REFUSED_GREETING), problem
    assert refusal.problem == problem, refusal.problem
    assert (host.state, host.bad_messages_total) == (host_states.WAITING, 1), problem
    _, said = message.parse(FrameDecoder().feed(host.transmit(0))[0])
    assert (said.tag, said.reason) == (_TAG, session.REFUSED_GREETING), problem


def test_channel_table_that_breaks_the_rules_is_refused_with_the_reason():
    for entries, count, problem in _UNUSABLE:
        host = HostSession()
        assert host.receive(_announce(_BOOT, count, crc32(entries)), 0) == []
        lead = bytes((message.VERSION, message.CHANNELS, _TAG & 0xFF, _TAG >> 8, 0))
        _check_refusal(host, host.receive(encode(lead + entries), 0), "channel table, " + problem)
        # What is left of its table changes nothing; the next HELLO begins anew.
        assert host.receive(encode(channel_table.pack(_TAG, _CHANNELS)[0]), 0) == []
        assert _greet(host)[0].channels == [], problem


def test_table_of_another_size_or_hash_is_not_the_one_announced():
    problem = "CHANNELS don't make the table that HELLO announced"
    host = HostSession()
    assert host.receive(_announce(_BOOT, 1, channel_table.crc(_CHANNELS * 2)), 0) == []
    entries = encode(channel_table.pack(_TAG, _CHANNELS * 2)[0])
    _check_refusal(host, host.receive(entries, 0), problem)
    host = HostSession()
    _check_refusal(host, host.receive(_announce(_BOOT, 0, 0xDEAD), 0), problem)


def test_device_without_a_name_is_refused_with_the_reason():
    for device in ("", "A", "b" * 33, "a b"):
        host = HostSession()
        events = host.receive(_announce(_BOOT, 0, 0, device), 0)
        _check_refusal(host, events, str(raises(FieldError, check_name, "device", device)))
        assert _greet(host)[0].hello.device == "d"


def test_refusal_of_one_board_does_not_let_in_the_other():
    host = HostSession()
    _greet(host)
    host.pacing.ask()
    token = FrameDecoder().feed(host.transmit(0))[0][4:]
    host.receive(encode(message.pack(message.TIME_RESPONSE, _TAG, token[0], 0, 0)), 0)
    host.receive(_announce(_BOOT + 1, 0, 0, "B"), 20_000)
    assert _kinds(host.transmit(20_000))[0] == message.REFUSAL
    assert host.state == host_states.GREETED
    assert host.welcome(_BOOT, 0, 0)
    assert _kinds(host.transmit(20_000))[0] == message.WELCOME
    assert host.state == host_states.UP


def test_uptime_of_a_board_that_is_not_there_is_no_time_exchange():
    for boot in (None, _BOOT):
        host = HostSession()
        if boot is not None:
            _greet(host)
        host.pacing.ask()
        assert _kinds(host.transmit(0)) == [message.TIME_REQUEST], boot
        token = host.pacing.token
        answer = message.pack(message.TIME_RESPONSE, _TAG + 1, token, 5, 0)
        assert host.receive(encode(answer), 3) == [], boot
        assert host.stale_total == 0, boot


def test_hello_is_asked_for_once_there_is_room():
    host = HostSession()
    stray = encode(message.pack(message.VITALS, _TAG, *([0] * 23)))
    assert host.receive(stray, 0) == []
    while host.pacing.frame(message.pack(message.HELLO_REQUEST, 0, 0, 0), 0):
        pass  # until no more is allowed on its way
    assert message.HELLO_REQUEST not in _kinds(host.transmit(0))
    # The board is heard so long after our last byte that it must have read all of it.
    assert host.receive(stray, session.SETTLED_MS) == []
    assert message.HELLO_REQUEST in _kinds(host.transmit(session.SETTLED_MS))
