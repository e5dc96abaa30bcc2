"""Commands to boards, and loans of their ports: what a caller asks is in the audit log first.

The board's link does the rest; see board_request and port_loan. Any thread may ask.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTimeError
from dataclasses import dataclass
from typing import Any

from .board_request import CHANNEL_OPS, OPS, Outcome
from .errors import ImpossibleRequestError, RequestError, StoreError
from .link import SerialLink
from .port_loan import DRAIN_MS, Loan
from .store import SQLiteStore

LOAN_MINUTES_MAX = 120
ANSWER_MS = 5_000  # beyond what a link may take to lend its port


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
        link = find_link(links, self.device)
        if store is not None:
            details = {
                "device": self.device,
                "op": self.op,
                "target": self.target,
                "value": self.value,
            }
            record(store, "command", details)
        return link.command(self.op, self.target, self.value, self.timeout_ms)


def find_link(links: Sequence[SerialLink], device: str) -> SerialLink:
    """Return the link of a device. Raises ImpossibleRequestError if it has none."""
    for link in links:
        if link.name == device:
            return link
    known = ", ".join(link.name for link in links) or "none"
    raise ImpossibleRequestError(f"{device!r} is no board on a serial port; there are: {known}")


def record(store: SQLiteStore, action: str, details: dict[str, Any]) -> None:
    """Have in the audit log what is about to be done.

    Raises RequestError if it can't be, and then it is not to be done.
    """
    try:
        store.audit.append(action, details)
    except StoreError as error:
        raise RequestError(f"can't be recorded, and so isn't done: {error}") from error


def lend_port(
    link: SerialLink, store: SQLiteStore, minutes: int, answer_ms: int = ANSWER_MS
) -> Loan:
    """Let others have a link's port for so many minutes; return when it is closed.

    Raises RequestError if it can't be lent, and it isn't.
    """
    if not 1 <= minutes <= LOAN_MINUTES_MAX:
        raise ImpossibleRequestError(f"minutes: {minutes} is outside 1..{LOAN_MINUTES_MAX}")
    record(store, "device_paused", {"device": link.name, "minutes": minutes})
    try:
        return link.loan.lend(minutes * 60_000).result((DRAIN_MS + answer_ms) / 1000)
    except NotInTimeError:
        link.loan.take_back()  # nobody would know that he has it
        raise RequestError(f"the link of {link.name} does not answer; is it stuck?") from None


def take_port_back(link: SerialLink, store: SQLiteStore) -> bool:
    """End the loan of a link's port; return whether there was one. Raises RequestError."""
    record(store, "device_resumed", {"device": link.name})
    try:
        return link.loan.take_back().result(ANSWER_MS / 1000)
    except NotInTimeError:
        raise RequestError(f"the link of {link.name} does not answer; is it stuck?") from None
