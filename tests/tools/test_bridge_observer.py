"""Who looks on holds up nobody, is told what is missing, and can end it all."""

import threading

import pytest
from pyv_edge_tools.bridge import observer
from pyv_edge_tools.bridge.chunk import TO_HOST, Chunk, Note
from pyv_edge_tools.bridge.errors import BridgeError
from pyv_edge_tools.bridge.observer import Observer

DEADLINE_S = 60


class Looker:
    """Remembers; waits while it is told to; fails at a note that says so."""

    def __init__(self, kind=BridgeError):
        self.kind = kind
        self.seen = []
        self.has_ended = False
        self.may_go = threading.Event()
        self.is_waiting = threading.Event()
        self.may_go.set()

    def take(self, seen):
        self.is_waiting.set()
        assert self.may_go.wait(DEADLINE_S)
        if isinstance(seen, Note):
            raise self.kind(seen.text)
        self.seen.append(seen)

    def tick(self):
        pass

    def end(self):
        self.has_ended = True


def test_all_is_seen_in_order_before_the_end():
    looker = Looker()
    watched = Observer([looker], lambda: None)
    chunks = [Chunk(at, TO_HOST, b"x") for at in range(1000)]
    for chunk in chunks:
        watched.observe(chunk)
    watched.end()
    assert looker.seen == chunks
    assert looker.has_ended
    assert watched.unseen_bytes_total == 0


def test_what_waits_is_bounded_and_what_has_no_room_is_counted():
    looker = Looker()
    looker.may_go.clear()
    watched = Observer([looker], lambda: None)
    watched.observe(Chunk(0, TO_HOST, b"first"))
    assert looker.is_waiting.wait(DEADLINE_S)
    size = 100_000
    count = observer.WAITING_MAX // size + 5
    for at in range(count):
        watched.observe(Chunk(at, TO_HOST, bytes(size)))
    lost = watched.unseen_bytes_total
    assert lost >= 5 * size
    looker.may_go.set()
    watched.end()
    assert len(looker.seen) == 1 + count - lost // size


def test_one_that_fails_ends_it_and_says_why():
    looker, ended = Looker(), threading.Event()
    watched = Observer([looker], ended.set)
    watched.observe(Note(0, "the disk is on fire"))
    assert ended.wait(DEADLINE_S)
    watched.observe(Chunk(0, TO_HOST, b"x"))  # nobody takes it any more
    with pytest.raises(BridgeError, match="the disk is on fire"):
        watched.end()
    assert not looker.has_ended


def test_fault_of_ours_ends_it_too_in_a_line():
    ended = threading.Event()
    watched = Observer([Looker(ZeroDivisionError)], ended.set)
    watched.observe(Note(0, "two\nlines"))
    assert ended.wait(DEADLINE_S)
    with pytest.raises(BridgeError, match=r"ZeroDivisionError: 'two\\nlines'") as raised:
        watched.end()
    assert len(str(raised.value).splitlines()) == 1


def test_work_is_done_in_its_turn_and_by_the_same_thread():
    looker, threads = Looker(), []
    watched = Observer([looker], lambda: None)
    first, second = Chunk(0, TO_HOST, b"first"), Chunk(1, TO_HOST, b"second")
    watched.observe(first)
    watched.do(lambda: threads.append((threading.current_thread(), list(looker.seen))))
    watched.observe(second)
    watched.end()
    ((thread, seen),) = threads
    assert thread is not threading.current_thread()
    assert seen == [first]
    assert looker.seen == [first, second]


def test_one_that_fails_when_all_is_over_already_asks_nobody_to_end():
    class Last(Looker):
        def end(self):  # called only when all is over
            raise BridgeError("the disk is on fire")

    asked = []
    watched = Observer([Last()], lambda: asked.append(True))
    with pytest.raises(BridgeError, match="the disk is on fire"):
        watched.end()
    assert asked == []
