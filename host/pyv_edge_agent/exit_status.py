"""What a command ends with: one table of statuses, and one place that says which error is which.

Scripts go by these numbers, so none changes its meaning. OPERATIONS.md shows the table.
"""

from pyv_edge_core.errors import TableError

from .errors import (
    AgentAbsentError,
    ConfigError,
    RequestError,
    StartError,
    StoreError,
    UsageError,
)

DONE = 0
NO = 1
USAGE = 2
REFUSED = 3
ABSENT = 4
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

MEANINGS = {
    DONE: "done",
    NO: "done, and the answer is no: it does not balance, fit or work",
    USAGE: "wrong usage or configuration; what to change is on stderr",
    REFUSED: "the computer refused something: a port, a file, the store",
    ABSENT: "the agent is not there or does not answer",
    INTERRUPTED: "stopped by Ctrl-C",
}

# see `status_of`
TOLD = (
    *(ConfigError, UsageError, TableError, StoreError, StartError, OSError),
    *(AgentAbsentError, RequestError),
)


def status_of(error: Exception) -> tuple[int, list[str]]:
    """Return the status that one of TOLD comes to, and the lines that tell it."""
    if isinstance(error, ConfigError):
        return USAGE, error.problems
    if isinstance(error, TableError):
        return USAGE, error.faults
    if isinstance(error, FileNotFoundError) and error.filename is None:
        return USAGE, [str(error)]  # of Config.from_file, in words
    if isinstance(error, OSError) and error.filename is not None:
        return REFUSED, [f"{error.filename}: {error.strerror}"]
    if isinstance(error, AgentAbsentError):
        return ABSENT, [str(error)]
    return USAGE if isinstance(error, UsageError) else REFUSED, str(error).splitlines()
