"""A board's files, which outlive its boots; the power may go before any change to them."""


class PowerCut(BaseException):
    """The power went in the middle of something."""


class Flash:
    """Has the members that the node uses of its file system."""

    def __init__(self, **files):
        self.changes_left = -1  # changes until the power goes; -1: it doesn't
        self._files = dict(files)
        self.removing = lambda name: None  # is told before a file goes

    @property
    def files(self):
        """All of them, by name."""
        return self._files

    def _change(self):
        if self.changes_left == 0:
            self.changes_left = -1
            raise PowerCut
        if self.changes_left > 0:
            self.changes_left -= 1

    def read(self, name):
        return self._files.get(name)

    def has(self, name):
        return name in self._files or bool(self.names(name))

    def read_into(self, name, buffer):
        content = self._files[name][: len(buffer)]
        buffer[: len(content)] = content
        return len(content)

    def names(self, folder):
        start = folder + "/"
        return sorted(name[len(start) :] for name in self._files if name.startswith(start))

    def make_folder(self, folder):
        pass  # a name with a slash is all that is needed

    def remove_folder(self, folder):
        assert not self.names(folder)

    def write(self, name, content):
        self._change()
        self._files[name] = bytes(content[: len(content) // 2])
        self._change()
        self._files[name] = bytes(content)

    def replace(self, name, content):
        self.write(name + "~", content)
        self.rename(name + "~", name)

    def append(self, name, content):
        self._change()
        self._files[name] += bytes(content[: len(content) // 2])
        self._change()
        self._files[name] += bytes(content[len(content) // 2 :])

    def rename(self, name, target):
        self._change()
        self._files[target] = self._files.pop(name)

    def remove(self, name):
        if name in self._files:
            self._change()
            self.removing(name)
            self._files.pop(name)
