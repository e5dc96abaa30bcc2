"""The board's files: small ones, replaced whole, by name. The only module that opens any.

A rename over an existing file is one step on LittleFS and POSIX; whoever needs
more than one step has to be able to finish after a power cut between them.
"""

import os


class Flash:
    """The file system that the node runs from."""

    def read(self, name: str) -> "bytes | None":
        """Return a file's content, None if there is no such file. Raises OSError."""
        if not self.has(name):
            return None
        with open(name, "rb") as file:
            return file.read()

    def has(self, name: str) -> bool:
        """Return whether there is such a file."""
        try:
            os.stat(name)
        except OSError:
            return False
        return True

    def write(self, name: str, content: bytes) -> None:
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
