"""What time segments and dated rows must say: the store's times against the true ones.

A segment must be what the host's clock was when it began; a row belongs to one by
its id, is dated by its offset, and by no segment that the clock had left before
the row's reading was taken.
"""

from itertools import pairwise

from .broken import Broken

# How long a segment can take to be stored: on the slowest disk, twice.
ADOPTED_US = 20_000_000
# What TimeBase tolerates before it calls it a step, and reading both clocks.
OFFSET_US = 12_000

_ID_MAX = 1 << 62
GOOD, UNSET, RETIMED = 0, 1, 2
_NAMES = ("good", "unset", "retimed")

_COLUMNS = (
    "id, host_boot, began_ms, offset_ms, is_synchronised, first_reading_id, first_event_id,"
    " first_gap_id, corrected_by, retimed_total, is_retimed"
)


class Segment:
    """One row of time_segment, and what follows from it for the rows that belong to it."""

    def __init__(self, row):
        (self.id, self.host_boot, self.began_ms, self.offset_ms) = row[:4]
        self.is_synchronised = bool(row[4])
        self.first_ids = row[5:8]
        self.corrected_by, self.retimed_total, self.is_retimed = row[8:]
        self.began_us = 0  # true time
        self.until_us = 0  # true time, after which the clock was not as it says any more
        self.shift_us = 0  # what makes UTC of true time, for its rows as they are now
        self.rule_shift_ms = 0  # what makes the time of rules of it
        self.time_quality = GOOD if self.is_synchronised else UNSET
        self.readings = 0


class TimeCheck:
    """The segments of a store, checked against the host's clock."""

    def __init__(self, connection, clock):
        self.segments = [
            Segment(row)
            for row in connection.execute(f"SELECT {_COLUMNS} FROM time_segment ORDER BY id")
        ]
        self._by_id = {segment.id: segment for segment in self.segments}
        self._clock = clock
        first_offsets = {}
        for index, segment in enumerate(self.segments):
            first_offset_ms = first_offsets.setdefault(segment.host_boot, segment.offset_ms)
            segment.began_us = segment.began_ms * 1000 - self._monotonic_us(segment)
            used = segment
            if segment.corrected_by is not None:
                used = self._check_correction(segment)
                segment.time_quality = RETIMED
            segment.shift_us = used.offset_ms * 1000 + self._monotonic_us(segment)
            segment.rule_shift_ms = used.offset_ms - first_offset_ms
            after = self.segments[index + 1 : index + 2]
            end_us = max(segment.began_us, self._began_us(after[0])) if after else 1 << 62
            segment.until_us = self._last_moment(segment, end_us)

    def _fail(self, name, segment, text):
        raise Broken("%s: segment %d: %s" % (name, segment.id, text))

    def _monotonic_us(self, segment):
        return self._clock.boots_us[segment.host_boot]

    def _began_us(self, segment):
        return segment.began_ms * 1000 - self._monotonic_us(segment)

    def _last_moment(self, segment, end_us):
        """Return when the clock was last as a segment says, before the next one began."""
        states = [*self._clock.states, (end_us, 0, False)]
        last_us = None
        monotonic_us = self._monotonic_us(segment)
        for (from_us, offset_us, is_set), (to_us, _, _) in pairwise(states):
            if from_us > end_us or to_us < segment.began_us - ADOPTED_US:
                continue
            is_off = abs(offset_us - monotonic_us - segment.offset_ms * 1000) > OFFSET_US
            if not is_off and is_set == segment.is_synchronised:
                last_us = min(to_us, end_us)
        if last_us is None:
            self._fail(
                "a time segment is what the clock was",
                segment,
                "offset %d ms, synchronised %s, from %d us on; the clock was %s"
                % (segment.offset_ms, segment.is_synchronised, segment.began_us, states[:9]),
            )
        return last_us

    def _check_correction(self, segment):
        used = self._by_id[segment.corrected_by]
        is_later = used.id > segment.id and used.host_boot == segment.host_boot
        if segment.is_synchronised or not (used.is_synchronised and is_later):
            self._fail("only what is unset is corrected", segment, "by segment %d" % used.id)
        return used

    def second_boot(self, place):
        """Return the first id of a row since the computer booted again; `place` as for `of`."""
        first = self.segments[0].host_boot
        later = (one.first_ids[place] for one in self.segments if one.host_boot != first)
        return next(later, _ID_MAX)

    # -- rows, in the order of their ids ---------------------------------------------

    def of(self, place):
        """Return what finds the segment of a row by its id, asked in the order of ids.

        `place` is 0 for readings, 1 for events, 2 for gaps.
        """
        segments = self.segments
        index = 0

        def find(row_id):
            nonlocal index
            while index + 1 < len(segments) and segments[index + 1].first_ids[place] <= row_id:
                index += 1
            return segments[index]

        return find

    def check_gaps(self, connection):
        """See that each gap says what its time is worth."""
        find = self.of(2)
        for row_id, time_quality in connection.execute(
            "SELECT id, time_quality FROM gap ORDER BY id"
        ):
            self.check_quality(find(row_id), time_quality, "gap %d" % row_id)

    def check_quality(self, segment, time_quality, what):
        if time_quality != segment.time_quality:
            self._fail(
                "a time says what it is worth",
                segment,
                "%s is %s, should be %s"
                % (what, _NAMES[time_quality], _NAMES[segment.time_quality]),
            )

    # -- the end ---------------------------------------------------------------------

    def end(self):
        """See that all is corrected that can be, and counted; after all readings were found."""
        latest = self.segments[-1]
        for segment in self.segments:
            if segment.is_synchronised:
                continue
            is_due = latest.is_synchronised and latest.host_boot == segment.host_boot
            is_begun = segment.corrected_by is not None
            if (is_due or is_begun) and not segment.is_retimed:
                self._fail(
                    "what was unset is corrected",
                    segment,
                    "it isn't, and the clock was set in segment %d" % latest.id,
                )
            if segment.retimed_total != (segment.readings if is_begun else 0):
                self._fail(
                    "each row is corrected once",
                    segment,
                    "%d readings are counted, it has %d"
                    % (segment.retimed_total, segment.readings),
                )
