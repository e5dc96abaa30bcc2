"""Either end of the link by itself: what it is told at the wrong moment, and its limits."""

from check import raises
from pyv_edge_core import channel_table, device_states, host_states, message, session
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.errors import FieldError
from pyv_edge_core.frame import FrameDecoder, encode, encode_for_board
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.identity import Identity
from pyv_edge_core.reading import Channel
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
    crc = channel_table.crc(channels)
    numbers = (boot, 0, 0, 1, 1, 0, len(channels), crc, 0, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0)
    return encode(
        message.pack(message.HELLO, boot & 0xFFFF, *(numbers + ("d", "fake", "0.1", "0.1")))
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


def test_channel_table_that_breaks_the_rules_is_counted():
    host = HostSession()
    assert host.receive(_hello(), 0) == []
    broken = message.pack(message.HELLO_REQUEST, _TAG, 0, 0)[:1] + bytes((message.CHANNELS,))
    broken += bytes((_TAG & 0xFF, _TAG >> 8, 0)) + b"\x0a\x00\x01a\x00"  # an exponent of 10
    assert host.receive(encode(broken), 0) == []
    assert (host.state, host.bad_messages_total) == (host_states.WAITING, 1)
    events = host.receive(encode(channel_table.pack(_TAG, _CHANNELS)[0]), 0)
    assert [channel.name for channel in events[0].channels] == ["a"]


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
    stray = encode(message.pack(message.VITALS, _TAG, *([0] * 15)))
    assert host.receive(stray, 0) == []
    while host.pacing.frame(message.pack(message.HELLO_REQUEST, 0, 0, 0), 0):
        pass  # until no more is allowed on its way
    assert message.HELLO_REQUEST not in _kinds(host.transmit(0))
    # The board has been heard so long after our last byte that it must have read all of it.
    host.pacing.settle(session.SETTLED_MS, session.SETTLED_MS)
    assert host.receive(stray, session.SETTLED_MS) == []
    assert message.HELLO_REQUEST in _kinds(host.transmit(session.SETTLED_MS))
