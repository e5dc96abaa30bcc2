"""Both rings: their limits, what they drop and count, and long runs against plain lists."""

from check import numbers_from, raises, without_heap
from pyv_edge_core.errors import FieldError
from pyv_edge_core.record_ring import (
    BLOCK_RECORDS,
    RECORD_CAPACITY_MAX,
    SPAN_MS_MAX,
    RecordRing,
)
from ring_model import RingModel, compare, unpack_slots


def _push(ring, count, start_ms=0, step_ms=1):
    for index in range(count):
        time_ms = start_ms + index * step_ms
        ring.push(1, 0, index, time_ms // 1000, time_ms % 1000)


# -- RecordRing --------------------------------------------------------------------


def test_record_capacity_is_rounded_up_to_blocks():
    for asked, given in ((1, 16), (16, 16), (17, 32), (2048, 2048)):
        assert RecordRing(asked).capacity == given, asked


def test_record_capacity_out_of_range_is_refused():
    for capacity in (0, -1, RECORD_CAPACITY_MAX + 1):
        error = raises(FieldError, RecordRing, capacity)
        assert "capacity" in str(error) and str(capacity) in str(error), capacity


def test_new_record_ring_is_empty():
    ring = RecordRing(16)
    assert (len(ring), ring.first_seq, ring.next_seq, ring.dropped_total) == (0, 0, 0, 0)
    raises(IndexError, ring.read, 0, 1)
    raises(IndexError, ring.is_sealed, 0)


def test_record_comes_out_as_it_went_in():
    cases = (
        (0, 0, 0, 0, 0),
        (254, 2, 2147483647, 4294967295, 999),
        (7, 1, -2147483648, 1, 1),
        (126, 0, -1, 1073741824, 500),
    )
    for channel, quality, value, uptime_s, uptime_ms in cases:
        ring = RecordRing(16)
        assert ring.push(channel, quality, value, uptime_s, uptime_ms) is True
        count, base_s, base_ms, records = ring.read(0, 16)
        assert count == 1
        time_ms = uptime_s * 1000 + uptime_ms
        expected = [(0, channel, quality, value, time_ms)]
        assert unpack_slots(0, base_s, base_ms, records) == expected, expected


def test_slot_layout():
    ring = RecordRing(16)
    ring.push(1, 0, 0, 10, 0)
    ring.push(5, 2, -2, 10 + 66, 0)  # a span of 66000 ms needs bit 16
    count, base_s, base_ms, records = ring.read(0, 16)
    assert (count, base_s, base_ms) == (2, 10, 0)
    assert records == bytes.fromhex("0100000000000000" + "0506d001feffffff")


def test_full_ring_drops_whole_blocks_and_counts_each_record():
    ring = RecordRing(32)
    _push(ring, 32)
    assert (len(ring), ring.dropped_total) == (32, 0)
    assert ring.push(1, 0, 32, 0, 32) is False
    assert (ring.first_seq, ring.next_seq, ring.dropped_total, len(ring)) == (16, 33, 16, 17)
    assert ring.push(1, 0, 33, 0, 33) is True
    raises(IndexError, ring.read, 15, 1)
    assert unpack_slots(16, *ring.read(16, 1)[1:])[0][3] == 16


def test_ring_of_one_block_drops_all_of_it():
    ring = RecordRing(1)
    _push(ring, 16)
    assert ring.push(9, 0, 16, 0, 16) is False
    assert (ring.first_seq, ring.next_seq, ring.dropped_total) == (16, 17, 16)
    assert unpack_slots(16, *ring.read(16, 16)[1:]) == [(16, 9, 0, 16, 16)]


def test_released_records_are_not_counted_as_dropped():
    ring = RecordRing(32)
    _push(ring, 32)
    ring.release(10)
    assert (ring.first_seq, len(ring)) == (10, 22)
    assert ring.push(1, 0, 32, 0, 32) is False
    assert ring.dropped_total == 6
    assert ring.first_seq == 16


def test_release_of_a_part_of_a_block():
    ring = RecordRing(32)
    _push(ring, 20)
    ring.release(5)
    raises(IndexError, ring.read, 4, 1)
    count, base_s, base_ms, records = ring.read(5, 16)
    readings = unpack_slots(5, base_s, base_ms, records)
    assert count == 11
    assert [entry[0] for entry in readings] == list(range(5, 16))
    assert [entry[3] for entry in readings] == list(range(5, 16))
    assert [entry[4] for entry in readings] == list(range(5, 16))


def test_partly_released_record_is_no_longer_asked_about():
    ring = RecordRing(32)
    _push(ring, 20)
    ring.release(5)
    assert ring.is_sealed(5) is True
    raises(IndexError, ring.is_sealed, 4)


def test_release_frees_room_for_as_many():
    ring = RecordRing(32)
    _push(ring, 32)
    ring.release(16)
    for index in range(16):
        assert ring.push(1, 0, index, 1, 0) is True, index
    assert ring.dropped_total == 0
    assert ring.push(1, 0, 0, 1, 0) is False


def test_release_twice_or_backwards_changes_nothing():
    ring = RecordRing(32)
    _push(ring, 20)
    for seq in (7, 7, 3, 0):
        ring.release(seq)
        assert (ring.first_seq, len(ring)) == (7, 13), seq


def test_release_of_everything_then_more():
    ring = RecordRing(32)
    for round_index in range(10):
        _push(ring, 3)
        ring.release(ring.next_seq)
        assert len(ring) == 0, round_index
        raises(IndexError, ring.read, ring.first_seq, 1)
    assert (ring.next_seq, ring.dropped_total) == (30, 0)
    # An open block that was freed takes no more: the next record has a block of its own.
    ring.push(1, 0, 77, 9, 9)
    assert ring.read(30, 16)[:3] == (1, 9, 9)


def test_release_of_what_was_never_given_out_is_refused():
    ring = RecordRing(16)
    _push(ring, 3)
    error = raises(FieldError, ring.release, 4)
    assert "4" in str(error) and "3" in str(error)
    assert len(ring) == 3


def test_read_never_crosses_a_block_nor_its_maximum():
    ring = RecordRing(64)
    _push(ring, 40)
    cases = ((0, 100, 16), (0, 1, 1), (3, 100, 13), (15, 100, 1), (16, 5, 5), (32, 100, 8))
    for seq, count_max, count in cases:
        given, _, _, records = ring.read(seq, count_max)
        assert given == count and len(records) == count * 8, (seq, count_max, given)
    raises(IndexError, ring.read, 40, 1)
    raises(IndexError, ring.read, -1, 1)


def test_what_was_read_outlives_the_ring():
    ring = RecordRing(16)
    _push(ring, 16)
    records = ring.read(0, 16)[3]
    before = bytes(records)
    for _ in range(40):
        ring.push(200, 2, -1, 100, 0)
    assert records == before


def test_sealed_when_full_or_followed():
    ring = RecordRing(64)
    _push(ring, 15)
    assert ring.is_sealed(0) is False
    ring.push(1, 0, 15, 0, 15)
    assert ring.is_sealed(0) is True and ring.is_sealed(15) is True
    ring.push(1, 0, 16, 0, 16)
    assert ring.is_sealed(15) is True and ring.is_sealed(16) is False
    # Two hours later the block can't take it: a new one opens and seals it.
    ring.push(1, 0, 17, 7200, 0)
    assert ring.is_sealed(16) is True and ring.is_sealed(17) is False
    raises(IndexError, ring.is_sealed, 18)


def test_block_spans_seventy_minutes_and_not_one_millisecond_more():
    for base_ms in (0, 1, 999):
        for extra_ms, block_count in ((SPAN_MS_MAX, 1), (SPAN_MS_MAX + 1, 2), (86400000, 2)):
            ring = RecordRing(64)
            ring.push(1, 0, 1, 50, base_ms)
            time_ms = 50000 + base_ms + extra_ms
            ring.push(1, 0, 2, time_ms // 1000, time_ms % 1000)
            count, base_s, base_ms_read, records = ring.read(0, 16)
            assert count == 3 - block_count, (base_ms, extra_ms)
            if block_count == 2:
                _, base_s, base_ms_read, records = ring.read(1, 16)
            last = unpack_slots(0, base_s, base_ms_read, records)[-1]
            assert last[3:] == (2, time_ms), (base_ms, extra_ms)


def test_time_that_goes_back_opens_a_block():
    ring = RecordRing(32)
    ring.push(1, 0, 1, 10, 5)
    ring.push(1, 0, 2, 10, 4)
    assert ring.read(0, 16)[0] == 1
    assert unpack_slots(1, *ring.read(1, 16)[1:]) == [(1, 1, 0, 2, 10004)]


def test_uptime_beyond_the_small_integers_of_a_board():
    for uptime_s in (2**30 - 1, 2**30, 2**31, 2**32 - 3):
        ring = RecordRing(32)
        ring.push(1, 0, 1, uptime_s, 998)
        ring.push(1, 0, 2, uptime_s + 2, 3)
        count, base_s, base_ms, records = ring.read(0, 16)
        assert (count, base_s, base_ms) == (2, uptime_s, 998), uptime_s
        assert unpack_slots(0, base_s, base_ms, records)[1][4] == (uptime_s + 2) * 1000 + 3


def test_record_ring_agrees_with_lists_over_a_long_run():
    for block_count, seed in ((1, 1), (2, 2), (3, 3), (7, 4)):
        numbers = numbers_from(seed)
        ring = RecordRing(block_count * BLOCK_RECORDS)
        model = RingModel(block_count)
        time_ms = 0
        for step in range(600):
            choice = next(numbers) % 10
            if choice < 8:
                for _ in range(next(numbers) % 12):
                    # Mostly short steps, now and then longer than a block can span.
                    time_ms += next(numbers) % 2000
                    if next(numbers) % 40 == 0:
                        time_ms += SPAN_MS_MAX
                    channel = next(numbers) % 255
                    value = next(numbers) * next(numbers) - 2**31
                    kept = ring.push(channel, channel % 3, value, time_ms // 1000, time_ms % 1000)
                    assert kept == model.push(channel, channel % 3, value, time_ms), (seed, step)
            else:
                seq = model.first_seq + next(numbers) % (model.next_seq - model.first_seq + 1)
                ring.release(seq)
                model.release(seq)
            if step % 5 == 0:
                compare(ring, model)
        compare(ring, model)
        assert model.dropped_total > 0, seed


def test_push_needs_no_heap():
    ring = RecordRing(64)

    def thousand_rounds():
        second = 0
        while second < 1000:
            ring.push(1, 0, second, second, 500)
            second += 1

    without_heap(thousand_rounds)
    assert (ring.next_seq, ring.dropped_total, len(ring)) == (1000, 944, 56)


# -- RingBuffer --------------------------------------------------------------------
