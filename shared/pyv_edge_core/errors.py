"""What can go wrong in the core, named for whose fault it is."""


class FieldError(ValueError):
    """Our own caller gave a value that its field can't hold; the text names both."""


class MessageError(Exception):
    """The peer sent a message that breaks PROTOCOL.md; the text says where."""
