"""What happened, line by line: true time, actor, event. The same bytes for the same seed."""

import logging


class Trace:
    """Lines of one run; without a place to put them nothing is written."""

    def __init__(self, queue, write=None):
        self._queue = queue
        self._write = write
        self.is_on = write is not None

    def __call__(self, actor, text):
        if self._write is not None:
            seconds, micros = divmod(self._queue.now_us, 1_000_000)
            self._write("%6d.%06d %-10s %s" % (seconds, micros, actor, text))


class LogLines(logging.Handler):
    """Puts what the agent logs into the trace, without the names of files."""

    def __init__(self, trace, hidden):
        super().__init__(logging.INFO)
        self._trace = trace
        self._hidden = hidden

    def emit(self, record):
        text = record.getMessage().replace(self._hidden, "STORE")
        self._trace("agent log", text.replace("\n", " | "))
