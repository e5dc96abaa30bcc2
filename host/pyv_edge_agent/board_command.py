"""Commands to boards: what a caller asks is in the audit log before it is sent.

The board's link does the rest; see board_request. Any thread may send.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from .board_request import CHANNEL_OPS, OPS, Outcome
from .errors import ImpossibleRequestError, RequestError, StoreError
from .link import SerialLink
from .store import SQLiteStore


@dataclass(frozen=True)
class BoardCommand:
    """What is asked of a board; see EdgeAgent.command."""

    device: str
    op: str
    target: str | int | None
    value: int
    timeout_ms: int

    def send(self, links: Sequence[SerialLink], store: SQLiteStore | None) -> "Future[Outcome]":
        """Give it to the one of `links` whose board is meant; the future always ends.

        Without a `store`, links have stopped, and say so. Raises RequestError if there is no
        such board, if no board could do it, and for what can't be recorded, which isn't done.
        """
        if self.target is not None and self.op in OPS and self.op not in CHANNEL_OPS:
            raise ImpossibleRequestError(
                f"{self.op} is about no channel; if {self.target!r} is its value, say value="
            )
        for link in links:
            if link.name == self.device:
                if store is not None:
                    self._record(store)
                return link.command(self.op, self.target, self.value, self.timeout_ms)
        known = ", ".join(link.name for link in links) or "none"
        raise ImpossibleRequestError(
            f"{self.device!r} is no board on a serial port; there are: {known}"
        )

    def _record(self, store: SQLiteStore) -> None:
        details = {
            "device": self.device,
            "op": self.op,
            "target": self.target,
            "value": self.value,
        }
        try:
            store.audit.append("command", details)
        except StoreError as error:
            raise RequestError(f"can't be recorded, and so isn't done: {error}") from error
