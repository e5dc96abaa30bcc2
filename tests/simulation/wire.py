"""A cable between a board and a host: two lines of bytes, each with its faults.

A line takes chunks, usually one frame each, and delivers them when their last
byte is through. `damages` says which share of the chunks each kind of damage
strikes; more than one fault may want the same kind, hence counts and not flags.
"""

from pyv_edge_agent.errors import PortAbsentError, PortError

from .seals import Tape

INPUT_SIZE_MAX = 260  # of a board: what comes while it is full is gone, without a word
READ_SIZE_MAX = 256  # as `pyv_edge_node.port` reads
SPLIT_SHARE = 1 / 16  # of the chunks arrive in two pieces

_TRACEBACK = (
    b'Traceback (most recent call last):\r\n  File "app.py", line 131, in step\r\n'
    b"OSError: [Errno 110] ETIMEDOUT\r\n"
)


def _flip(data, rng):
    damaged = bytearray(data)
    damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _span(data, rng):
    """Return the ends of some piece of `data`, now and then all of it."""
    if rng.random() < 0.25:
        return 0, len(data)
    start = rng.randrange(len(data))
    return start, min(len(data), start + 1 + rng.randrange(20))


def _lose(data, rng):
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _double(data, rng):
    start, end = _span(data, rng)
    return data[:end] + data[start:]


def _reorder(data, rng):
    start, end = _span(data, rng)
    middle = (start + end) // 2
    return data[:start] + data[middle:end] + data[start:middle] + data[end:]


def _interrupt(data, rng):
    place = rng.randrange(len(data) + 1)
    return data[:place] + _TRACEBACK + data[place:]


DAMAGES = {
    "flipped": _flip,
    "lost": _lose,
    "doubled": _double,
    "reordered": _reorder,
    "traceback": _interrupt,
}
DELAY = "delayed"
DELAY_MS_MAX = 3000
REPEAT = "repeated"  # seconds later, as by a buffer that was forgotten somewhere
REPEAT_MS_MAX = 20_000
_REPEATING = (REPEAT, "doubled", "reordered")


class Line:
    """One direction of a cable."""

    def __init__(self, world, rng, plan, name, arrive):
        self.damages = {}  # kind: how many faults want it
        self.silences = 0
        self.free_us = 0  # when all that was sent is through
        self._name = name
        self._world = world
        self._queue = world.queue
        self._rng = rng
        self._byte_ns = 1_000_000_000 // plan.byte_rate
        self._latency_us = plan.latency_us
        self._arrive = arrive
        self.hear = None  # what listens on the line
        self.is_disturbed = False  # whether anything has ever happened to it
        self.is_repeated = False  # whether anything has ever come twice or out of order
        self._last_us = 0  # when what was sent before arrives
        self._epoch = 0

    def send(self, data, at_us):
        """Take `data` at `at_us`, behind what is still on its way."""
        self.free_us = max(self.free_us, at_us) + len(data) * self._byte_ns // 1000
        if self.silences:
            self.is_disturbed = True
            self._world.struck("silence_" + self._name)
            return
        if self.hear is not None:
            self.hear(data)
        due_us = self.free_us + self._latency_us
        tamper = self._world.sabotage.tamper
        if tamper is not None:
            data = tamper(data)
        if self.damages:
            data, due_us = self._damage(data, due_us)
        due_us = max(due_us, self._last_us)
        if self._rng.random() < SPLIT_SHARE and len(data) > 1:
            place = self._rng.randrange(1, len(data))
            self._queue.at(due_us, self._deliver, (self._epoch, data[:place]))
            data = data[place:]
            due_us += 1
        self._last_us = due_us  # what is sent next comes behind all of it
        if data:
            self._queue.at(due_us, self._deliver, (self._epoch, data))

    def inject(self, data, delay_us):
        """Have an attacker put something on it."""
        self.is_disturbed = self.is_repeated = True
        self._queue.at(self._queue.now_us + delay_us, self._deliver, (self._epoch, data))

    def cut(self):
        """Lose what is on its way."""
        self.is_disturbed = True
        self._epoch += 1

    def _deliver(self, parcel):
        epoch, data = parcel
        if epoch == self._epoch:
            self._arrive(data)

    def _damage(self, data, due_us):
        rng, world = self._rng, self._world
        for kind in self.damages:
            if rng.random() >= 0.2:
                continue
            if kind == DELAY:
                due_us += rng.randrange(20, DELAY_MS_MAX) * 1000
            elif not data:
                continue
            elif kind == REPEAT:
                again_us = due_us + rng.randrange(1, REPEAT_MS_MAX) * 1000
                self._queue.at(again_us, self._deliver, (self._epoch, data))
            elif kind == "reordered" and rng.random() < 0.5:
                # As a whole: it lets what is sent next pass.
                self._queue.at(due_us + 200_000, self._deliver, (self._epoch, data))
                data = b""
            else:
                data = DAMAGES[kind](data, rng)
            self.is_disturbed = True
            self.is_repeated = self.is_repeated or kind in _REPEATING
            world.struck(kind)
        return data, due_us


