"""Both ends of the link against each other: greeting, and who is meant."""

from pair import CORRUPT, DROP, DUPLICATE, Pair, pair_that_is_up
from pyv_edge_core import channel_table, device_states, host_states, message, session
from pyv_edge_core.frame import FrameDecoder, encode, encode_for_board
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.pacing import Pacing

HEAP_KB_MIN = 512  # a board, its host and the wires between them: more than a board holds


def _to_board(pair, kind, tag, *values):
    """Let the board receive a message that its host session did not send."""
    pair.device.receive(encode_for_board(message.pack(kind, tag, *values)), pair.now_ms)


def test_states_on_the_way_up():
    pair = Pair()
    pair.is_welcoming = False
    assert (pair.device.state, pair.host.state) == (device_states.GREETING, host_states.WAITING)
    pair.step()
    assert (pair.device.state, pair.host.state) == (device_states.GREETING, host_states.GREETED)
    assert pair.welcome(pair.boot) is True
    pair.run(50)
    assert (pair.device.state, pair.host.state) == (device_states.UP, host_states.UP)


def test_greeting_tells_who_and_what_the_board_is():
    pair = Pair(telemetry=100, channels=3, now_ms=5000)
    pair.device.identity.reset_cause = 3
    pair.device.identity.config_hash = 0xFFFFFFFF
    pair.sample(5)
    pair.sample(2, stream=1)
    pair.run(50)
    assert len(pair.greetings) == 1
    hello = pair.greetings[0].hello
    assert (hello.device, hello.board, hello.boot) == ("device-1", "fake", pair.boot)
    assert (hello.firmware, hello.core, hello.version_min) == ("0.1", "0.1", 1)
    assert (hello.reset_cause, hello.config_hash) == (3, 0xFFFFFFFF)
    assert (hello.telemetry_first, hello.telemetry_next) == (0, 5)
    assert (hello.events_first, hello.events_next) == (0, 2)
    assert (hello.capacity, hello.dropped_total) == (112, 0)
    assert hello.uptime_s * 1000 + hello.uptime_ms == 10
    names = [channel.name for channel in pair.greetings[0].channels]
    assert names == ["channel-0", "channel-1", "channel-2"]


def test_channel_table_over_several_messages():
    pair = pair_that_is_up(channels=40)
    assert pair.to_host.kinds().count(message.CHANNELS) > 2
    names = [channel.name for channel in pair.greetings[0].channels]
    assert names == [channel.name for channel in pair.channels]


def test_board_without_channels_is_greeted():
    pair = pair_that_is_up(channels=0)
    assert pair.greetings[0].channels == []


def test_lost_part_of_the_channel_table_comes_with_the_next_hello():
    for action in (DROP, CORRUPT):
        pair = Pair(channels=40)
        pair.to_host.harm_next(message.CHANNELS, action)
        pair.run(900)
        assert pair.greetings == [], action
        pair.run(200)
        assert len(pair.greetings) == 1, action
        names = [channel.name for channel in pair.greetings[0].channels]
        assert names == [channel.name for channel in pair.channels], action


def test_repeated_part_of_the_channel_table_is_taken_once():
    pair = Pair(channels=40)
    pair.to_host.harm_next(message.CHANNELS, DUPLICATE, 3)
    pair.run(100)
    assert len(pair.greetings) == 1
    assert len(pair.greetings[0].channels) == 40


def test_hello_is_repeated_until_there_is_a_welcome():
    pair = Pair()
    pair.is_welcoming = False
    pair.run(3500)
    assert pair.to_host.kinds().count(message.HELLO) == 4
    # It greets once: the repetitions say nothing new while the host looks up its resume point.
    assert len(pair.greetings) == 1
    pair.welcome(pair.boot)
    pair.run(2000)
    assert pair.to_host.kinds().count(message.HELLO) == 4


def test_lost_hello_or_welcome_costs_one_hello_interval():
    cases = ((message.HELLO, "to_host"), (message.WELCOME, "to_board"))
    for kind, wire in cases:
        for action in (DROP, CORRUPT):
            pair = Pair()
            getattr(pair, wire).harm_next(kind, action)
            pair.sample(20)
            pair.run(500)
            assert pair.device.state == device_states.GREETING, (kind, action)
            pair.run(1500)
            assert pair.is_settled(), (kind, action)
            pair.check_all_accounted_for()


def test_repeated_hello_or_welcome_does_no_harm():
    for kind, wire in ((message.HELLO, "to_host"), (message.WELCOME, "to_board")):
        pair = Pair()
        getattr(pair, wire).harm_next(kind, DUPLICATE)
        pair.sample(50)
        pair.run(2000)
        assert pair.is_settled(), kind
        pair.check_all_accounted_for()


