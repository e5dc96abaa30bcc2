"""Plays hostile bytes to both ends of a link and asserts what must hold whatever they are.

- nothing is raised: `receive` and `transmit` count what they can't use;
- what the ends hold stays within HELD_BYTES_MAX, a decoder within its own limit;
- a board that is switched on afterwards is welcomed, and all its readings arrive once;
- noise alone, in which no frame has a right FCS, costs nothing but time: the boot that was
  under way is accounted for to the last reading.

The bytes are cut behind each flag; the clock moves on with every piece, and by
as many milliseconds as console text such as `@5000` says. What the ends make of
it leaves a set of `features`, by which a corpus can tell what is new to it.
"""

import re

from hostile import BOOT
from pair import Pair
from pyv_edge_core import device_states, message, session
from pyv_edge_core.errors import MessageError
from pyv_edge_core.frame import FrameDecoder

TO_HOST, TO_BOARD, BOTH, DEAF = "to host", "to board", "both ways", "to host, board cut off"
MODES = (TO_HOST, TO_BOARD, BOTH, DEAF)

HELD_BYTES_MAX = {"host": 128 * 1024, "board": 24 * 1024}  # without the rings
PIECES_MAX = 400
COMMIT_EVERY = 16  # pieces
PAUSE_MS_MAX = 30_000  # that one `@` can ask for
PAUSES_MAX = 8
RECOVERY_MS = 90_000
_STEP_MS = 10
_PAUSE = re.compile(rb"@(\d{1,5})~?")
_RINGS = {"ring", "telemetry", "events"}