class Cable:
    """Both lines, and whether it is plugged in. One host's port at a time may be open on it."""

    def __init__(self, world, rng, plan, board):
        self.name = "/dev/" + plan.name
        self.cuts = 0  # faults that keep it unplugged
        self.is_usb = plan.is_usb
        self.host_port = None
        self.board = board  # that is plugged in
        self.up = Line(world, rng, plan, "from_board", self._arrive_up)
        self.down = Line(world, rng, plan, "to_board", self._arrive_down)
        self.tape = None  # of what has gone over it, where an attacker may repeat it
        self.plain_injected = 0  # messages without a seal that one has put on it
        if plan.link_key:
            self.tape = Tape()
            self.up.hear, self.down.hear = self.tape.hear_up, self.tape.hear_down

    @property
    def is_blocked(self):
        """Whether the board can't write: USB takes nothing that nobody reads."""
        return self.is_usb and (self.cuts > 0 or self.host_port is None)

    def open(self, host_port):
        """Have a program of the host open it."""
        assert self.host_port is None, "opened twice"
        self.host_port = host_port
        self.board.unblocked()

    def cut(self):
        """Unplug it: what is on its way is gone, and so is a port over USB."""
        self.cuts += 1
        self.up.cut()
        self.down.cut()
        if self.host_port is not None and self.is_usb:
            self.host_port.die()

    def mend(self):
        self.cuts -= 1

    def _arrive_up(self, data):
        if self.host_port is not None and not self.cuts:
            self.host_port.take(data)

    def _arrive_down(self, data):
        if not self.cuts:
            self.board.take(data)


class HostPort:
    """The host's end of a cable: a `pyv_edge_agent.port.Port`."""

    def __init__(self, queue, cable, wake):
        self.name = self.configured = self.path = cable.name
        self._queue = queue
        self._cable = cable
        self._wake = wake  # the thread that reads
        self._received = []
        self._is_dead = False

    def open(self):
        if self._cable.cuts and self._cable.is_usb:
            raise PortAbsentError(f"serial port {self.name} does not exist")
        self._is_dead = False
        self._cable.open(self)

    def read(self):
        if self._is_dead:
            raise PortError(f"serial port {self.name} went away")
        data = b"".join(self._received)
        self._received.clear()
        return data

    def write(self, data):
        if self._is_dead:
            raise PortError(f"serial port {self.name} went away")
        if not self._cable.cuts:
            self._cable.down.send(bytes(data), self._queue.now_us)
        return len(data)

    def wake(self):
        self._wake()

    def close(self):
        self._received.clear()
        if self._cable.host_port is self:
            self._cable.host_port = None

    def take(self, data):
        """Have bytes come in."""
        self._received.append(data)
        self._wake()

    def die(self):
        """Let the device be gone while somebody has it open."""
        self._is_dead = True
        self._received.clear()
        self._wake()


class BoardPort:
    """The board's end: has the members that `App` uses of a port."""

    def __init__(self, cable, fifo_us):
        self._cable = cable
        self._fifo_us = fifo_us  # what a UART sends by itself while the program goes on
        self._received = b""
        self.overflow_total = 0  # bytes for which there was no room
        self.now_us = 0  # true time at this point of the board's program

    def plug_into(self, cable):
        """Go on with another cable."""
        self._cable = cable

    @property
    def is_idle(self):
        cable = self._cable
        return cable.up.free_us <= self.now_us + self._fifo_us and not cable.is_blocked

    @property
    def idle_at_us(self):
        """When the port will take a frame again, as far as is known."""
        return self._cable.up.free_us - self._fifo_us

    def read(self):
        data = self._received[:READ_SIZE_MAX]
        self._received = self._received[READ_SIZE_MAX:]
        return data

    def write(self, frame):
        assert self.is_idle, "a frame was begun before the one before had left"
        self._cable.up.send(frame, self.now_us)

    def flush(self):
        """Do nothing: the line takes a frame whole."""

    def take(self, data):
        """Have bytes come in."""
        room = INPUT_SIZE_MAX - len(self._received)
        self.overflow_total += max(0, len(data) - room)
        self._received += data[:room]
