"""What can go wrong in the agent, named for whose fault it is. Each text is one line."""

NO_CONFIG = "no such config file; write one or name another"


class Fault:
    """One thing that is wrong, or doubtful, in a configuration. As a text, it is a line."""

    def __init__(self, source: str, line: int | None, path: str, problem: str) -> None:
        self.source = source  # the file
        self.line = line  # of the file, if it is known
        self.path = path  # of the setting; "": it's about the whole file
        self.problem = problem  # and what to do

    def __str__(self) -> str:
        return self.labelled("")

    def labelled(self, label: str) -> str:
        """Return the line with a word before the setting, such as "warning"."""
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return ": ".join(part for part in (place, label, self.path, self.problem) if part)


class ConfigError(ValueError):
    """The configuration can't be used: `problems` has a line for each fault found."""

    def __init__(self, problems: list[str], faults: "tuple[Fault, ...]" = ()) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.faults = faults  # the same, taken apart, if they are of a file

    @classmethod
    def of(cls, *faults: Fault) -> "ConfigError":
        """Return the error of a file that has these faults."""
        return cls([str(fault) for fault in faults], faults)


class UsageError(ValueError):
    """A command can't do what it was asked for: the text names the option and what it takes."""


class StartError(RuntimeError):
    """Something the agent needs from the computer at its start isn't to be had."""


class PortError(OSError):
    """A serial port can't be opened, or went away. An ordinary state of a link."""


class PortAbsentError(PortError):
    """The port isn't there now, or it can't be told which one is meant: it is looked for again."""


class RequestError(RuntimeError):
    """A board can't be asked for that, or its link has stopped."""


class ImpossibleRequestError(RequestError):
    """No board could do that, or none of that name is there: what was asked is wrong."""


class StoreError(RuntimeError):
    """The store could not do what it was asked; nothing of it was done."""


class StoreFullError(StoreError):
    """The disk has no room for it, or the file may grow no further."""


class StoreRefusedError(StoreError):
    """The disk can't be written, or not be read: until somebody mends it."""


class StoreBrokenError(StoreError):
    """The file is damaged."""


class MisplacedError(StoreError):
    """A batch doesn't continue the streams as they stand in the store. Trying again is no use."""


class SubmissionError(ValueError):
    """What a source has brought can't be stored, now or ever."""


class AdapterError(RuntimeError):
    """A source of readings has none to give."""


class AgentAbsentError(RuntimeError):
    """No agent runs with that configuration, or it does not answer."""
