"""The files that hold readings: which there are, what is in them, what they give way to.

    spill/NUMBER   a page, see `page`; numbers rise, so that those of a boot follow each other
    spill/tCRC     a channel table, see `over_boot`

A page that is not full is written again with what has come since, and only then
the one before is removed: a power cut at any point leaves one of them whole.
When there is no room, the oldest page goes. All of it raises OSError for a flash
that fails, except what the session calls: a page that can't be read is lost.
"""

from pyv_edge_core._compat import TYPE_CHECKING, const

from .page import PAGE_SIZE, Page

if TYPE_CHECKING:
    from .flash import Flash
    from .page import Head
    from .paged_ring import PagedRing

    # number, boot, table, first and end of telemetry and of events, uptime s when it was written
    Entry = tuple[int, int, int, int, int, int, int, int]

FOLDER = "spill"
_BOOT = const(1)
_TABLE = const(2)
_RANGES = const(3)
_END_S = const(7)


def _page_name(number: int) -> str:
    return "%s/%08x" % (FOLDER, number)


def _table_name(crc: int) -> str:
    return "%s/t%08x" % (FOLDER, crc)


def _blocks(content: bytes) -> int:
    """Return how many blocks of the flash a file takes."""
    return (len(content) + PAGE_SIZE - 1) // PAGE_SIZE


def _number(text: str) -> int:
    """Return what eight digits of a file's name stand for, -1 if they are none."""
    try:
        number = int(text, 16)
    except ValueError:
        return -1
    return number if "%08x" % number == text else -1


