"""A session that speaks for a boot that is over: HELLO_OVER, at both ends of the link."""

from check import raises
from pyv_edge_core import message
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.errors import MessageError
from pyv_edge_core.frame import FrameDecoder, encode, encode_for_board
from pyv_edge_core.host_event import Batch, Greeting, TimeExchange
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.identity import Identity
from pyv_edge_core.reading import Channel
from pyv_edge_core.record_ring import RecordRing

HEAP_KB_MIN = 192

BOOT = 0xABCD1234


def _device(count=20, greeting=0):
    """Return the session of a boot that is over and was known up to an uptime of 100.250 s."""
    identity = Identity("dev-1", BOOT, "fake", "1", "1")
    identity.flags = message.HELLO_OVER
    identity.end_s, identity.end_ms, identity.since_s = 100, 250, 40
    telemetry, events = RecordRing(64), RecordRing(16)
    for seq in range(count):
        telemetry.push(0, 0, seq, 90, seq)
    channels = [Channel("a", "Cel", -2)]
    return DeviceSession(identity, channels, telemetry, events, None, greeting)


def _messages(session, now_ms=0):
    """Return what a device says now, as parsed."""
    found = []
    decoder = FrameDecoder()
    frame = session.transmit(now_ms, 7, 500)
    while frame:
        found.extend([message.parse(payload) for payload in decoder.feed(frame)])
        frame = session.transmit(now_ms, 7, 500)
    return found


def test_its_hello_says_so_with_another_tag_and_the_end_of_what_is_known():
    session = _device(greeting=0x40000007)
    kind, hello = _messages(session)[0]
    assert kind == message.HELLO
    assert hello.flags == message.HELLO_OVER
    assert (hello.uptime_s, hello.uptime_ms) == (100, 250)
    assert (hello.boot, hello.tag) == (BOOT, 0x1234 ^ 0xFFFF)
    assert (hello.telemetry_first, hello.telemetry_next) == (0, 20)
    assert hello.greeting == 0x40000007


def test_a_tag_that_does_not_fit_the_flag_is_refused():
    for flags, tag in ((message.HELLO_OVER, 0x1234), (0, 0x1234 ^ 0xFFFF)):
        host = HostSession()
        identity = Identity("dev-1", BOOT, "fake", "1", "1")
        identity.flags = flags
        ring = RecordRing(16)
        hello = bytearray(identity.hello(1, 0, [], ring, ring, 0, (0, 0)))
        hello[2:4] = tag.to_bytes(2, "little")
        assert host.receive(encode(bytes(hello)), 0) == []
        assert host.bad_messages_total == 1
    assert message.tag_of(BOOT, message.HELLO_SAFE) == 0x1234
    raises(MessageError, message.parse, b"\x01")


def _connect(session, host, now_ms=0):
    """Let the two talk for a while; return the host's events."""
    events = []
    for _ in range(40):
        frame = session.transmit(now_ms, 7, 500)
        while frame:
            for event in host.receive(frame, now_ms):
                events.append(event)
                if isinstance(event, Greeting):
                    host.welcome(event.hello.boot, 0, 0)
                elif isinstance(event, Batch):
                    end = event.first_seq + len(event.records) // 8
                    host.committed(event.boot, event.stream, end)
            frame = session.transmit(now_ms, 7, 500)
        session.receive(host.transmit(now_ms), now_ms)
        now_ms += 10
    return events


