"""A board's raw prompt, by way of mpremote, whose API changes: the only module that knows it.

Whatever goes wrong is a FlashError that names the port. Nothing of mpremote's
own prints gets out.
"""

import contextlib
import io
import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any

from .problem import FlashError

BAUD = 115_200
ENTER_S = 10.0  # a board that was reset by opening its port boots meanwhile
RUN_S = 30.0  # for a program of ours; hashing all of a slow board's files takes two
STOP_S = 5.0  # for a node that writes to its flash what no host has
_QUIET_S = 0.3  # a board that says nothing for so long waits for us
_PROMPT = b">>> "
_REMEDY = "another program may hold it: the agent (device pause), mpremote, ModemManager"


class Repl:
    """One board's prompt for programs; `with Repl(port) as repl:` has it open."""

    def __init__(
        self, port: str, baud: int = BAUD, through: Callable[[Any], Any] = lambda line: line
    ) -> None:
        """Name a port; `open` opens it. `through` may put something around the open line."""
        self.port = port
        self._through = through
        self._baud = baud
        self._transport: Any = None

    def open(self) -> None:
        """Open the port, for ourselves alone. Raises FlashError."""
        try:
            from mpremote.transport import TransportError
            from mpremote.transport_serial import SerialTransport
        except ImportError as error:
            raise FlashError(
                f"mpremote is not installed ({error.name}): pip install '.[flash]' in a clone"
                " of Pyvorin Edge"
            ) from error
        if not os.path.exists(self.port) and "://" not in self.port:
            raise FlashError(f"{self.port}: there is no such port; `list` shows those there are")
        if os.path.exists(self.port) and not os.access(self.port, os.R_OK | os.W_OK):
            raise FlashError(
                f"{self.port}: you may not open it: join its group (sudo adduser $USER dialout),"
                " and log in again"
            )
        try:
            with _quiet():
                self._transport = SerialTransport(self.port, self._baud)
                self._transport.serial = self._through(self._transport.serial)
        except (TransportError, OSError) as error:
            if os.path.exists(self.port) and not _is_serial(self.port):
                raise FlashError(
                    f"{self.port}: is no serial port; `list` shows those there are"
                ) from error
            raise FlashError(f"{self.port}: can't be opened ({error}); {_REMEDY}") from error

    def close(self) -> None:
        """Close the port. Never raises: the board may be gone."""
        transport, self._transport = self._transport, None
        if transport is not None:
            with contextlib.suppress(OSError):
                transport.close()

    def __enter__(self) -> "Repl":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _text(self, out: bytes) -> str:
        return out.decode(errors="replace").replace("\r\n", "\n")

    @property
    def serial(self) -> Any:
        """The open port, for bytes."""
        return self._transport.serial

    @contextlib.contextmanager
    def prompt(self) -> Iterator[None]:
        """Have the board at its prompt; what fails there lets it run on. Raises FlashError.

        Behind it, it waits for `restart`.
        """
        try:
            self.enter()
            yield
        except BaseException:  # Ctrl-C, too
            with contextlib.suppress(FlashError):  # it may be gone
                self.leave()
            raise

    def enter(self) -> None:
        """Interrupt what runs, and have a fresh interpreter wait for programs.

        Raises FlashError if there is none within ENTER_S.
        """
        with self.watched():
            self.serial.timeout = 1
            deadline_s = time.monotonic() + ENTER_S
            while True:
                try:
                    with _quiet():
                        self._interrupt()
                        # Soft reset: what was running has most of the heap.
                        self._transport.enter_raw_repl(soft_reset=True, timeout_overall=4)
                    return
                except self._error() as error:
                    if time.monotonic() > deadline_s:
                        raise FlashError(
                            f"{self.port}: no MicroPython prompt within {ENTER_S:g} s: does the"
                            " board run MicroPython? A program that catches KeyboardInterrupt"
                            " can't be stopped: press reset, and try again at once"
                        ) from error

    def _interrupt(self) -> None:
        """Stop what runs, and give it the time to put things in order; also at a raw prompt."""
        self.serial.write(b"\r\x03")
        self._transport.read_until(1, _PROMPT, timeout=_QUIET_S, timeout_overall=STOP_S)
        self.serial.write(b"\r\x02")
        self._transport.read_until(1, _PROMPT, timeout=_QUIET_S, timeout_overall=STOP_S)

    def run(self, program: str, timeout_s: float = RUN_S) -> str:
        """Run a program; return what it prints.

        Raises FlashError with the last line of its traceback if it fails.
        """
        with self.watched(), _quiet():
            self._transport.exec_raw_no_follow(program)
            out, error = self._transport.follow(timeout_s)
        self._check(error)
        return self._text(out)

    def begin(self, program: str) -> None:
        """Start a program that talks with us over `serial`; `end` has its end."""
        with self.watched(), _quiet():
            self._transport.exec_raw_no_follow(program)

    def end(self, timeout_s: float = RUN_S) -> str:
        """Return the rest of what the program that was begun prints. Raises FlashError."""
        with self.watched(), _quiet():
            out, error = self._transport.follow(timeout_s)
        self._check(error)
        return self._text(out)

    def _check(self, error: bytes) -> None:
        if error:
            lines = error.decode(errors="replace").strip().splitlines()
            raise FlashError(f"{self.port}: the board says: {lines[-1]}")

    def restart(self) -> None:
        """Leave the prompt, and have the board begin with boot.py and main.py."""
        try:
            with self.watched(), _quiet():
                self._transport.exit_raw_repl()
                self._transport.read_until(1, _PROMPT, timeout=2)
                self.serial.write(b"\x04")
        except KeyboardInterrupt:
            with contextlib.suppress(FlashError):
                self.leave()
            raise

    def leave(self) -> None:
        """Have the board run what it has, whatever it is in the middle of. Raises FlashError."""
        with self.watched(), _quiet():
            self._interrupt()
            self.serial.write(b"\x04")

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Tell whoever waits that the board is gone, in one line."""
        try:
            yield
        except (self._error(), OSError) as error:
            what = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise FlashError(f"{self.port}: the board does not answer ({what})") from error

    def _error(self) -> Any:
        from mpremote.transport import TransportError

        return TransportError


def _is_serial(port: str) -> bool:
    """Return whether something that couldn't be opened as a port is one for all that."""
    try:
        if not stat.S_ISCHR(os.stat(port).st_mode):
            return False
        fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return True  # somebody else's perhaps
    try:
        return os.isatty(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Swallow what mpremote prints: bytes it has not understood."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
