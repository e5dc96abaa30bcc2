"""What a check has found, and where OPERATIONS.md tells more of it."""

from dataclasses import dataclass
from typing import Any

OK, WARN, FAIL, SKIP = "ok", "warn", "fail", "skip"
LEVELS = (OK, WARN, FAIL, SKIP)

# check: the heading of the runbook that is about it
HEADINGS = {
    "config": "The configuration has a fault",
    "config.secrets": "Others can read a secret",
    "config.extras": "A package is missing",
    "python": "Python or SQLite is too old",
    "sqlite": "Python or SQLite is too old",
    "clock": "The clock is not set",
    "store.folder": "The store can't be written",
    "store.disk": "The disk is full, or nearly",
    "store.file": "The store can't be read",
    "store.ledger": "The ledger does not balance",
    "store.leftovers": "Files are left beside the store",
    "store.size": "The disk is full, or nearly",
    "agent": "The agent does not run",
    "agent.workers": "A worker does not move",
    "agent.store": "The agent can't store",
    "agent.port": "A port to listen on is taken",
    "device": "A device has a problem",
    "port": "A board's port is not there",
    "port.permission": "A port may not be opened",
    "port.holder": "Another program has the port",
    "board": "A board does not answer",
    "board.settings": "A board has other settings",
    "board.key": "A board's key is not right",
    "sink": "A sink has a problem",
    "sink.address": "A server can't be reached",
    "sink.tls": "A certificate is refused",
    "source.address": "A server can't be reached",
    "source.tls": "A certificate is refused",
    "source.port": "A port to listen on is taken",
    "computer.power": "The power supply is too weak",
    "computer.temperature": "The computer is too hot",
    "computer.memory": "Memory is short",
    "computer.card": "The card wears out",
    "computer.tmp": "The disk is full, or nearly",
    "service": "The service is not as it should be",
    "service.user": "The service is not as it should be",
    "service.rules": "The service is not as it should be",
}


@dataclass(frozen=True)
class Finding:
    """One line of doctor's."""

    check: str  # a key of HEADINGS
    subject: str  # what of several it is about, such as a device; "" if there is only one
    level: str
    text: str  # what is so
    fix: str = ""  # what to do, of WARN and FAIL

    @property
    def what(self) -> str:
        """The check and its subject."""
        return f"{self.check} {self.subject}".rstrip()

    @property
    def see(self) -> str:
        """The heading in OPERATIONS.md, "" if there is nothing to do."""
        return HEADINGS[self.check] if self.level in (WARN, FAIL) else ""

    def to_dict(self) -> dict[str, Any]:
        """Return all that as JSON types."""
        return {
            "check": self.check,
            "subject": self.subject,
            "level": self.level,
            "finding": self.text,
            "fix": self.fix,
            "see": self.see,
        }


@dataclass(frozen=True)
class Check:
    """A check about one subject: makes the findings."""

    name: str  # a key of HEADINGS
    subject: str = ""

    def ok(self, text: str) -> Finding:
        """It is as it should be."""
        return Finding(self.name, self.subject, OK, text)

    def skip(self, text: str) -> Finding:
        """There is nothing to look at."""
        return Finding(self.name, self.subject, SKIP, text)

    def warn(self, text: str, fix: str) -> Finding:
        """It works, and somebody should look at it; or it can't be told."""
        return Finding(self.name, self.subject, WARN, text, fix)

    def fail(self, text: str, fix: str) -> Finding:
        """It does not work."""
        return Finding(self.name, self.subject, FAIL, text, fix)
