"""A sealed link: what is not of the other end, or not of now, is refused and counted."""

from check import raises
from pair import CORRUPT, Pair
from pyv_edge_core import device_states, host_states, message, seal, session
from pyv_edge_core.challenge import Challenge
from pyv_edge_core.device_session import DeviceSession
from pyv_edge_core.errors import FieldError, MessageError
from pyv_edge_core.frame import FrameDecoder, encode, encode_for_board
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.identity import Identity

HEAP_KB_MIN = 512

KEY = b"a key of 16 bytes or more"
SESSION = (0xC0FFEE01, 2, 0x01020304, 0x05060708)


def _random():
    """Return a source of bits that are no secret."""
    state = [12345]

    def bits(count):
        state[0] = (state[0] * 1103515245 + 12345) & 0x7FFFFFFF
        return (state[0] * 2654435761) & ((1 << count) - 1)

    return bits


class _Sealed(Pair):
    """A pair whose ends have keys, None for none."""

    def __init__(self, device_key=KEY, host_key=KEY, **others):
        self.device_key = device_key
        self.host_key = host_key
        self.random = _random()
        self.recorded = []  # frames towards the host
        Pair.__init__(self, **others)

    def start_board(self, boot):
        Pair.start_board(self, boot)
        if self.device_key is not None:
            identity = Identity("device-1", boot, "fake", "0.1", "0.1")
            sealed = seal.Seal(self.device_key, seal.TO_HOST)
            self.device = DeviceSession(
                identity, self.channels, self.telemetry, self.events, sealed
            )
            self.device_seal = sealed

    def start_host(self):
        Pair.start_host(self)
        if self.host_key is not None:
            self.challenge = Challenge(self.host_key, self.random)
            self.host = HostSession(self.window, self.host_name, challenge=self.challenge)

    def reopen(self):
        """The host opens its port anew: another session, the same challenge."""
        self.host = HostSession(self.window, self.host_name, challenge=self.challenge)
        self.store.pending = []

    def is_up(self):
        return (self.device.state, self.host.state) == (device_states.UP, host_states.UP)


def _record(pair):
    """Keep a copy of every frame that the board sends."""
    put = pair.to_host.put

    def record(framed, now_ms):
        pair.recorded.append(framed)
        put(framed, now_ms)

    pair.to_host.put = record


def test_format_of_a_seal_is_the_documented_one():
    ours = seal.Seal(KEY, seal.TO_HOST)
    theirs = seal.Seal(KEY, seal.TO_BOARD)
    ours.begin(SESSION)
    theirs.begin(SESSION)
    plain = message.pack(message.TIME_REQUEST, 0xBEEF, 7)
    sealed = ours.seal(plain)
    # The vector of PROTOCOL.md: another implementation has to come to the same bytes.
    assert sealed.hex() == ("0187efbe0700" + "01000000" + "b2d430b1f94fc0a4579c44d1666539c1"), (
        sealed.hex()
    )
    assert seal.content(sealed) == plain
    assert theirs.open(sealed) == plain
    assert theirs.open(sealed) == b"" and theirs.replayed_total == 1


def test_whatever_is_altered_is_refused():
    plain = message.pack(message.TIME_REQUEST, 0xBEEF, 7)
    ours = seal.Seal(KEY, seal.TO_HOST)
    ours.begin(SESSION)
    sealed = ours.seal(plain)
    for index in range(len(sealed)):
        for bit in (1, 0x40):
            theirs = seal.Seal(KEY, seal.TO_BOARD)
            theirs.begin(SESSION)
            altered = sealed[:index] + bytes((sealed[index] ^ bit,)) + sealed[index + 1 :]
            assert theirs.open(altered) == b"", (index, bit)
            assert theirs.forged_total == 1, (index, bit)
    theirs = seal.Seal(KEY, seal.TO_BOARD)
    theirs.begin(SESSION)
    assert theirs.open(plain) == b""
    assert theirs.open(sealed[: 4 + seal.OVERHEAD - 1]) == b""
    assert theirs.unsealed_total == 2
    # What goes one way is nothing the other way, and nothing in another session.
    mirror = seal.Seal(KEY, seal.TO_HOST)
    mirror.begin(SESSION)
    assert mirror.open(sealed) == b""
    for place in range(4):
        other = seal.Seal(KEY, seal.TO_BOARD)
        other.begin(SESSION[:place] + (SESSION[place] ^ 1,) + SESSION[place + 1 :])
        assert other.open(sealed) == b"", place
    nobody = seal.Seal(KEY, seal.TO_BOARD)
    assert nobody.open(sealed) == b"" and nobody.forged_total == 1


