"""A secret in a file of its own: its first line, without the white space around it."""

import os
import stat
from pathlib import Path

from .plain_file import reading_plain

SIZE_MAX = 4096  # bytes of the file


def read_secret(path: Path) -> tuple[str, bool]:
    """Return the secret, "" if there is none, and whether others can read the file.

    Raises ValueError saying what is wrong with the file, and nothing of what is in it.
    """
    try:
        with reading_plain(path) as file:
            content = file.read(SIZE_MAX + 1)
            mode = os.fstat(file.fileno()).st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no path"
        raise ValueError(f"can't be read: {reason}; write the secret into it") from error
    if len(content) > SIZE_MAX:
        raise ValueError(f"has more than {SIZE_MAX} bytes; a secret is one line")
    try:
        secret = content.split(b"\n", 1)[0].strip().decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8; write a line of text into it") from None
    return secret, bool(mode & (stat.S_IRWXG | stat.S_IRWXO))
