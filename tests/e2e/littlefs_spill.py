"""Runs in MicroPython: pages on a real LittleFS whose power is cut at each write of its blocks.

Prints how many cuts there were; ends with a traceback if a page that was whole
is lost, or one that is torn is taken for whole. See test_spill_littlefs.py.
"""

import os
import sys

sys.path[:0] = ["shared", "firmware"]

from pyv_edge_core.record_ring import RecordRing  # noqa: E402
from pyv_edge_node.flash import Flash  # noqa: E402
from pyv_edge_node.paged_ring import PagedRing  # noqa: E402
from pyv_edge_node.pages import Pages  # noqa: E402

BLOCK_SIZE = 4096
BLOCKS = 24
BOOT = 0xABCD1234
MOUNT = "/flash"


class Device:
    """A flash in memory; from a chosen write on nothing gets through, half of that one perhaps."""

    def __init__(self, content, cut_at, is_half):
        self.content = content
        self.writes_left = cut_at
        self.is_half = is_half
        self.is_cut = False

    def readblocks(self, block, buffer, offset=0):
        start = block * BLOCK_SIZE + offset
        buffer[:] = self.content[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        start = block * BLOCK_SIZE + offset
        if not self._may_write():
            if self.writes_left == -1 and self.is_half:
                half = len(buffer) // 2
                self.content[start : start + half] = buffer[:half]
            return -5
        self.content[start : start + len(buffer)] = buffer
        return 0

    def _may_write(self):
        if self.writes_left <= 0:
            self.writes_left -= 1
            self.is_cut = True
            return False
        self.writes_left -= 1
        return True

    def ioctl(self, op, block):
        if op == 4:
            return BLOCKS
        if op == 5:
            return BLOCK_SIZE
        if op == 6:
            if not self._may_write():
                return -5
            for at in range(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE, 256):
                self.content[at : at + 256] = b"\xff" * 256
        return 0


class Play:
    """What is done on the flash, and how far it has certainly come."""

    def __init__(self):
        self.saved = 0  # numbers that were on whole pages before the change under way
        self.released = 0

    def run(self):
        """Fill pages, write them again, remove what is released. Raises OSError for the cut."""
        pages = Pages(Flash())
        rings = [RecordRing(512), RecordRing(16)]
        telemetry, events = [PagedRing(pages, BOOT, n, rings[n]) for n in (0, 1)]
        pages.rings = [telemetry, events]
        for turn in range(10):
            for index in range(100):
                rings[0].push(1, 0, turn * 100 + index, turn * 100 + index, 0)
            rings[1].push(2, 1, turn, turn * 100, 0)
            pages.begin(telemetry, events)
            pages.make_room(40, 0x1234, b"a table" * 20)
            pages.save(telemetry, events, (1, BOOT, 7, 0x1234, turn, 0, 0, 0, 0))
            self.saved = rings[0].saved_end
            if turn == 7:
                self.released = 448
                telemetry.release(500)
                events.release(6)
                pages.remove_released(telemetry, events)


def check(play):
    """See that what is there now is whole, and all that was."""
    pages = Pages(Flash())
    pages.look(BOOT ^ 1)
    held = set()
    ring = RecordRing(1)
    ring.skip_to(1000)
    telemetry = PagedRing(pages, BOOT, 0, ring)
    seq = telemetry.held_from(0)
    while seq < 1000:
        count, _, _, records = telemetry.read(seq, 16)
        for index in range(count):
            slot = records[8 * index : 8 * index + 8]
            value = int.from_bytes(slot[4:], "little")
            assert slot[0] == 1 and value == seq + index, (seq, slot)
            held.add(seq + index)
        seq = telemetry.held_from(seq + count)
    missing = [seq for seq in range(play.released, play.saved) if seq not in held]
    assert not missing, (play.saved, missing[0], missing[-1])
    return len(held)


def made():
    content = bytearray(b"\xff" * (BLOCKS * BLOCK_SIZE))
    os.VfsLfs2.mkfs(Device(content, 1 << 28, False), progsize=256)
    return content


def main():
    fresh = bytes(made())
    cuts = 0
    for is_half in (False, True):
        cut_at = 0
        while True:
            device = Device(bytearray(fresh), cut_at, is_half)
            play = Play()
            try:
                os.mount(os.VfsLfs2(device, progsize=256), MOUNT)
                os.chdir(MOUNT)
                play.run()
            except OSError:
                assert device.is_cut
            os.chdir("/")
            os.umount(MOUNT)
            is_cut = device.is_cut
            os.mount(os.VfsLfs2(Device(device.content, 1 << 28, False), progsize=256), MOUNT)
            os.chdir(MOUNT)
            held = check(play)
            os.chdir("/")
            os.umount(MOUNT)
            if not is_cut:
                assert held >= 1000 - 448
                break
            cuts += 1
            cut_at += 1
    print("%d cuts" % cuts)


main()
