"""What the bridge's commands fail with: one line that says what is wrong and what to do."""


class BridgeError(Exception):
    """What was asked for can't be done."""


class OutputStuckError(BridgeError):
    """What was seen last can't be written: whoever reads the output has stopped."""


class UsageError(BridgeError):
    """The command was called wrongly."""
