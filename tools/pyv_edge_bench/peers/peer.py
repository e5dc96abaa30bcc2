"""What the bench has to know of a program that takes readings and passes them on.

A peer is configured as somebody would who wants to lose nothing and knows its manual: what it
can keep, it keeps on the disk. It may be killed with SIGKILL and is started again by the
same command in the same folder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Site:
    """Where a peer works."""

    folder: Path  # its own, empty before `prepare`, on a real disk; it outlives a kill
    source: str  # the port of the broker with the readings, or the path of the serial port
    upstream_port: int  # of the broker that gets them; both on 127.0.0.1


class Peer(Protocol):
    """One program that is compared."""

    @property
    def name(self) -> str:
        """The second part of its figures: "nodered"."""

    def missing(self) -> str:
        """Return why it can't run here and what would help, in one line; "" if it can."""

    def prepare(self, site: Site) -> None:
        """Write its configuration into the site's folder."""

    def command(self, site: Site) -> Sequence[str]:
        """Return what starts it in the foreground; it works in the site's folder."""

    def environment(self, site: Site) -> Mapping[str, str]:
        """Return the variables that it needs beside this process's."""

    def numbers(self, topic: str, payload: bytes) -> list[int]:
        """Return the numbers of the readings in a message that it has sent upstream.

        A number is made of a value by `load.number_of`. What is no reading has none.
        """

    def identities(self, topic: str, payload: bytes) -> list[str]:
        """Return by what each of those readings is known if it comes again, in their order.

        That is what the program, or the server it is made for, promises to tell readings by.
        None: there is nothing.
        """

    @property
    def keeps_all(self) -> bool:
        """Whether what it has sent stays in its database."""

    def stored(self, site: Site) -> int:
        """Return how many readings its own database holds, committed."""

    def waiting(self, site: Site) -> int:
        """Return how many it has still to send, as far as its database tells."""
