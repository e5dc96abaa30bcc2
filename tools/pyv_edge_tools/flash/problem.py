"""What keeps the flasher from doing what it was asked for, or from telling it."""


class FlashError(Exception):
    """Something is wrong; the text is one line: what, and what to do about it."""


class OutputError(Exception):
    """What is told can't be written; the text is one line, "" if whoever read it is gone.

    No OSError: those are taken for the board's.
    """
