"""A port over real file descriptors: partial writes, a full pipe, the other side gone."""

import io
import os
import tty

import pytest
from pyv_edge_node.port import READ_SIZE_MAX, WRITE_SIZE_MAX, StreamPort

RUNS_ON = ("cpython",)  # MicroPython has neither os.pipe nor ptys; tests/e2e runs the port there


class _Pipes:
    """A port on two pipes, and the far ends of both."""

    def __init__(self):
        board_in, self.far_write = os.pipe()
        self.far_read, board_out = os.pipe()
        os.set_blocking(board_in, False)
        os.set_blocking(board_out, False)
        self.reader = io.FileIO(board_in, "r")
        self.writer = io.FileIO(board_out, "w")
        self.port = StreamPort(self.reader, self.writer)
        self._open = {self.far_read, self.far_write}

    def close_far(self, descriptor):
        os.close(descriptor)
        self._open.discard(descriptor)

    def close(self):
        self.reader.close()
        self.writer.close()
        for descriptor in self._open:
            os.close(descriptor)


@pytest.fixture
def pipes():
    made = _Pipes()
    yield made
    made.close()


def test_nothing_to_read(pipes):
    assert pipes.port.read() == b""
    assert pipes.port.errors_total == 0


def test_read_takes_what_is_there(pipes):
    os.write(pipes.far_write, bytes(range(256))[:100])
    assert pipes.port.read() == bytes(range(100))
    assert pipes.port.read() == b""


def test_read_takes_no_more_than_its_limit_at_once(pipes):
    sent = bytes(range(256)) * 2
    os.write(pipes.far_write, sent)
    first = pipes.port.read()
    assert len(first) == READ_SIZE_MAX
    assert first + pipes.port.read() == sent
    assert pipes.port.read() == b""


def test_what_was_read_is_not_overwritten_by_the_next_read(pipes):
    os.write(pipes.far_write, b"first")
    first = pipes.port.read()
    os.write(pipes.far_write, b"other")
    assert pipes.port.read() == b"other"
    assert first == b"first"


def test_write_of_a_frame(pipes):
    assert pipes.port.is_idle
    frame = bytes(range(256)) * 2
    pipes.port.write(frame)
    assert pipes.port.is_idle
    assert os.read(pipes.far_read, 10000) == frame


def test_full_pipe_takes_a_part_and_the_rest_later(pipes):
    frame = bytes(range(251)) * 1000  # more than any pipe holds at first (64 KiB)
    pipes.port.write(frame)
    assert not pipes.port.is_idle
    received = b""
    while not pipes.port.is_idle:
        received += os.read(pipes.far_read, 4096)
        pipes.port.flush()
    os.set_blocking(pipes.far_read, False)
    while len(received) < len(frame):
        received += os.read(pipes.far_read, 65536)
    assert received == frame
    assert pipes.port.errors_total == 0


def test_new_frame_before_the_last_is_out_is_refused(pipes):
    pipes.port.write(b"x" * 200_000)
    with pytest.raises(AssertionError):
        pipes.port.write(b"y")


class _ShortWriter:
    """Writes at most three bytes of what it is given, as a USB driver may."""

    def __init__(self, raw):
        self._raw = raw
        self.sizes = []

    def fileno(self):
        return self._raw.fileno()

    def write(self, data):
        self.sizes.append(len(data))
        return self._raw.write(data[:3])


def test_short_writes_are_carried_on(pipes):
    writer = _ShortWriter(pipes.writer)
    port = StreamPort(pipes.reader, writer)
    frame = bytes(range(200))
    port.write(frame)
    assert port.is_idle
    assert os.read(pipes.far_read, 1000) == frame
    assert max(writer.sizes) == WRITE_SIZE_MAX


class _FailingStream:
    """Says that it is ready and then fails."""

    def __init__(self, raw):
        self._raw = raw

    def fileno(self):
        return self._raw.fileno()

    def read(self, size):
        raise OSError(5, "input/output error")

    def write(self, data):
        raise OSError(5, "input/output error")


def test_errors_are_counted_and_the_frame_is_given_up(pipes):
    os.write(pipes.far_write, b"x")
    port = StreamPort(_FailingStream(pipes.reader), _FailingStream(pipes.writer))
    assert port.read() == b""
    assert port.errors_total == 1
    port.write(b"frame")
    assert port.errors_total == 2
    assert port.is_idle


def test_uart_that_has_nothing_after_all_is_not_gone(pipes):
    class Uart:
        def fileno(self):
            return pipes.reader.fileno()

        def read(self, count):
            return None

    port = StreamPort(Uart(), pipes.writer)
    os.write(pipes.far_write, b"x")
    assert port.read() == b""
    assert port.wait(0)


def test_reader_that_is_gone(pipes):
    pipes.close_far(pipes.far_read)
    pipes.port.write(b"frame")
    # Nothing is written into a pipe without a reader: a write would be a signal.
    assert not pipes.port.is_idle
    assert pipes.port.errors_total == 0
    pipes.port.flush()
    assert not pipes.port.is_idle


def test_bytes_sent_before_the_hang_up_are_read(pipes):
    os.write(pipes.far_write, b"last words")
    pipes.close_far(pipes.far_write)
    assert pipes.port.read() == b"last words"
    assert pipes.port.read() == b""


def test_wait_says_whether_somebody_is_there(pipes):
    assert pipes.port.wait(0) is True
    os.write(pipes.far_write, b"x")
    assert pipes.port.wait(10_000) is True
    pipes.port.read()
    pipes.close_far(pipes.far_write)
    assert pipes.port.wait(10_000) is False


def test_pty_hang_up_and_return():
    master, slave = os.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    reader = io.FileIO(master, "r", closefd=False)
    writer = io.FileIO(master, "w", closefd=False)
    port = StreamPort(reader, writer)
    every_byte = bytes(range(256))
    port.write(every_byte[:64])
    assert os.read(slave, 1000) == every_byte[:64]
    os.write(slave, every_byte)
    received = b""
    while len(received) < 256 and port.wait(10_000):
        received += port.read()
    assert received == every_byte
    os.close(slave)
    assert port.wait(10_000) is False
    assert port.read() == b""
    slave = os.open(path, os.O_RDWR | os.O_NOCTTY)
    assert port.wait(0) is True
    os.write(slave, b"back")
    received = b""
    while len(received) < 4 and port.wait(10_000):
        received += port.read()
    assert received == b"back"
    os.close(slave)
    os.close(master)
