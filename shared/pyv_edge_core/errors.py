"""What can go wrong in the core, named for whose fault it is."""


class FieldError(ValueError):
    """Our own caller gave a value that its field can't hold; the text names both."""


class TableError(FieldError):
    """Tables of rules or of a policy can't be used; `faults` has one line for each reason."""

    def __init__(self, faults: "list[str]") -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class MessageError(Exception):
    """The peer sent a message that breaks PROTOCOL.md; the text says where."""
