"""Both ends of the link against each other: readings arrive once, in order, acknowledged."""

from pair import CORRUPT, DROP, DUPLICATE, Pair, pair_that_is_up
from pyv_edge_core import message, session
from pyv_edge_core.frame import FrameDecoder, encode, encode_for_board

HEAP_KB_MIN = 256  # a board, its host and the wires between them: more than a board holds


def _to_board(pair, kind, tag, *values):
    """Let the board receive a message that its host session did not send."""
    pair.device.receive(encode_for_board(message.pack(kind, tag, *values)), pair.now_ms)


def test_readings_arrive_once_in_order_and_leave_the_ring():
    pair = pair_that_is_up()
    for _ in range(20):
        pair.sample(9)
        pair.sample(1, stream=1)
        pair.run(100)
    pair.run(1000)
    assert pair.delivered() == list(range(180))
    assert pair.delivered(1) == list(range(20))
    assert pair.is_settled()
    assert (pair.host.duplicates_total, pair.device.resends_total) == (0, 0)
    pair.check_all_accounted_for()


def test_full_blocks_leave_at_once_and_others_after_a_moment():
    pair = pair_that_is_up()
    pair.sample(16)
    pair.step()
    assert len(pair.delivered()) == 16
    pair.sample(1)
    pair.run(session.FLUSH_MS)
    assert len(pair.delivered()) == 16
    pair.step()
    assert len(pair.delivered()) == 17


def test_event_neither_waits_for_another_nor_behind_full_blocks():
    pair = pair_that_is_up()
    pair.sample(40)
    pair.sample(1, stream=1)
    (first,) = FrameDecoder().feed(pair.device.transmit(pair.now_ms, 0, 0))
    assert message.parse(first)[1].stream == 1
    pair = pair_that_is_up()
    pair.sample(1, stream=1)
    pair.step()
    assert pair.delivered(1) == [0]


def test_nothing_is_acknowledged_before_it_is_committed():
    pair = pair_that_is_up()
    pair.is_committing = False
    pair.sample(32)
    pair.run(1000)
    assert len(pair.telemetry) == 32
    assert pair.device.in_flight == 32
    pair.is_committing = True
    pair.step()
    assert len(pair.telemetry) == 0


def test_commit_that_cannot_be_is_refused():
    pair = pair_that_is_up()
    pair.is_committing = False
    pair.sample(16)
    pair.run(300)
    assert pair.host.committed(pair.boot, 0, 17) is False
    assert pair.host.committed(pair.boot + 1, 0, 16) is False
    pair.run(100)
    assert len(pair.telemetry) == 16
    assert pair.host.committed(pair.boot, 0, 10) is True
    assert pair.host.committed(pair.boot, 0, 9) is False
    pair.run(100)
    assert len(pair.telemetry) == 6


def test_host_that_starts_again_resumes_where_it_committed():
    pair = pair_that_is_up()
    pair.sample(40)
    pair.run(500)
    pair.is_committing = False
    pair.sample(20)
    pair.run(500)
    pair.start_host()  # 20 readings are taken and not committed: they die with it
    pair.is_committing = True
    pair.sample(3)
    pair.run(2000)
    assert len(pair.greetings) == 2
    assert pair.delivered() == list(range(63))
    assert pair.is_settled() and pair.gaps() == []
    pair.check_all_accounted_for()


def test_board_reset_begins_a_new_numbering():
    pair = pair_that_is_up()
    pair.sample(10)
    pair.run(500)
    first_boot = pair.boot
    pair.sample(5)  # die with the board: nothing can bring them back
    pair.start_board(0x12345678)
    pair.sample(7)
    pair.run(1500)
    assert [greeting.hello.boot for greeting in pair.greetings] == [first_boot, 0x12345678]
    assert pair.delivered() == list(range(7))
    pair.check_stream(first_boot, 0, 10)
    pair.check_stream(0x12345678, 0, 7)
    assert pair.host.committed(first_boot, 0, 10) is False


def test_lost_or_damaged_frame_is_asked_for():
    for action in (DROP, CORRUPT):
        pair = pair_that_is_up()
        pair.to_host.harm_next(message.DATA, action)
        pair.sample(48)
        started_ms = pair.now_ms
        while not pair.is_settled():
            pair.step()
            assert pair.now_ms - started_ms < session.RESEND_MS, action
        # Asked for, and so long before the board would have come upon it by itself.
        assert pair.host.resend_requests_total == 1, action
        assert pair.device.resends_total == 1, action
        assert message.ACK_RESEND in pair.to_board.ack_flags(), action
        assert pair.delivered() == list(range(48)), action
        pair.check_all_accounted_for()


def test_lost_request_is_repeated():
    pair = pair_that_is_up()
    pair.to_host.harm_next(message.DATA, DROP)
    pair.to_board.harm_next(message.ACK, DROP)
    pair.sample(32)
    pair.run(100)
    assert pair.host.resend_requests_total == 1
    pair.run(session.RESEND_REQUEST_MS)
    pair.sample(16)  # it is what comes behind that shows that something is still missing
    pair.run(100)
    assert pair.host.resend_requests_total == 2
    assert pair.delivered() == list(range(48))