def test_welcome_of_a_board_that_is_gone_is_refused():
    pair = Pair()
    assert pair.host.welcome(pair.boot, 0, 0) is False
    pair.is_welcoming = False
    pair.step()
    assert pair.host.welcome(pair.boot + 1, 0, 0) is False
    assert pair.host.state == host_states.GREETED
    assert pair.host.welcome(pair.boot, 0, 0) is True
    assert pair.host.welcome(pair.boot, 0, 0) is False


def test_welcome_that_claims_what_was_never_taken_is_refused():
    pair = Pair()
    pair.is_welcoming = False
    pair.sample(3)
    pair.step()
    _to_board(pair, message.WELCOME, pair.device.tag, pair.boot, 64, 4, 0, "")
    assert (pair.device.state, pair.device.bad_messages_total) == (device_states.GREETING, 1)
    assert len(pair.telemetry) == 3
    _to_board(pair, message.WELCOME, pair.device.tag, pair.boot, 64, 3, 0, "")
    assert (pair.device.state, len(pair.telemetry)) == (device_states.UP, 0)


def test_welcome_for_another_boot_with_the_same_tag_is_stale():
    pair = Pair()
    other = pair.boot ^ 0x10000
    _to_board(pair, message.WELCOME, pair.device.tag, other, 64, 0, 0, "")
    assert (pair.device.state, pair.device.stale_total) == (device_states.GREETING, 1)


def test_hello_whose_tag_is_not_of_its_boot_is_refused():
    pair = Pair(channels=0)
    numbers = (pair.boot, 0, 0, 1, 1, 0, 0, 0, 0) + (0, 0, 0, 0, 16) + (0,) * 11
    texts = ("device-1", "fake", "0.1", "0.1")
    for tag, count in ((pair.device.tag ^ 1, 0), (pair.device.tag, 1)):
        hello = message.pack(message.HELLO, tag, *(numbers + texts))
        assert len(pair.host.receive(encode(hello), 0)) == count, tag
    assert pair.host.bad_messages_total == 1


def test_channel_table_that_is_not_the_announced_one_is_refused():
    pair = Pair(channels=2)
    hello = pair.device.transmit(0, 0, 0)
    pair.channels[1].exponent = -3  # as if the settings had changed between two messages
    other = encode(channel_table.pack(pair.device.tag, pair.channels)[0])
    (refusal,) = pair.host.receive(hello + other, 0)
    assert (refusal.hello.device, refusal.reason) == ("device-1", session.REFUSED_GREETING)
    assert refusal.problem == "CHANNELS don't make the table that HELLO announced"
    assert pair.host.bad_messages_total == 1
    pair.run(session.REFUSED_S * 1000 - 1000)
    assert (pair.greetings, pair.device.refusal.reason) == ([], session.REFUSED_GREETING)
    pair.run(3000)
    assert [len(greeting.channels) for greeting in pair.greetings] == [2]


def test_host_of_the_longest_allowed_name_welcomes():
    # The WELCOME has to fit into what may be in flight towards a board.
    for length in (0, 14, 24):
        pair = Pair(host="\x03" * length)  # a byte that is stuffed
        pair.run(12000, 100)
        assert pair.device.state == device_states.UP, length


def test_stale_tag_is_ignored_and_counted_by_the_board():
    pair = pair_that_is_up()
    pair.is_committing = False
    pair.sample(16)
    pair.run(300)
    stale = pair.device.tag ^ 1
    _to_board(pair, message.ACK, stale, 0, 0, 16, 16)
    assert (pair.device.stale_total, len(pair.telemetry)) == (1, 16)
    _to_board(pair, message.WELCOME, stale, pair.boot, 1, 16, 0, "")
    assert (pair.device.stale_total, len(pair.telemetry)) == (2, 16)


def test_stale_tag_is_ignored_and_counted_by_the_host():
    pair = pair_that_is_up()
    stale = pair.device.tag ^ 1
    for raw in (
        message.pack_data(stale, 0, 0, 0, 0, bytes(8)),
        message.pack(message.GAP, stale, 0, 1, 0, 5),
        message.pack(message.LOG, stale, 0, "x"),
    ):
        before = pair.host.stale_total
        assert pair.host.receive(encode(raw), pair.now_ms) == [], raw
        assert pair.host.stale_total == before + 1, raw


def test_host_that_does_not_know_a_board_asks_for_its_hello():
    pair = pair_that_is_up()
    pair.start_host()
    pair.sample(16)
    pair.run(200)
    assert pair.to_board.kinds().count(message.HELLO_REQUEST) == 1
    assert len(pair.greetings) == 2
    assert pair.delivered() == list(range(16))


