"""Boards and links with a key: who has one, what an attacker does to their lines, what must hold.

The attacker hears the whole line and may put anything on it; the key he has not.
So he repeats what he has heard, and says things without a seal or with a wrong one.
"""

from collections import deque
from random import Random

from pyv_edge_core import message
from pyv_edge_core.frame import FrameDecoder, encode, encode_for_board
from pyv_edge_core.record_ring import RECORD_SIZE
from pyv_edge_core.seal import OVERHEAD, SEALED, content

from .broken import Broken

RECOVERY_S = 60  # longer until all is delivered: a board waits 15 s before it greets anew
_TAPE_MAX = 400  # chunks
_DATA_HEAD = 15  # bytes of a DATA before its records
_HELLO = bytes((0x7E, message.VERSION, message.HELLO | SEALED))
COUNTERS = ("unsealed_total", "forged_total", "replayed_total", "unasked_total")


def share_keys(plan):
    """Give keys to a part of the boards of a part of the worlds, and their attackers work."""
    rng = Random(f"keys {plan.seed}")
    if rng.random() >= 0.35:
        return
    plan.has_attacks = rng.random() < 0.7
    for board in plan.boards:
        if rng.random() < 0.7:
            board.link_key = "%032x" % rng.getrandbits(128)


class Tape:
    """What has gone over a cable, with the board's greeting before it."""

    def __init__(self):
        self.chunks = {"up": deque(maxlen=_TAPE_MAX), "down": deque(maxlen=_TAPE_MAX)}
        self.greetings = 0

    def hear_up(self, data):
        self.greetings += data.startswith(_HELLO)
        self.chunks["up"].append((self.greetings, data))

    def hear_down(self, data):
        self.chunks["down"].append((self.greetings, data))

    def last(self, name, kind):
        """Return the last message of a kind without its seal, None if there was none."""
        for _, data in reversed(self.chunks[name]):
            for payload in FrameDecoder().feed(data):
                found = content(payload)
                if found and found[1] == kind:
                    return payload, found
        return None


def _is_open(board):
    """Return whether there is a line with a key, and both ends hear."""
    cable = board.cable
    is_heard = cable.host_port is not None and not cable.cuts and board.app is not None
    return is_heard and cable.tape is not None


def _replay(world, board, rng):
    """Repeat a few chunks of one direction, mostly of earlier sessions if there are any."""
    tape = board.cable.tape
    name = rng.choice(("up", "up", "down"))
    chunks = list(tape.chunks[name]) if _is_open(board) else []
    earlier = [one for one in chunks if one[0] < tape.greetings] if chunks else []
    if rng.random() < 0.2:
        chunks, earlier = [one for one in chunks if one[0] == tape.greetings], []
    chosen = earlier or chunks
    if not chosen:
        return
    line = getattr(board.cable, name)
    place = rng.randrange(len(chosen))
    for index, (_, data) in enumerate(chosen[place : place + rng.randrange(1, 12)]):
        line.inject(data, index * 20_000)
        world.struck("replay_earlier" if earlier else "replay")


def _next_data(plain):
    """Return a DATA like `plain` with the numbers that come next, and another last value."""
    end_seq = int.from_bytes(plain[5:9], "little") + (len(plain) - _DATA_HEAD) // RECORD_SIZE
    value = bytes((plain[-4] ^ 1,)) + plain[-3:]
    return plain[:5] + end_seq.to_bytes(4, "little") + plain[9:-4] + value


def _forge(world, board, rng):
    """Say something that would do harm, without a seal or under a wrong one."""
    tape = board.cable.tape
    name = rng.choice(("up", "down"))
    kind = message.DATA if name == "up" else message.ACK
    heard = tape.last(name, kind) if _is_open(board) else None
    if heard is None:
        return
    sealed, plain = heard
    if name == "up":
        said = _next_data(plain)
    else:
        # That the host has all that there is, also what it has not.
        ring = board.app.events if plain[4] else board.app.telemetry
        said = plain[:6] + ring.next_seq.to_bytes(4, "little") * 2
    wrong = sealed[:4] + said[4:] + sealed[-OVERHEAD:]
    is_plain = rng.random() < 0.5
    pack = encode if name == "up" else encode_for_board
    getattr(board.cable, name).inject(pack(said if is_plain else wrong), 0)
    board.cable.plain_injected += is_plain and name == "up"
    world.struck("forge_unsealed" if is_plain else "forge_sealed")


# name: how it begins, longest duration in seconds
KINDS = {
    "replay": (_replay, 1),
    "forge": (_forge, 1),
}
STRIKES = ("sealed_session", "replay", "replay_earlier", "forge_unsealed", "forge_sealed")


def check(world):
    """See that the links have turned away what they had to, and on a calm line nothing."""
    for board in world.boards:
        counts = world.agent.seals[board.plan.alias]
        cable = board.cable
        if not board.plan.link_key:
            wrong = {name: counts[name] for name in COUNTERS if counts[name]}
        else:
            wrong = _turned_away_wrongly(counts, cable)
        if wrong:
            raise Broken(
                "a link turns away what is not its board's, and no more: %s: %s; the line was"
                " disturbed %s, repeated %s, unsealed messages put on it %d"
                % (
                    board.plan.name,
                    wrong,
                    cable.up.is_disturbed,
                    cable.up.is_repeated,
                    cable.plain_injected,
                )
            )


def _turned_away_wrongly(counts, cable):
    wrong = {}
    if counts["unsealed_total"] > cable.plain_injected:
        wrong["unsealed_total"] = counts["unsealed_total"]
    if counts["replayed_total"] and not cable.up.is_repeated:
        wrong["replayed_total"] = counts["replayed_total"]
    # Where something is missing, it may be the HELLO to whose session the next one belongs.
    if counts["forged_total"] and not cable.up.is_disturbed:
        wrong["forged_total"] = counts["forged_total"]
    return wrong