def test_repeated_frame_is_taken_once():
    pair = pair_that_is_up()
    pair.to_host.harm_next(message.DATA, DUPLICATE, 2)
    pair.sample(32)
    pair.run(500)
    assert pair.host.duplicates_total == 32
    assert pair.delivered() == list(range(32))
    pair.check_all_accounted_for()


def test_lost_ack_is_said_again():
    pair = pair_that_is_up()
    pair.to_board.harm_next(message.ACK, DROP)
    pair.sample(16)
    pair.run(session.RESEND_MS - 100)
    assert (len(pair.telemetry), pair.device.resends_total) == (16, 0)
    pair.run(200)
    assert (len(pair.telemetry), pair.device.resends_total) == (0, 1)
    assert pair.host.duplicates_total == 16
    assert pair.to_board.kinds().count(message.ACK) == 2
    assert pair.delivered() == list(range(16))


def test_silence_is_answered_with_rarer_and_rarer_resends():
    pair = pair_that_is_up()
    pair.is_committing = False  # so that no ACK comes, but the host is heard
    pair.sample(16)
    times = []
    for _ in range(2400):
        pair.step(50)
        if len(pair.to_host.streams()) > len(times):
            times.append(pair.now_ms)
    waits = [times[index + 1] - times[index] for index in range(len(times) - 1)]
    expected = [3000, 6000, 12000, 24000, 30000, 30000]
    assert len(waits) == len(expected), waits
    for index in range(len(expected)):
        assert expected[index] <= waits[index] <= expected[index] + 100, (index, waits)
    pair.is_committing = True
    pair.run(31000, 50)
    assert pair.is_settled()
    # An ACK that moves sets the wait back to its beginning.
    pair.to_board.harm_next(message.ACK, DROP)
    pair.sample(16)
    pair.run(3200, 50)
    assert pair.is_settled()
    pair.check_all_accounted_for()


def test_repeated_or_old_ack_is_harmless():
    pair = pair_that_is_up()
    pair.sample(48)
    pair.run(500)
    pair.is_committing = False
    pair.sample(16)
    pair.run(300)
    before = (pair.device.in_flight, len(pair.to_host.kinds()))
    for committed, wanted, flags in (
        (48, 48, 0),
        (16, 32, 0),
        (0, 0, 0),
        (16, 32, message.ACK_RESEND),
        (0, 0, message.ACK_RESEND),
    ):
        _to_board(pair, message.ACK, pair.device.tag, 0, flags, committed, wanted)
    pair.run(100)
    assert (pair.device.in_flight, len(pair.to_host.kinds())) == before
    assert (pair.device.bad_messages_total, pair.device.resends_total) == (0, 0)
    pair.is_committing = True
    pair.run(300)
    pair.check_all_accounted_for()


def test_ack_that_passes_what_is_sent_again_is_taken():
    pair = pair_that_is_up()
    pair.is_committing = False
    pair.sample(32)
    pair.run(100)
    before = pair.to_host.kinds()
    _to_board(pair, message.ACK, pair.device.tag, 0, message.ACK_RESEND, 0, 0)
    _to_board(pair, message.ACK, pair.device.tag, 0, 0, 32, 32)
    assert len(pair.telemetry) == 0
    pair.run(500)
    # It has gone back to 0 and forward again: neither data nor a gap is left to send.
    assert pair.to_host.kinds() == before


def test_ack_beyond_what_was_given_out_is_refused():
    pair = pair_that_is_up()
    pair.is_committing = False
    pair.sample(16)
    pair.run(300)
    for committed, wanted in ((17, 17), (0, 17), (5, 4), (0xFFFFFFFF, 0xFFFFFFFF)):
        before = pair.device.bad_messages_total
        _to_board(pair, message.ACK, pair.device.tag, 0, 0, committed, wanted)
        assert pair.device.bad_messages_total == before + 1, (committed, wanted)
        assert len(pair.telemetry) == 16, (committed, wanted)


def test_vitals_get_through_between_readings():
    pair = pair_that_is_up(telemetry=512, window=512)
    pair.sample(400)
    payload = message.pack(message.LOG, pair.device.tag, 1, "hello")
    assert pair.device.report(payload) is True
    pair.run(30)
    assert [report.message.text for report in pair.reports] == ["hello"]
    assert len(pair.delivered()) < 400


def test_report_without_a_host_or_without_room_is_counted():
    pair = Pair()
    payload = message.pack(message.LOG, pair.device.tag, 1, "x")
    assert pair.device.report(payload) is False
    assert pair.device.outgoing_dropped_total == 1
    pair.run(100)
    accepted = 0
    while pair.device.report(payload):
        accepted += 1
        assert accepted < 1000
    assert pair.device.outgoing_dropped_total == 2
    pair.run(100)
    assert len(pair.reports) == accepted == 40


def test_frame_that_is_partly_known_brings_the_rest():
    pair = pair_that_is_up()
    pair.is_committing = False
    records = bytes([place // 8 for place in range(32)])
    for first, last, new in ((0, 2, (0, 16)), (0, 4, (16, 32)), (1, 3, None)):
        raw = encode(
            message.pack_data(pair.device.tag, 0, first, 0, 0, records[first * 8 : last * 8])
        )
        events = pair.host.receive(raw, pair.now_ms)
        if new is None:
            assert events == []
        else:
            (batch,) = events
            assert (batch.first_seq, batch.records) == (new[0] // 8, records[new[0] : new[1]])
    assert pair.host.duplicates_total == 4