def test_it_is_delivered_as_any_other_and_then_idle():
    session, host = _device(), HostSession()
    events = _connect(session, host)
    count = sum([len(event.records) // 8 for event in events if isinstance(event, Batch)])
    assert count == 20 and session.is_idle
    assert session.streams[0].acked_seq == 20
    exchange = next(event for event in events if isinstance(event, TimeExchange))
    # Its uptime is that of all boots since; what the other is known to have run, is with it.
    assert (exchange.uptime_s, exchange.uptime_ms, exchange.end_ms) == (47, 500, 100_250)
    assert exchange.boot == BOOT


def test_an_exchange_with_a_boot_that_lives_says_so():
    session, host = _device(), HostSession()
    session.identity.flags = session.identity.since_s = 0
    session.tag = session.identity.tag
    exchanges = [one for one in _connect(session, host) if isinstance(one, TimeExchange)]
    assert exchanges and exchanges[0].end_ms == -1


def _welcome(session, telemetry, events):
    welcome = message.pack(message.WELCOME, session.tag, BOOT, 64, telemetry, events, "host")
    session.receive(encode_for_board(welcome), 0)


def test_a_host_that_stands_beyond_what_is_left_has_it_all():
    session = _device()
    _welcome(session, 5000, 7)
    assert session.bad_messages_total == 0
    assert session.is_idle
    assert [one.acked_seq for one in session.streams] == [5000, 7]
    assert [one.ring.next_seq for one in session.streams] == [5000, 7]
    # Of a boot that lives, that is nonsense.
    session = _device()
    session.identity.flags = 0
    session.tag = session.identity.tag
    _welcome(session, 5000, 0)
    assert session.bad_messages_total == 1 and not session.is_idle


def test_what_the_boot_said_when_it_lived_is_not_taken_for_what_is_said_now():
    session, host = _device(), HostSession()
    _connect(session, host)
    for kind, values in ((message.TIME_RESPONSE, (1, 50, 0)), (message.LOG, (20, "from then"))):
        late = message.pack(kind, BOOT & 0xFFFF, *values)
        assert host.receive(encode(late), 1000) == []


def test_it_is_asked_for_nothing():
    session = _device()
    _welcome(session, 0, 0)
    for kind, values in (
        (message.COMMAND, (BOOT, 1, 1000, 4, 0, 1)),
        (message.CONFIG, (BOOT, 2, 4, 0, 0, b"abcd")),
    ):
        session.receive(encode_for_board(message.pack(kind, session.tag, *values)), 10)
    assert session.request is None
    assert session.stale_total == 2


def test_a_session_that_others_have_spoken_before_greets_at_once():
    session = _device()
    _messages(session)
    _welcome(session, 0, 0)
    greeting = [one for _, one in _messages(session, 10) if hasattr(one, "greeting")]
    assert greeting == []
    session.greet()
    kind, hello = _messages(session, 10)[0]
    assert kind == message.HELLO and hello.greeting == 1


def test_a_gap_is_from_one_held_number_to_the_next():
    # A ring that has holes, as one has whose middle is on pages that are gone.
    class Holes:
        def __init__(self, ring):
            self.ring = ring
            self.next_seq = ring.next_seq

        def held_from(self, seq):
            return seq if seq < 4 or seq >= 12 else 12

        def release(self, seq):
            self.ring.release(seq)

        def is_sealed(self, seq):
            return True

        def read(self, seq, count_max):
            return self.ring.read(seq, min(count_max, 4 if seq < 4 else 16))

    session = _device()
    outbound = session.streams[0]
    outbound.ring = Holes(outbound.ring)
    _welcome(session, 0, 0)
    said = [one for one in _messages(session, 20) if one[0] in (message.DATA, message.GAP)]
    assert [kind for kind, _ in said][:3] == [message.DATA, message.GAP, message.DATA]
    gap = said[1][1]
    assert (gap.first_seq, gap.last_seq, gap.cause) == (4, 11, message.GAP_OVERWRITTEN)
    assert said[2][1].first_seq == 12


def test_what_is_saved_elsewhere_is_not_counted_as_dropped():
    for saved, dropped in (
        ((0, 0), 32),
        ((0, 16), 16),
        ((0, 40), 0),
        ((8, 24), 16),
        ((30, 90), 30),
    ):
        ring = RecordRing(32)
        ring.saved_first, ring.saved_end = saved
        for seq in range(64):
            ring.push(0, 0, seq, seq, 0)
        assert (ring.first_seq, ring.dropped_total) == (32, dropped), saved