def test_counter_begins_anew_only_with_another_session():
    ours = seal.Seal(KEY, seal.TO_HOST)
    ours.begin(SESSION)
    ours.seal(b"\x01\x08\x00\x00")
    ours.begin(SESSION)
    assert ours.seal(b"\x01\x08\x00\x00")[4] == 2
    ours.begin(SESSION[:1] + (9,) + SESSION[2:])
    assert ours.seal(b"\x01\x08\x00\x00")[4] == 1
    ours._sent = 0xFFFFFFFF
    assert "2**32" in str(raises(MessageError, ours.seal, b"\x01\x08\x00\x00"))


def test_key_that_is_too_short_is_refused():
    for size in (0, 15):
        assert "16" in str(raises(FieldError, seal.Seal, bytes(size), seal.TO_HOST))
    assert seal.Seal(bytes(16), seal.TO_HOST).session is None


def test_sealed_link_delivers_everything():
    pair = _Sealed()
    pair.run(100)
    assert pair.is_up()
    for _ in range(20):
        pair.sample(5)
        pair.sample(1, stream=1)
        pair.run(200)
    pair.run(1000)
    assert pair.is_settled()
    pair.check_all_accounted_for()
    assert pair.unread_max <= session.IN_FLIGHT_MAX
    assert pair.challenge.seal.forged_total == pair.device_seal.forged_total == 0
    assert pair.challenge.seal.unsealed_total == pair.device_seal.unsealed_total == 0


def test_ends_with_other_keys_never_meet():
    for device_key, host_key in ((KEY, KEY + b"!"), (KEY, None), (None, KEY)):
        pair = _Sealed(device_key, host_key)
        pair.sample(20)
        pair.run(20000, 50)
        case = (device_key, host_key)
        assert not pair.is_up() and pair.greetings == [] and pair.delivered() == [], case
        if host_key is None:
            assert pair.host.sealed_total > 5, case
        elif device_key is None:
            assert pair.challenge.seal.unsealed_total > 5, case
        else:
            assert pair.challenge.seal.forged_total > 5, case


def test_recording_of_a_session_is_worth_nothing():
    pair = _Sealed()
    _record(pair)
    pair.run(100)
    for _ in range(10):
        pair.sample(16)
        pair.run(200)
    recorded = list(pair.recorded)
    delivered = pair.delivered()
    # Into the same session, into one after the port was opened anew, and into another host.
    for restart in (None, pair.reopen, pair.start_host):
        if restart is not None:
            restart()
        refused = pair.challenge.seal.replayed_total + pair.challenge.unasked_total
        refused += pair.challenge.seal.forged_total
        for framed in recorded:
            assert pair.host.receive(framed, pair.now_ms) == []
        found = pair.challenge.seal.replayed_total + pair.challenge.unasked_total
        found += pair.challenge.seal.forged_total
        assert found - refused == len(recorded), restart
        assert pair.delivered() == delivered
    pair.run(20000, 50)
    assert pair.is_up()