class Pages:
    """All pages of one board, and the one of them that is in memory."""

    def __init__(self, flash: "Flash") -> None:
        self.page = Page()
        self.rings: list[PagedRing] = []  # those that are to know of what is lost
        self.written_total = 0
        self.dropped_total = 0  # pages that were given up for want of room
        self.failed_total = 0  # pages that could not be written or read, or were damaged
        self.problem = ""  # with the last of these that was read
        self.is_filling = False  # whether `page` takes more
        self._flash = flash
        self._entries: list[Entry] = []  # oldest first
        self._tables: dict[int, int] = {}  # blocks that each takes
        self._copied = -1  # number of the file that `page` is a copy of
        self._next_number = 0

    def __len__(self) -> int:
        return len(self._entries)

    def look(self, present: int) -> None:
        """Find what boots before the one called `present` have left; remove what is of no use."""
        flash = self._flash
        for name in flash.names(FOLDER):
            path = "%s/%s" % (FOLDER, name)
            is_table = name[:1] == "t"
            number = _number(name[1:] if is_table else name)
            if number < 0:
                continue  # somebody else's
            if is_table:
                self._tables[number] = _blocks(flash.read(path) or b"")
                continue
            head = self.page.load(flash, path)
            if head is not None and head.boot != present:
                self._next_number = number + 1
                self._add(number, head.boot, head.table, head.end_s)
            else:
                self.failed_total += 1
                self.problem = "%s is damaged" % path
                flash.remove(path)
        self._copied = -1  # what was looked at last may have been no page
        for crc in list(self._tables):
            if not self._is_needed(crc):
                self._remove_table(crc)

    def _add(self, number: int, boot: int, table: int, end_s: int) -> None:
        """Note what is in `page`; if it begins as the one before, it has all of that, and more."""
        first, end = self.page.first, self.page.end
        entries = self._entries
        if entries and entries[-1][_BOOT] == boot:
            last = entries[-1]
            if last[_RANGES] == first[0] and last[_RANGES + 2] == first[1]:
                self._flash.remove(_page_name(last[0]))
                entries.pop()
        entries.append((number, boot, table, first[0], end[0], first[1], end[1], end_s))
        self._copied = number

    def _is_needed(self, crc: int) -> bool:
        return any([entry[_TABLE] == crc for entry in self._entries])

    def _remove_table(self, crc: int) -> None:
        self._flash.remove(_table_name(crc))
        self._tables.pop(crc)

    # -- reading ---------------------------------------------------------------------

    def first_of(self, ring: "PagedRing") -> int:
        """Return the first number of a stream on any page that isn't released, -1 if none is."""
        place = _RANGES + 2 * ring.stream
        for entry in self._entries:
            first = max(entry[place], ring.released_seq)
            if entry[_BOOT] == ring.boot and first < entry[place + 1]:
                return first
        return -1

    def find(self, ring: "PagedRing", seq: int) -> int:
        """Let `page` be the one with the first number from `seq` on; return that or -1."""
        place = _RANGES + 2 * ring.stream
        index = 0
        while index < len(self._entries):
            entry = self._entries[index]
            is_it = entry[_BOOT] == ring.boot and max(seq, entry[place]) < entry[place + 1]
            if is_it and (entry[0] == self._copied or self._load(entry[0])):
                return max(seq, entry[place])
            if is_it:
                self._give_up(index)
            else:
                index += 1
        return -1

    def _load(self, number: int) -> "Head | None":
        """Let `page` be the copy of a file; return its head, None if it can't be read."""
        self.is_filling = False
        self._copied = -1
        head = None
        try:
            head = self.page.load(self._flash, _page_name(number))
            if head is not None:
                self._copied = number
            else:
                self.problem = "%s is damaged" % _page_name(number)
        except OSError as error:
            self.problem = "%s: %s" % (_page_name(number), error)
        return head

    def _forget(self, index: int) -> None:
        """Give up a page, and count what is lost with it."""
        entry = self._entries.pop(index)
        if entry[0] == self._copied:
            self._copied = -1
            self.is_filling = False
        for ring in self.rings:
            if ring.boot == entry[_BOOT]:
                place = _RANGES + 2 * ring.stream
                ring.lose(entry[place], entry[place + 1])

    def _give_up(self, index: int) -> None:
        """Remove a page that is of no use: found later, it would come behind later boots'."""
        self.failed_total += 1
        try:
            self._flash.remove(_page_name(self._entries[index][0]))
        except OSError as error:
            self.problem = str(error)
        self._forget(index)

    def oldest_boot(self, present: int) -> "Head | None":
        """Return the last head of the oldest boot but `present`, None if there is none."""
        while self._entries and self._entries[0][_BOOT] != present:
            boot = self._entries[0][_BOOT]
            place = len(self._entries) - 1
            while self._entries[place][_BOOT] != boot:
                place -= 1
            head = self._load(self._entries[place][0])
            if head is not None:
                return head
            self._give_up(place)
        return None

    def run_since(self, boot: int, present: int) -> int:
        """Return for how many seconds boots between these two have run, as far as is known."""
        since_s = 0
        entries = self._entries
        for index in range(len(entries)):
            entry = entries[index]
            is_last = index + 1 == len(entries) or entries[index + 1][_BOOT] != entry[_BOOT]
            if is_last and entry[_BOOT] != boot and entry[_BOOT] != present:
                since_s += entry[_END_S]
        return since_s

    def table(self, crc: int) -> "bytes | None":
        """Return a channel table as it was saved, None if it isn't there."""
        return self._flash.read(_table_name(crc))

    def give_up(self, boot: int) -> None:
        """Give up the pages of a boot, of which nobody can make sense."""
        for index in range(len(self._entries) - 1, -1, -1):
            if self._entries[index][_BOOT] == boot:
                self._give_up(index)

    # -- writing ---------------------------------------------------------------------

    def remove_released(self, telemetry: "PagedRing", events: "PagedRing") -> bool:
        """Remove one file that is of no use any more; return whether there was one."""
        entries = self._entries
        for index in range(len(entries)):
            entry = entries[index]
            if entry[_BOOT] == telemetry.boot:
                if entry[4] > telemetry.released_seq or entry[6] > events.released_seq:
                    return False
                self._flash.remove(_page_name(entry[0]))
                self._forget(index)
                return True
        if not entries:
            for crc in self._tables:
                self._remove_table(crc)
                return True
        return False

    def remove_folder(self) -> None:
        """Let there be none, when nothing is left in it."""
        if self._flash.has(FOLDER) and not self._flash.names(FOLDER):
            self._flash.remove_folder(FOLDER)

    def begin(self, telemetry: "PagedRing", events: "PagedRing") -> None:
        """Let `page` take what is next of these, as it is or empty."""
        page = self.page
        first = telemetry.unsaved_seq, events.unsaved_seq
        # What would be next may be overwritten, or acknowledged: no page has a hole.
        if not self.is_filling or (page.end[0], page.end[1]) != first:
            self._copied = -1
            self.is_filling = True
            page.begin(first)

    def make_room(self, size_kb: int, crc: int, table: bytes) -> bool:
        """See that there is room for a page with that table; return False if others had to go."""
        flash = self._flash
        blocks = 1
        if crc not in self._tables:
            blocks += _blocks(table)
        for stray in list(self._tables):
            if stray != crc and not self._is_needed(stray):
                self._remove_table(stray)
        before = self.dropped_total
        while self._entries:
            taken = len(self._entries) + sum(self._tables.values())
            number = self._entries[0][0]
            # The one that is about to be written again is not given up for itself.
            if (taken + blocks) * (PAGE_SIZE // 1024) <= size_kb or number == self._copied:
                break
            flash.remove(_page_name(number))
            self._forget(0)
            self.dropped_total += 1
        if crc not in self._tables:
            flash.make_folder(FOLDER)
            flash.write(_table_name(crc), table)
            self._tables[crc] = blocks - 1
        return self.dropped_total == before

    def save(self, telemetry: "PagedRing", events: "PagedRing", about: "tuple[int, ...]") -> None:
        """Fill `page` with what is next of these, and write it; `about` is its head."""
        page = self.page
        self._copied = -1  # until it is written
        for ring in (events, telemetry):
            while page.add(ring.stream, ring.ram):
                pass
        number = self._next_number
        self._next_number = number + 1
        self._flash.write(_page_name(number), page.seal(about))
        self.written_total += 1
        self._add(number, about[1], about[3], about[4])
        for ring in (events, telemetry):
            ring.ram.saved_end = page.end[ring.stream]
        self.is_filling = page.room > 0
