"""What the boots before this one were, and how the latest has ended: see `boots`.

For the start only, then forgotten.
"""

from pyv_edge_core._compat import TYPE_CHECKING, const

from .boots import FILE, crc_of

if TYPE_CHECKING:
    from typing import Any

    from .boots import Boots

_CAUSES_OF_NO_CRASH = (1, 2)  # message_to_host.RESET_CAUSES: power, pin
_SOFT = const(4)


def count(boots: "Boots", slots: "Any") -> str:
    """Count this boot, and what has crashed before it; return what has booted. Raises OSError."""
    total, crashes, state, what_before = _read(boots)
    if slots.running:
        boots.firmware_hash = boots.flash.crc32(slots.folder + "/manifest")
    what = "%08x" % (boots.firmware_hash ^ boots.flash.crc32(boots.settings_path))
    if state == "ok" or what_before != what:
        crashes = 0
    elif state == "run" and boots.reset_cause not in _CAUSES_OF_NO_CRASH:
        crashes += 1
    if state == "end":
        # Boards reset themselves by their watchdog: the cause alone would look like a hang.
        boots.reset_cause = _SOFT
    boots.total = total + 1
    boots.crashes = crashes
    return what


def _read(boots: "Boots") -> "tuple[int, int, str, str]":
    """Return (boots, crashes in a row, state of the latest, what); zeros for no such file.

    Notes which boot was the latest that has ended on purpose.
    """
    try:
        content = boots.flash.read(FILE)
    except OSError as error:
        boots.complain(error)
        content = None
    if content is None:
        return 0, 0, "", ""
    try:
        fields = content.decode().split()
        if len(fields) == 8 and fields[7] == crc_of(" ".join(fields[:7])):
            boots.last = (int(fields[4]), int(fields[5]), int(fields[6]))
            return int(fields[0]), int(fields[1]), fields[2], fields[3]
    except ValueError:
        pass  # it has rotten away
    return 0, 0, "", ""