def test_recording_of_a_host_is_worth_nothing_to_a_board():
    pair = _Sealed()
    frames = []
    put = pair.to_board.put
    pair.to_board.put = lambda framed, now_ms: (frames.append(framed), put(framed, now_ms))
    pair.run(100)
    pair.sample(40)
    pair.run(1000)
    recorded = [f for f in frames if FrameDecoder().feed(f)[0][1] != message.HELLO_REQUEST]
    assert len(recorded) > 3
    first_seq = pair.telemetry.first_seq
    for is_reset in (False, True):
        if is_reset:
            pair.start_board(0xC0FFEE02)
            pair.sample(10)
            first_seq = 0
        count = pair.device_seal.replayed_total + pair.device_seal.forged_total
        for framed in recorded:
            pair.device.receive(framed, pair.now_ms)
        found = pair.device_seal.replayed_total + pair.device_seal.forged_total
        assert found - count == len(recorded), is_reset
        assert pair.telemetry.first_seq == first_seq, is_reset


def test_unsealed_messages_change_nothing():
    pair = _Sealed()
    pair.run(100)
    pair.sample(10)
    tag = pair.device.tag
    for kind, body in (
        (message.ACK, (0, 0, 10, 10)),
        (message.WELCOME, (pair.boot, 64, 10, 0, "")),
        (message.REFUSAL, (2, 1, 1, 30)),
        (message.COMMAND, (pair.boot, 1, 100, 4, 0, 1)),
        (message.HELLO_REQUEST, (1, 2)),
        (message.TIME_REQUEST, (7,)),
    ):
        count = pair.device_seal.unsealed_total
        pair.device.receive(encode_for_board(message.pack(kind, tag, *body)), pair.now_ms)
        assert pair.device_seal.unsealed_total == count + 1, kind
        assert (pair.device.state, pair.telemetry.first_seq) == (device_states.UP, 0), kind
        assert pair.device.request is None
    hello = (pair.boot, 0, 0, 1, 1, 0, 0, 0, 0) + (0,) * 16 + ("d", "b", "f", "c")
    for kind, body in ((message.HELLO, hello), (message.LOG, (40, "x"))):
        count = pair.challenge.seal.unsealed_total
        raw = encode(message.pack(kind, tag, *body))
        assert pair.host.receive(raw, pair.now_ms) == [], kind
        assert pair.challenge.seal.unsealed_total == count + 1, kind
    assert pair.host.receive(encode(b"\x01"), pair.now_ms) == []
    pair.run(1000)
    assert pair.is_settled()


def test_link_comes_back_after_every_kind_of_restart():
    pair = _Sealed()
    pair.run(100)
    boot = pair.boot
    for event in ("reopen", "host", "board", "board and host"):
        if event == "reopen":
            pair.reopen()
        if "host" in event:
            pair.start_host()
        if "board" in event:
            boot += 1
            pair.start_board(boot)
        pair.sample(20)
        pair.run(session.HOST_SILENCE_MS + 5000, 50)
        assert pair.is_up() and pair.is_settled(), event
    pair.check_all_accounted_for()


def test_link_comes_up_over_a_bad_wire():
    for kind in (message.HELLO_REQUEST, message.HELLO | 0x80, message.CHANNELS | 0x80):
        pair = _Sealed()
        for wire in (pair.to_board, pair.to_host):
            wire.harm_next(kind, CORRUPT, 2)
        pair.run(8000, 50)
        assert pair.is_up(), kind


def test_host_without_a_session_sends_nothing_that_the_board_could_not_open():
    pair = _Sealed()
    pair.run(100)
    pair.start_host()  # and the board, which is up, hears nobody else for HOST_SILENCE_MS
    pair.sample(20)
    said = len(pair.to_board.kinds())
    pair.run(session.HOST_SILENCE_MS - 1000, 50)
    assert set(pair.to_board.kinds()[said:]) == {message.HELLO_REQUEST}
    assert pair.device_seal.forged_total == 0


def test_a_host_says_once_more_who_may_answer():
    # A HELLO of an earlier greeting: the challenge in it is used up, so another one is sent.
    pair = _Sealed()
    pair.run(100)
    pair.device._do(session.TIMEOUT, None, pair.now_ms)
    unasked = pair.challenge.unasked_total
    pair.run(2000)
    assert pair.challenge.unasked_total > unasked
    assert pair.is_up()
