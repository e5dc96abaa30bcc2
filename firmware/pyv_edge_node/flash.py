"""The board's files: small ones, replaced whole, by name. The only module that opens any.

A rename over an existing file is one step on LittleFS and POSIX; whoever needs
more than one step has to be able to finish after a power cut between them.
"""

import os
from binascii import crc32


class Flash:
    """The file system that the node runs from."""

    def read(self, name: str) -> "bytes | None":
        """Return a file's content, None if there is no such file. Raises OSError."""
        if not self.has(name):
            return None
        with open(name, "rb") as file:
            return file.read()

    def read_into(self, name: str, buffer: bytearray) -> int:
        """Read as much of a file as `buffer` holds; return how much. Raises OSError."""
        with open(name, "rb") as file:
            return file.readinto(buffer) or 0

    def names(self, folder: str) -> "list[str]":
        """Return what is in a folder, in order; nothing if there is no such folder."""
        return sorted(os.listdir(folder)) if self.has(folder) else []

    def make_folder(self, folder: str) -> None:
        """Make a folder if there is none. Raises OSError."""
        if not self.has(folder):
            os.mkdir(folder)

    def remove_folder(self, folder: str) -> None:
        """Remove an empty folder. Raises OSError."""
        os.rmdir(folder)

    def has(self, name: str) -> bool:
        """Return whether there is such a file or folder."""
        try:
            os.stat(name)
        except OSError:
            return False
        return True

    def crc32(self, name: str) -> int:
        """Return the CRC-32 of a file, 0 if there is none. Raises OSError."""
        if not self.has(name):
            return 0
        crc = 0
        with open(name, "rb") as file:
            piece = file.read(256)
            while piece:
                crc = crc32(piece, crc)
                piece = file.read(256)
        return crc

    def write(self, name: str, content: "bytes | memoryview") -> None:
        """Make a file of `content`, in place of one that there may be. Raises OSError."""
        with open(name, "wb") as file:
            file.write(content)

    def replace(self, name: str, content: bytes) -> None:
        """Make a file of `content` in one step: whole or not at all. Raises OSError."""
        self.write(name + "~", content)
        self.rename(name + "~", name)

    def append(self, name: str, content: bytes) -> None:
        """Add to the end of a file. Raises OSError."""
        with open(name, "ab") as file:
            file.write(content)

    def rename(self, name: str, target: str) -> None:
        """Give a file another name, in place of one that has it. Raises OSError."""
        os.rename(name, target)

    def remove(self, name: str) -> None:
        """Delete a file if there is one. Raises OSError."""
        if self.has(name):
            os.remove(name)
