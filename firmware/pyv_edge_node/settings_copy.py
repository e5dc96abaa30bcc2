"""Settings twice: beside the file a copy of what last ran well, with its checksum.

    F        the settings in force
    F.copy   their CRC-32, a line end, and the same bytes once more

Flash can rot, and people make typing mistakes. Settings that a board can't
start with are answered with the copy, and a host is told so.
"""

from binascii import crc32

from pyv_edge_core._compat import TYPE_CHECKING

if TYPE_CHECKING:
    from .flash import Flash


def _sealed(content: bytes) -> bytes:
    return ("%08x\n" % crc32(content)).encode() + content


def keep(flash: "Flash", path: str) -> None:
    """Make a copy of the settings at `path`, if there is another one so far. Raises OSError."""
    content = flash.read(path)
    if content is not None and flash.read(path + ".copy") != _sealed(content):
        flash.replace(path + ".copy", _sealed(content))


def read(flash: "Flash", path: str) -> "bytes | None":
    """Return the settings that last ran well; None if there is no sound copy. Raises OSError."""
    content = flash.read(path + ".copy")
    if content is None or content != _sealed(content[9:]):
        return None
    return content[9:]
