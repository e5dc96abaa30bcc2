"""One boot, number by number: what the store has of it against what was measured."""

from pyv_edge_core.reading import QUALITY_BAD

from .broken import Broken
from .time_check import GOOD
from .wire import DELAY_MS_MAX, REPEAT_MS_MAX

# The worst that an exchange can take, halved: a request that comes again after 20 s, when its
# first copy was lost, and delays. Four seconds on top are more drift than there is in
# an hour without any, and in one with a clock that nobody has set. Events
# carry no bound; they are the first that a boot sends, when one exchange is all that is known.
ESTIMATED = 4  # a time quality: the boot was over before anybody had its readings
ERROR_MS_MAX = (REPEAT_MS_MAX + 2 * DELAY_MS_MAX) // 2 + 4000


def compare_events(what, where, expected, found):
    if expected != found:
        place = next(
            (
                index
                for index, pair in enumerate(zip(expected, found, strict=False))
                if pair[0] != pair[1]
            ),
            min(len(expected), len(found)),
        )
        raise Broken(
            "%s: %s: %d expected, %d found; the first that differs is number %d:"
            " expected %s, found %s"
            % (
                what,
                where,
                len(expected),
                len(found),
                place,
                expected[place : place + 2],
                found[place : place + 2],
            )
        )


def _merged(ranges):
    """Return [first, end) ranges in order, those that touch as one."""
    merged = []
    for first, end in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return merged


