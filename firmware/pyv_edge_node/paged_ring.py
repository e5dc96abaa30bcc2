"""A ring whose newest readings are in memory and whose older ones may be in pages on the flash.

To the session it is one ring: what the memory has overwritten and a page still
has is not lost. Of a boot that is over, the ring in memory is empty.
"""

from pyv_edge_core._compat import TYPE_CHECKING

if TYPE_CHECKING:
    from pyv_edge_core.record_ring import RecordRing

    from .pages import Pages


class PagedRing:
    """One stream of one boot; has the members of a RecordRing that don't push."""

    def __init__(self, pages: "Pages", boot: int, stream: int, ram: "RecordRing") -> None:
        self.boot = boot
        self.stream = stream
        self.ram = ram
        self.lost_total = 0  # readings of pages that are gone before they were released
        self.released_seq = 0
        self._pages = pages

    @property
    def capacity(self) -> int:
        """Records that the memory holds."""
        return self.ram.capacity

    @property
    def next_seq(self) -> int:
        """Number that the next record gets."""
        return self.ram.next_seq

    @property
    def dropped_total(self) -> int:
        """Records that were lost before they were released."""
        return self.ram.dropped_total + self.lost_total

    @property
    def first_seq(self) -> int:
        """Oldest record still held."""
        first = self._pages.first_of(self)
        return self.ram.first_seq if first < 0 else min(first, self.ram.first_seq)

    @property
    def unsaved_seq(self) -> int:
        """Oldest record that is in memory only."""
        return max(self.ram.first_seq, self.ram.saved_end)

    def __len__(self) -> int:
        return self.next_seq - self.first_seq

    def skip_to(self, seq: int) -> None:
        """Let a host that stands at `seq` be right: what is below, it has."""
        self.ram.skip_to(seq)

    def release(self, seq: int) -> None:
        """Free every record numbered below `seq`. Raises FieldError if it was never given out."""
        self.ram.release(seq)
        self.released_seq = max(self.released_seq, seq)

    def lose(self, first: int, end: int) -> None:
        """Note that a page with the numbers from `first` below `end` is gone."""
        ram = self.ram
        ram.saved_first = max(ram.saved_first, end)
        self.lost_total += max(0, min(end, ram.first_seq) - max(first, self.released_seq))

    def is_sealed(self, seq: int) -> bool:
        """Return whether the block that holds record `seq` will take no more."""
        return seq < self.ram.first_seq or self.ram.is_sealed(seq)

    def held_from(self, seq: int) -> int:
        """Return the number of the first record held from `seq` on, next_seq if there is none."""
        first = self.ram.first_seq
        if seq >= first:
            return seq
        found = self._pages.find(self, seq)
        return first if found < 0 else min(found, first)

    def read(self, seq: int, count_max: int) -> "tuple[int, int, int, bytes]":
        """Return (count, base_s, base_ms, records) from `seq` on, leaving them in.

        Call it when `held_from` has said that `seq` is held, else it may raise IndexError.
        """
        if seq >= self.ram.first_seq:
            return self.ram.read(seq, count_max)
        return self._pages.page.read(self.stream, seq, count_max)
