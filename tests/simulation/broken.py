"""How a run says that it has failed."""


class Broken(Exception):
    """An invariant doesn't hold; the text has its name and the numbers."""
