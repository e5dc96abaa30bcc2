"""A board's files, which outlive its boots."""


class Flash:
    """Has the members that the node uses of its file system."""

    def __init__(self):
        self._files = {}

    def read(self, name):
        return self._files.get(name)

    def has(self, name):
        return name in self._files

    def write(self, name, content):
        self._files[name] = bytes(content)

    def replace(self, name, content):
        self._files[name] = bytes(content)

    def append(self, name, content):
        self._files[name] += bytes(content)

    def rename(self, name, target):
        self._files[target] = self._files.pop(name)

    def remove(self, name):
        self._files.pop(name, None)
