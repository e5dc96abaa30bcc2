"""What keeps the flasher from doing what it was asked for."""


class FlashError(Exception):
    """Something is wrong; the text is one line: what, and what to do about it."""
