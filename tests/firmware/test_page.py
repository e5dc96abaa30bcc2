"""A page: what goes in comes out, and nothing that is torn or changed is taken for one."""

from fake_board import FakeFlash
from pyv_edge_core.record_ring import RecordRing
from pyv_edge_node.page import PAGE_RECORDS, PAGE_SIZE, Page
from ring_model import unpack_slots

HEAP_KB_MIN = 192

ABOUT = (4, 0xFFFFFFFE, 77, 0xDEADBEEF, 100000, 999, 1, 2, 3)


def _ring(count, step_ms=1000, capacity=1024):
    ring = RecordRing(capacity)
    for index in range(count):
        time_ms = index * step_ms
        ring.push(index % 5, index % 3, index * 7 - 900, time_ms // 1000, time_ms % 1000)
    return ring


def _filled(telemetry, events):
    page = Page()
    page.begin((telemetry.first_seq, events.first_seq))
    for stream, ring in ((1, events), (0, telemetry)):
        while page.add(stream, ring):
            pass
    return page


def _all(source, stream, first, end, count_max=16):
    found = []
    seq = first
    while seq < end:
        count, base_s, base_ms, records = source.read(stream, seq, count_max)
        assert 0 < count <= count_max and len(records) == 8 * count
        found.extend(unpack_slots(seq, base_s, base_ms, records))
        seq += count
    return found


class _Ring:
    def __init__(self, ring):
        self.ring = ring

    def read(self, stream, seq, count_max):
        return self.ring.read(seq, count_max)


def test_what_goes_in_comes_out():
    for count, step_ms in ((1, 1), (16, 1000), (17, 1000), (60, 250), (40, 400_000)):
        telemetry, events = _ring(count, step_ms), _ring(5, 9)
        flash = FakeFlash(page=bytes(_filled(telemetry, events).seal(ABOUT)))
        page = Page()
        head = page.load(flash, "page")
        assert (head.first, head.end) == ((0, 0), (count, 5))
        assert (head.reset_cause, head.boot, head.boots, head.table) == ABOUT[:4]
        assert (head.end_s, head.end_ms, head.released, head.dropped) == (100000, 999, (1, 2), 3)
        for count_max in (16, 5, 1):
            for stream, ring in ((0, telemetry), (1, events)):
                expected = _all(_Ring(ring), stream, 0, ring.next_seq)
                assert _all(page, stream, 0, ring.next_seq, count_max) == expected
        for seq in (count - 1, 0, count // 2):  # in any order
            assert _all(page, 0, seq, seq + 1, 1) == _all(_Ring(telemetry), 0, seq, seq + 1, 1)


def test_a_page_is_never_larger_than_a_block_and_full_blocks_fill_it():
    telemetry, events = _ring(600), RecordRing(16)
    page = _filled(telemetry, events)
    assert PAGE_RECORDS <= page.end[0] <= PAGE_RECORDS + 16
    assert page.room == 0 and page.add(0, telemetry) == 0
    assert PAGE_SIZE - 20 <= len(page.seal(ABOUT)) <= PAGE_SIZE
    # Blocks of one reading, as of a board that measures once an hour, fit too.
    page = _filled(_ring(210, 5_000_000, 210 * 16), events)
    assert 100 < page.end[0] < 210
    assert len(page.seal(ABOUT)) <= PAGE_SIZE


def test_a_page_goes_on_where_it_ended():
    ring, events = _ring(20), RecordRing(16)
    page = _filled(ring, events)
    page.seal(ABOUT)
    for index in range(10):
        ring.push(0, 0, index, 20 + index, 0)
    while page.add(0, ring):
        pass
    flash = FakeFlash(page=bytes(page.seal(ABOUT)))
    again = Page()
    assert again.load(flash, "page").end == (30, 0)
    assert _all(again, 0, 0, 30) == _all(_Ring(ring), 0, 0, 30)


def test_what_is_torn_or_changed_is_no_page():
    content = bytes(_filled(_ring(20), _ring(3)).seal(ABOUT))
    page = Page()
    for size in range(len(content)):
        assert page.load(FakeFlash(page=content[:size]), "page") is None, size
    for place in range(len(content)):
        changed = content[:place] + bytes((content[place] ^ 0x10,)) + content[place + 1 :]
        assert page.load(FakeFlash(page=changed), "page") is None, place
    assert page.load(FakeFlash(page=content + b"\x00"), "page") is None
    assert page.load(FakeFlash(page=content), "page") is not None


def test_a_page_of_a_later_format_is_none():
    content = bytearray(_filled(_ring(2), RecordRing(16)).seal(ABOUT))
    content[0] = 2
    from binascii import crc32

    content[-4:] = crc32(bytes(content[:-4])).to_bytes(4, "little")
    assert Page().load(FakeFlash(page=bytes(content)), "page") is None
