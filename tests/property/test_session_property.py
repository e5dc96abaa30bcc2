"""Whatever a link does: each reading is delivered once, in order, or lies in exactly one gap."""

from check import raises
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pair import CORRUPT, DROP, DUPLICATE, Pair
from profiles import examples
from pyv_edge_core import message, session
from pyv_edge_core.errors import FieldError
from pyv_edge_core.record_ring import SPAN_MS_MAX, RecordRing
from ring_model import RingModel, compare


class RingMachine(RuleBasedStateMachine):
    """The board's ring beside a model of lists."""

    def __init__(self):
        super().__init__()
        self.ring = RecordRing(48)
        self.model = RingModel(3)
        self.time_ms = 0

    @rule(
        count=st.integers(1, 20),
        step_ms=st.one_of(st.integers(0, 5000), st.integers(SPAN_MS_MAX // 3, SPAN_MS_MAX + 1)),
        channel=st.integers(0, 254),
        quality=st.integers(0, 2),
        value=st.integers(-(2**31), 2**31 - 1),
    )
    def push(self, count, step_ms, channel, quality, value):
        for _ in range(count):
            self.time_ms += step_ms
            kept = self.ring.push(
                channel, quality, value, self.time_ms // 1000, self.time_ms % 1000
            )
            assert kept == self.model.push(channel, quality, value, self.time_ms)

    @precondition(lambda self: len(self.ring))
    @rule(part=st.floats(0, 1))
    def release(self, part):
        seq = self.ring.first_seq + round(part * len(self.ring))
        self.ring.release(seq)
        self.model.release(seq)

    @rule(back=st.integers(0, 100))
    def release_what_is_released(self, back):
        self.ring.release(max(0, self.ring.first_seq - back))

    @rule(ahead=st.integers(1, 100))
    def release_what_was_never_given_out(self, ahead):
        raises(FieldError, self.ring.release, self.ring.next_seq + ahead)

    @rule(count_max=st.integers(1, 20), part=st.floats(0, 1))
    def read(self, count_max, part):
        seq = self.ring.first_seq + round(part * len(self.ring))
        if seq == self.ring.next_seq:
            raises(IndexError, self.ring.read, seq, count_max)
        else:
            assert self.ring.read(seq, count_max)[0] == len(self.model.read(seq, count_max))

    @rule(outside=st.integers(1, 40))
    def read_outside(self, outside):
        raises(IndexError, self.ring.read, self.ring.first_seq - outside, 1)
        raises(IndexError, self.ring.read, self.ring.next_seq + outside, 1)

    @invariant()
    def agrees(self):
        compare(self.ring, self.model)


RingMachine.TestCase.settings = examples(60, stateful_step_count=40)
test_record_ring_agrees_with_lists = RingMachine.TestCase

# What becomes of one frame. Mostly nothing, or no example would ever get anywhere.
harms = st.sampled_from([None] * 6 + [DROP, DUPLICATE, CORRUPT])
fates = st.tuples(harms, st.sampled_from([0, 0, 0, 10, 150, 900]))
# What happens beside the link between two looks at it.
steps = st.lists(
    st.tuples(
        st.sampled_from(["go", "go", "go", "go", "go", "host", "board", "cut", "lag"]),
        st.integers(0, 40),  # readings
        st.integers(0, 3),  # events
        st.sampled_from([10, 50, 200, 1000, 4000]),  # how long it goes on
    ),
    min_size=1,
    max_size=15,
)


class _Fates:
    """Gives out the fates of frames in turn, and begins anew at the end."""

    def __init__(self, drawn):
        self._drawn = drawn
        self._index = 0

    def __call__(self):
        if not self._drawn:
            return None, 0
        fate = self._drawn[self._index % len(self._drawn)]
        self._index += 1
        return fate


def _happen(pair, what, duration_ms, boots):
    """Let one thing happen for `duration_ms` and see to it that it ends."""
    if what == "host":
        pair.start_host()
    elif what == "board":
        boots.append(pair.boot)
        pair.start_board(pair.boot + 0x10001)
    pair.to_host.is_cut = what == "cut"
    pair.is_committing = what != "lag"
    pair.run(duration_ms, 10 if duration_ms < 1000 else 50)
    pair.to_host.is_cut = False
    pair.is_committing = True


@examples(800)
@given(
    st.lists(fates, max_size=25),
    st.lists(fates, max_size=25),
    steps,
    st.sampled_from([1, 7, 16, 64]),
    st.sampled_from([16, 48, 256]),
)
def test_every_reading_is_accounted_for(to_host, to_board, script, window, capacity):
    pair = Pair(telemetry=capacity, events=16, window=window)
    pair.to_host.schedule = _Fates(to_host)
    pair.to_board.schedule = _Fates(to_board)
    boots = []
    for what, reading_count, event_count, duration_ms in script:
        pair.sample(reading_count)
        pair.sample(event_count, stream=1)
        _happen(pair, what, duration_ms, boots)
    pair.to_host.schedule = pair.to_board.schedule = None
    for _ in range(60):
        if pair.is_settled():
            break
        pair.run(2000, 50)
    assert pair.is_settled(), (pair.device.state, pair.device.in_flight)
    pair.check_all_accounted_for()
    for stream in (0, 1):
        causes = [cause for cause, _, _ in pair.gaps(stream)]
        assert set(causes) <= {message.GAP_OVERWRITTEN}
        lost = sum(last - first + 1 for _, first, last in pair.gaps(stream))
        # A gap is what the ring dropped, never more: the host may have had some of it before.
        assert lost <= pair.rings[stream].dropped_total
    # What an earlier boot delivered before its reset (or was on its way) is there once, unharmed.
    for boot in boots:
        for stream in (0, 1):
            pair.check_stream(boot, stream, pair.store.resume(boot, stream))


@examples(60)
@given(
    st.lists(st.tuples(harms, st.sampled_from([0, 20, 300])), max_size=25),
    st.lists(st.integers(0, 20), min_size=1, max_size=15),
)
def test_a_board_is_never_sent_more_than_it_can_take(to_host, counts):
    # Only what comes from the board is harmed: answers are lost, the board itself reads.
    pair = Pair(telemetry=256, window=256)
    pair.to_host.schedule = _Fates(to_host)
    for count in counts:
        pair.sample(count)
        pair.sample(count % 3, stream=1)
        pair.run(300)
        is_answered = pair.host.pacing.time_lost_total == 0
        assert not is_answered or pair.unread_max <= session.IN_FLIGHT_MAX, pair.unread_max


@examples(150)
@given(st.lists(st.binary(max_size=60), max_size=20), st.booleans())
def test_sessions_outlive_any_bytes(pieces, is_up):
    pair = Pair()
    if is_up:
        pair.run(100)
    for piece in pieces:
        pair.device.receive(piece, pair.now_ms)
        pair.host.receive(piece, pair.now_ms)
    pair.device.receive(b"~", pair.now_ms)
    pair.host.receive(b"~", pair.now_ms)
    pair.sample(20)
    pair.run(20000, 50)
    assert pair.is_settled()
    pair.check_all_accounted_for()