def test_hello_is_asked_for_once_a_second_at_most():
    pair = pair_that_is_up()
    pair.to_board.is_cut = True  # the board hears none of it and goes on sending
    pair.start_host()
    asked = len(pair.to_board.kinds())
    for _ in range(40):
        pair.sample(1)
        pair.run(100)
    kinds = pair.to_board.kinds()[asked:]
    assert 3 <= kinds.count(message.HELLO_REQUEST) <= 5


def test_board_that_hears_nothing_greets_anew():
    pair = pair_that_is_up()
    pair.to_board.is_cut = True
    pair.run(session.HOST_SILENCE_MS - 200, 50)
    assert pair.device.state == device_states.UP
    pair.run(400, 50)
    assert pair.device.state == device_states.GREETING
    assert pair.to_host.kinds()[-1] in (message.HELLO, message.CHANNELS)
    pair.to_board.is_cut = False
    pair.sample(5)
    pair.run(2000, 50)
    assert pair.is_settled()
    pair.check_all_accounted_for()


def test_idle_link_stays_up():
    pair = pair_that_is_up()
    pair.run(60000, 50)
    assert pair.device.state == device_states.UP
    assert pair.to_host.kinds().count(message.HELLO) == 1


def test_messages_in_the_wrong_direction_are_counted():
    pair = pair_that_is_up()
    _to_board(pair, message.GAP, pair.device.tag, 0, 1, 0, 5)
    assert pair.device.bad_messages_total == 1
    ack = message.pack(message.ACK, pair.device.tag, 0, 0, 0, 0)
    assert pair.host.receive(encode(ack), pair.now_ms) == []
    assert pair.host.bad_messages_total == 1


def test_broken_and_unknown_messages_are_counted_at_both_ends():
    pair = pair_that_is_up()
    for framed in (encode(b"\x01\x06\x00"), encode(b"\x01\x0b\x00\x00\x00\x09x")):
        pair.device.receive(framed, pair.now_ms)
        assert pair.host.receive(framed, pair.now_ms) == []
    pair.device.receive(encode(b"\x01\x63\x00\x00"), pair.now_ms)
    assert pair.host.receive(encode(b"\x01\x63\x00\x00"), pair.now_ms) == []
    assert (pair.device.bad_messages_total, pair.device.unknown_messages_total) == (2, 1)
    assert (pair.host.bad_messages_total, pair.host.unknown_messages_total) == (2, 1)
    pair.sample(16)
    pair.run(300)
    assert pair.is_settled()


def test_console_text_between_frames_harms_nothing():
    pair = pair_that_is_up()
    pair.sample(16)
    pair.to_host.inject(b"print from a sensor\n", pair.now_ms)
    pair.step()
    pair.to_host.inject(b"and again\r\n", pair.now_ms)
    pair.sample(16)
    pair.run(200)
    assert pair.host.decoder.take_console() == b"print from a sensor\nand again\r\n"
    assert pair.delivered() == list(range(32))


def test_hello_waits_until_the_channel_table_has_left():
    # A slow line: a frame may leave every 400 ms, and the table takes several.
    pair = Pair(channels=60)
    kinds = []
    for now_ms in range(0, 8000, 400):
        for payload in FrameDecoder().feed(pair.device.transmit(now_ms, 0, 0)):
            kinds.append(message.parse(payload)[0])
    table = 0
    while kinds[1 + table] == message.CHANNELS:
        table += 1
    assert table >= 5
    assert kinds[: 2 + table] == [message.HELLO] + [message.CHANNELS] * table + [message.HELLO]


def test_answer_to_an_earlier_session_is_not_believed():
    earlier = HostSession()
    pair = Pair()
    hello = pair.device.transmit(0, 0, 0)
    earlier.receive(hello, 0)
    asked = earlier.transmit(0)
    pair.device.receive(asked, 10)
    late = pair.device.transmit(10, 0, 10)  # an answer that is still on its way
    later = HostSession(pacing=Pacing(earlier.pacing.token))
    later.receive(hello, 500)
    assert later.transmit(500)
    assert later.receive(late, 510) == []
    assert later.stale_total == 1


def test_board_that_has_released_what_is_asked_for_is_asked_to_greet():
    # As after a visit to another port, whose host has taken more than this one.
    pair = pair_that_is_up()
    pair.sample(16)
    pair.run(500)
    outbound = pair.device.streams[0]
    pair.telemetry.push(0, 0, 1, 0, 0)
    outbound.ring.release(17)
    outbound.acked_seq = outbound._sent_seq = outbound.released_seq = 17
    greetings = len(pair.greetings)
    for _ in range(300):
        pair.sample(1)
        pair.run(100)
    assert len(pair.greetings) > greetings
    assert {gap[2] for gap in pair.store.gaps} == {message.GAP_RELEASED}