def held_bytes(thing, seen=None):
    """Return how many bytes a session holds in texts, lists and what they consist of."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, (bytes, bytearray, str)):
        return len(thing)
    if isinstance(thing, (list, tuple, set)) or type(thing).__name__ == "deque":
        return sum(8 + held_bytes(one, seen) for one in thing)
    if isinstance(thing, dict):
        return sum(16 + held_bytes(one, seen) for one in thing.values())
    if not hasattr(thing, "__dict__") or isinstance(thing, type):
        return 8
    return sum(
        held_bytes(one, seen)
        for name, one in vars(thing).items()
        if name.lstrip("_") not in _RINGS
    )


def counters(thing):
    """Return the counters of a session, those of its streams added up, or of another part."""
    found = {name: count for name, count in vars(thing).items() if name.endswith("_total")}
    for stream in getattr(thing, "streams", getattr(thing, "_streams", ())):
        for name, count in counters(stream).items():
            found[name] = found.get(name, 0) + count
    return found


def pieces_of(data):
    """Return `data` cut behind each flag; the last piece is as long as it is long."""
    cut = re.split(rb"(?<=~)", data, maxsplit=PIECES_MAX)
    return [one for one in cut if one]


class Attack:
    """One pair of ends and what it has shown."""

    def __init__(self, mode, *, is_up):
        self.mode = mode
        self.pair = Pair(telemetry=64, events=16)
        assert self.pair.boot == BOOT
        self.features = set()
        self._pauses = 0
        if is_up:
            self.pair.run(100)
            assert self.pair.device.state == device_states.UP
        self.pair.to_host.is_cut = mode == DEAF
        self._before = self._counted()
        self._note()

    def play(self, data):
        """Feed all of `data`, with readings and events being taken meanwhile."""
        for index, one in enumerate(pieces_of(data)):
            self.pair.is_committing = index % COMMIT_EVERY == 0  # a store is slower than a wire
            self.pair.sample(index % 3)
            self.pair.sample(index % 5 == 4, stream=1)
            if self.mode != TO_BOARD:
                self.pair.to_host.inject(one, self.pair.now_ms)
            if self.mode in (TO_BOARD, BOTH):
                self.pair.to_board.inject(one, self.pair.now_ms)
            self._step(_STEP_MS)
            pause = _PAUSE.fullmatch(one)
            if pause and self._pauses < PAUSES_MAX:
                self._pauses += 1
                for _ in range(min(int(pause[1]), PAUSE_MS_MAX) // 50):
                    self._step(50)

    def _step(self, ms):
        self.pair.step(ms)
        self._note()
        self.check_held()

    def _counted(self):
        pair = self.pair
        parts = {
            "board": pair.device,
            "board's decoder": pair.device.decoder,
            "host": pair.host,
            "host's decoder": pair.host.decoder,
            "pacing": pair.host.pacing,
        }
        return {
            (part, name): count
            for part, thing in parts.items()
            for name, count in counters(thing).items()
        }

    def _note(self):
        """Add what has just happened to the features: which counters moved, in which states."""
        states = (self.pair.device.state, self.pair.host.state)
        after = self._counted()
        for key, count in after.items():
            if count != self._before.get(key, 0):
                self.features.add((*key, *states))
        self._before = after
        self.features.add(("states", *states))
        self.features.add(("gaps", min(len(self.pair.store.gaps), 3), *states))
        self.features.add(("greetings", min(len(self.pair.greetings), 4)))

    def check_held(self):
        """Assert that neither end holds more than it may."""
        device, host = self.pair.device, self.pair.host
        host.decoder.take_console()  # as a link does after every receive()
        self.pair.reports.clear()
        for name, thing in (("board", device), ("host", host)):
            assert held_bytes(thing) <= HELD_BYTES_MAX[name], (name, held_bytes(thing))
            assert len(thing.decoder._pending) <= thing.decoder.size_max, name
        assert host.pacing.in_flight <= session.IN_FLIGHT_MAX
        assert 0 <= device.in_flight <= sum(ring.capacity for ring in self.pair.rings)

    def recover(self, data):
        """Assert that the link works once the hostility is over.

        If no frame among `data` could have been taken for real, the boot that
        was under way must not have lost anything; in any case a new one works.
        """
        pair = self.pair
        pair.to_host.is_cut = False
        pair.is_committing = True
        if not FrameDecoder().feed(b"~" + data + b"~"):
            self._settle()
            pair.check_all_accounted_for()
        pair.start_board(BOOT + 0x10001)
        pair.sample(20)
        pair.sample(2, stream=1)
        self._settle()
        pair.check_all_accounted_for()
        assert len(pair.delivered()) == 20

    def _settle(self):
        for wire in (self.pair.to_host, self.pair.to_board):
            wire.inject(b"~", self.pair.now_ms)  # whatever was cut off ends here
        for _ in range(RECOVERY_MS // 500):
            if self.pair.is_settled():
                return
            self.pair.run(500, 50)
            self.check_held()
        raise AssertionError((self.pair.device.state, self.pair.host.state))


def attack(data, mode, *, is_up):
    """Play `data`, see to it that all is well afterwards; return the features."""
    one = Attack(mode, is_up=is_up)
    one.play(data)
    one.recover(data)
    return one.features


def decode(data):
    """Take `data` apart whole and byte by byte; return the features. Asserts that they agree."""
    whole, single = FrameDecoder(), FrameDecoder()
    messages = whole.feed(data)
    found = []
    text = b""
    for code in data:
        found += single.feed(bytes((code,)))
        text += single.take_console()
        assert len(single._pending) <= single.size_max
    assert (found, text) == (messages, whole.take_console())
    assert counters(single) == counters(whole)
    features = {(name, min(count, 3)) for name, count in counters(whole).items()}
    return features | {parse(payload) for payload in messages}


def parse(payload):
    """Return a feature of what becomes of a message. Asserts that only MessageError is raised."""
    try:
        parsed = message.parse(payload)
    except MessageError as error:
        return ("refused", payload[1:2], re.sub(r"\d+", "#", str(error)))
    if parsed is None:
        return ("unknown", min(payload[1], 64))
    return ("parsed", parsed[0], len(payload).bit_length())