class BootCheck:
    """One boot: its truth, and what the store has of it."""

    def __init__(self, world, board, truth):
        self.boot_id = None
        self.next_seq = [0, 0]
        self.gaps = ([], [])
        self.stored = 0
        self._truth = truth
        self._plan = truth.plan
        self._expected_seq = 0  # next number that a row may have
        self._gap = 0  # index of the next gap
        self._events = []  # (seq, rule, state, value) as stored
        self._event_off_us_max = 0
        self._denied = self._aggregated = 0
        self._error_ms_max = 0
        self._channels = [
            (channel.at_host, channel.host_value, (board.plan.name, channel.name))
            for channel in truth.plan.channels
        ]

    def _fail(self, name, text):
        truth = self._truth
        raise Broken("%s: %s, boot %08x: %s" % (name, self._plan.name, truth.boot, text))

    def time_quality(self, stored):
        """Return what a time is worth that is stored as `stored`, were it not of an over boot."""
        return GOOD if stored == ESTIMATED and self._truth.is_saved else stored

    # -- readings ------------------------------------------------------------------

    def row(self, row, names, segment):
        """Take the next row of the store, in the order in which they were written."""
        _, _, seq, channel_id, utc_ms, error_ms, quality, value = row
        truth = self._truth
        if seq < self._expected_seq:
            self._fail("each number once and in order", "%d comes again" % seq)
        if seq >= truth.telemetry.count:
            self._fail("stored is sampled", "number %d was never given out" % seq)
        if seq > self._expected_seq:
            self._skip_to(seq)
        self._expected_seq = seq + 1
        self.stored += 1
        at_host, host_value, name = self._channels[truth.channels[seq]]
        expected = truth.qualities[seq], host_value(truth.values[seq]), name
        if truth.qualities[seq] == QUALITY_BAD:
            expected = QUALITY_BAD, 0, name
        if (quality, value, names[channel_id]) != expected or at_host not in ("allow", "clamp"):
            self._fail(
                "stored is what was sampled",
                "number %d is %s, was %s" % (seq, (quality, value, names[channel_id]), expected),
            )
        self._check_time(seq, utc_ms, error_ms, segment)

    def _check_time(self, seq, utc_ms, error_ms, segment):
        """See that the true time lies within the bound, by the segment that the row is of."""
        if error_ms is None:
            self._fail("every reading is dated", "number %d is not" % seq)
        if error_ms > self._error_ms_max and not self._truth.is_saved:
            self._error_ms_max = error_ms
        true_us = self._truth.times_us[seq]
        distance_us = utc_ms * 1000 - true_us - segment.shift_us
        if abs(distance_us) > error_ms * 1000:
            self._fail(
                "the true time lies within its bound",
                "number %d, sampled at %d us: off by %d us, bound %d ms"
                % (seq, true_us, distance_us, error_ms),
            )
        self._check_fresh("number %d" % seq, true_us, segment)

    def _check_fresh(self, what, true_us, segment):
        if true_us > segment.until_us:
            self._fail(
                "nothing is dated by a clock that has been set since",
                "%s, sampled at %d us, by segment %d, which ended at %d us"
                % (what, true_us, segment.id, segment.until_us),
            )

    def _skip_to(self, seq):
        """Account for the numbers without a row below `seq`."""
        truth, gaps = self._truth, self.gaps[0]
        at = self._expected_seq
        while at < seq:
            if self._gap < len(gaps) and gaps[self._gap][0] == at:
                at = gaps[self._gap][1]
                self._gap += 1
                continue
            at_host, _, _ = self._channels[truth.channels[at]]
            if at_host == "drop":
                self._denied += 1
            elif at_host == "aggregate_only":
                self._aggregated += 1
            else:
                self._fail(
                    "each number is accounted for",
                    "number %d of %s has neither row nor gap, stored up to %d"
                    % (at, self._channels[truth.channels[at]][2], self.next_seq[0]),
                )
            at += 1
        if at != seq:
            self._fail("each number once and in order", "%d is in a gap and stored" % seq)

    # -- events --------------------------------------------------------------------

    def event(self, row, names, segment):
        _, _, seq, channel_id, rule, state, value, utc_ms, _ = row
        self._events.append((seq, names[channel_id][1], rule, state, value))
        times_us = self._truth.event_times_us
        if seq < len(times_us):  # else silence has made it, after the end of sampling
            distance_us = utc_ms * 1000 - times_us[seq] - segment.shift_us
            if not self._truth.is_saved:  # else as little may be known of it as of its readings
                self._event_off_us_max = max(self._event_off_us_max, abs(distance_us))
            self._check_fresh("event %d" % seq, times_us[seq], segment)

    def _check_events(self):
        truth, plan = self._truth, self._plan
        next_seq = self.next_seq[1]
        if next_seq > len(truth.events) and truth.is_over:
            self._fail("stored is sampled", "event %d never was" % next_seq)
        missing = set()
        for first, end, _ in self.gaps[1]:
            missing.update(range(first, end))
        expected = []
        for seq, (index, state, value) in enumerate(truth.events[:next_seq]):
            rule = plan.rules[index]
            channel = plan.channels[rule.channel]
            if seq in missing or channel.at_host == "drop":
                continue
            if value is not None:
                value = channel.host_value(value) / 100
            if channel.at_host == "aggregate_only":
                value = None
            expected.append((seq, channel.name, rule.name, state, value))
        where = "%s, boot %08x" % (plan.name, truth.boot)
        # Behind them, of the last boot: what silence alone has made after the end of sampling.
        found = [event for event in self._events if event[0] < len(truth.events)]
        compare_events("events of the board's rules", where, expected, found)

    # -- the end -------------------------------------------------------------------

    def end(self, checked):
        """Check the boot as a whole, and add its figures."""
        truth = self._truth
        streams = (truth.telemetry, truth.event_stream)
        for stream in (0, 1):
            self._check_gaps(stream, streams[stream])
        if self.next_seq[0] > truth.telemetry.count:
            self._fail("stored is sampled", "stored up to %d" % self.next_seq[0])
        self._skip_to(self.next_seq[0])
        self._check_events()
        lost = sum(end - first for first, end, _ in self.gaps[0])
        in_flight = truth.telemetry.count - self.next_seq[0]
        if not truth.is_over and (in_flight or truth.event_stream.count > self.next_seq[1]):
            self._fail("all is delivered in the end", "%d are in flight" % in_flight)
        denied = truth.denied + self._denied
        total = self.stored + denied + self._aggregated + lost + in_flight
        if total != truth.sampled:
            self._fail(
                "sampled = stored + denied + aggregated + lost + in flight",
                "%d is not %d + %d + %d + %d + %d"
                % (truth.sampled, self.stored, denied, self._aggregated, lost, in_flight),
            )
        if self._event_off_us_max > ERROR_MS_MAX * 1000:
            self._fail(
                "events of boards are dated as readings are",
                "one is off by %d us" % self._event_off_us_max,
            )
        if self._error_ms_max > ERROR_MS_MAX:
            self._fail("times are known well", "one only to %d ms" % self._error_ms_max)
        checked.sampled += truth.sampled
        checked.stored += self.stored
        checked.denied += denied
        checked.aggregated += self._aggregated
        checked.lost += lost
        checked.in_flight += in_flight
        checked.gaps += len(self.gaps[0]) + len(self.gaps[1])
        checked.events_of_boards += len(self._events)
        checked.error_ms_max = max(checked.error_ms_max, self._error_ms_max)

    def _check_gaps(self, stream, truth):
        """See that each gap is of numbers that the ring really has overwritten."""
        ranges = _merged(truth.overwritten)
        for first, end, cause in self.gaps[stream]:
            if cause != "overwritten":
                self._fail("gaps say why", "%d..%d: %s" % (first, end - 1, cause))
            if not any(low <= first and end <= high for low, high in ranges):
                self._fail(
                    "a gap is what the ring overwrote",
                    "stream %d, %d..%d; overwritten were %s"
                    % (stream, first, end - 1, ranges[:9]),
                )
