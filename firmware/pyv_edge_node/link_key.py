"""A board's link key, in a file of its own: settings may come over the wire, a key must not."""

from pyv_edge_core._compat import TYPE_CHECKING
from pyv_edge_core.seal import KEY_SIZE_MIN

if TYPE_CHECKING:
    from .flash import Flash
    from .settings import Section


def read_link_key(section: "Section", flash: "Flash", path: str) -> bytes:
    """Return the first line of the file at `path`, without the blanks around it.

    Raises SettingsError, which never shows it, for none or less than KEY_SIZE_MIN bytes.
    """
    try:
        content = flash.read(path)
    except OSError as error:
        raise section.fail("link_key_file", "%r can't be read (%s)" % (path, error))
    if content is None:
        raise section.fail("link_key_file", "there is no %r; copy the agent's there" % path)
    key = content.split(b"\n")[0].strip()
    if len(key) < KEY_SIZE_MIN:
        raise section.fail(
            "link_key_file", "%r begins with less than %d bytes" % (path, KEY_SIZE_MIN)
        )
    return key
