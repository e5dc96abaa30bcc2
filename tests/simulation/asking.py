"""What hosts ask of boards, and what became of each request.

Every request can be told by what it says: the number that this module gives it
is in a field that its command has no use for, or in the interval that it sets.
So the truth needs nothing of what is under test to know which one a board does.
"""

from binascii import crc32
from dataclasses import dataclass, field
from random import Random
from typing import Any

from pyv_edge_agent.errors import RequestError
from pyv_edge_core import message, request

from .broken import Broken

TIMEOUT_MS_MAX = 60_000
GRACE_MS = 2000  # that the agent waits for the RESULT of what was done at the last moment
_ANSWER_MS = 3000  # a link looks after its requests at least that often
# A board knows whole seconds only, and its clock and the host's drift apart meanwhile.
LATE_MS_MAX = 1000 + 100
_SAFE_S_MAX = 40
_QUIET_S = 15  # before the faults end: a board told to reset may wait for 10 s
_OPS = {
    "identify": request.IDENTIFY,
    "set_rate": request.SET_RATE,
    "read_now": request.READ_NOW,
    "reset": request.RESET,
    "safe_mode": request.SAFE_MODE,
}
_DRAW = ("identify", "set_rate", "set_rate", "read_now", "read_now", "safe_mode", "reset")
_INTERVAL_MS_MAX = 3_600_000
# What is counted of requests, and must have happened at least once in a long run.
STRIKES = (
    *("identify", "set_rate", "read_now", "safe_mode", "reset", "forced_reset"),
    *("request_failed", "request_late", "request_not_sent", "request_timed_out"),
    *("request_rebooted", "request_killed", "request_stopped", "request_abandoned"),
    "commanded_reset",
)
_OUTCOMES = {
    "failed": "request_failed",
    "too late": "request_late",
    "no answer in time": "request_timed_out",
    "the board restarted before it answered": "request_rebooted",
    "not sent, the board was not there in time": "request_not_sent",
    "the host stopped before the board answered": "request_abandoned",
}
_UNDONE = ("failed", "unknown command", "too late", "refused")
_NEVER_SENT = ("not sent, the board was not there in time", "refused", "stopped")


@dataclass
class Ask:
    """One request."""

    number: int  # of this module's
    board: Any
    op: str
    target: int  # as the board sees it
    value: int
    until_us: int
    run: int  # of the agent
    name: str = ""  # of the channel that is asked for by its name
    outcome: str = ""  # "": none yet
    seen: list = field(default_factory=list)  # (boot, number on the wire, code) of each answer
    done: int = 0  # how often it was carried out

    def __str__(self):
        return "request %d: %s of %d, value %d, at %s" % (
            *(self.number, self.op, self.target, self.value),
            self.board.plan.name,
        )


class Asking:
    """All that is asked in a world."""

    def __init__(self, world):
        self.asks = []
        self._world = world
        self._rng = Random(f"asking {world.plan.seed}")
        self._by_key = {}

    def schedule(self):
        """Put the requests of a whole run into the world's queue."""
        every_s = self._world.plan.ask_every_s
        at_us = 0
        while every_s:
            at_us += int(self._rng.expovariate(1 / every_s) * 1_000_000)
            if at_us >= self._world.heal_us - _QUIET_S * 1_000_000:
                return
            self._world.queue.at(at_us, self._ask)

    # -- the host ------------------------------------------------------------------

    def _ask(self, _):
        rng = self._rng
        board = rng.choice(self._world.boards)
        op = rng.choice(_DRAW)
        self._request(board, op, rng.randrange(2))
        if op == "safe_mode":  # and some time later no more
            later_us = self._world.queue.now_us + rng.randrange(_SAFE_S_MAX) * 1_000_000
            self._world.queue.at(later_us, self._end_safe_mode, board)

    def _end_safe_mode(self, board):
        self._request(board, "safe_mode", 0)

    def _request(self, board, op, value):
        """Ask the board of something, if there is an agent that can."""
        world, rng = self._world, self._rng
        number = len(self.asks) + 1
        timeout_ms = int(rng.choice((2000, 10_000, TIMEOUT_MS_MAX)) * rng.uniform(0.05, 1))
        channel = rng.randrange(len(board.plan.channels))
        is_named = rng.random() < 0.5
        is_wrong = rng.random() < 0.1
        longest_ms = rng.choice((1000, 5000))
        if not world.agent.links:  # there is none, or it is still opening its store
            return
        target = channel
        if op == "set_rate":
            value = number + (_INTERVAL_MS_MAX if is_wrong else longest_ms)
        elif op in ("identify", "read_now"):
            value = number
            if op == "read_now" and longest_ms == 1000:
                target, is_named = request.ALL_CHANNELS, False
        else:
            target = number % 256
            value = number if value else 0
        until_us = world.queue.now_us + timeout_ms * 1000
        ask = Ask(number, board, op, target, value, until_us, world.agent.runs)
        self.asks.append(ask)
        asked = target
        if op in ("set_rate", "read_now") and is_named:
            asked = ask.name = board.plan.channels[channel].name
        self._by_key[_key(board, _OPS[op], target, value)] = ask
        world.trace("asking", "%s, for %d ms" % (ask, timeout_ms))
        link = world.agent.links[world.boards.index(board)].link
        link.command(op, asked, value, timeout_ms).add_done_callback(
            lambda future: self._answered(ask, future)
        )
        world.queue.at(until_us + (GRACE_MS + _ANSWER_MS) * 1000, self._look, ask)

    def _answered(self, ask, future):
        error = future.exception()
        if error is None:
            ask.outcome = future.result().name
            self._world.struck(_OUTCOMES.get(ask.outcome, "request_done"))
        elif "the link has stopped" in str(error):
            ask.outcome = "stopped"
            self._world.struck("request_stopped")
        else:
            assert isinstance(error, RequestError)
            ask.outcome = "refused"
        self._world.trace("asking", "%s: %s" % (ask, ask.outcome))

    def _look(self, ask):
        """See that a request has its answer by now."""
        if ask.outcome:
            return
        if not self._world.agent.runs_out(ask.run):
            raise Broken("every request is answered: %s is not" % ask)
        ask.outcome = "killed"
        self._world.struck("request_killed")

    # -- the board -----------------------------------------------------------------

    def answers(self, board, asked, code, effects, at_us):
        """Take what a board says of a COMMAND at `at_us`, and what it has done for it."""
        ask = self._by_key.get(_key(board, asked.op, asked.target, asked.value))
        if ask is None or (asked.target != ask.target and not ask.name):
            raise Broken("done is what was asked: %s was never asked for" % (asked,))
        ask.seen.append((board.truth.boot, asked.request, code))
        if code != message.RESULT_DONE:
            if effects:
                raise Broken("what is refused is not done: %s: %s" % (ask, effects))
            return
        ask.done += 1
        self._world.struck("forced_reset" if ask.op == "reset" and ask.value else ask.op)
        if ask.name and board.truth.plan.channels[asked.target].name != ask.name:
            raise Broken(
                "done is what was asked: %s, by its name %s: the board has that at another place"
                " than %d" % (ask, ask.name, asked.target)
            )
        if effects != _expected(ask, asked.target):
            raise Broken("done is what was asked: %s: %s" % (ask, effects))
        if ask.done > 1:
            raise Broken("done at most once: %s was done by %s" % (ask, ask.seen))
        late_us = at_us - ask.until_us
        if late_us > LATE_MS_MAX * 1000:
            raise Broken("nothing is done too late: %s, %d us after its time" % (ask, late_us))

    # -- the end -------------------------------------------------------------------

    def check(self):
        """See that each outcome is what has happened. Raises Broken."""
        for ask in self.asks:
            if ask.outcome == "done" and ask.done != 1:
                raise Broken("done means once: %s was done %d times" % (ask, ask.done))
            if ask.outcome in _UNDONE and ask.done:
                raise Broken("%s means never: %s was done" % (ask.outcome, ask))
            if ask.outcome in _NEVER_SENT and ask.seen:
                raise Broken("not sent means never: %s was seen: %s" % (ask, ask.seen))


def _key(board, op, target, value):
    """Return what no two requests have in common; a name's target depends on the boot."""
    return board.plan.name, op, value, 0 if value else target


def _expected(ask, target):
    """Return what a board does for a request: names of calls and arguments."""
    if ask.op == "set_rate":
        return [("set_interval", target, ask.value)]
    if ask.op == "read_now":
        return [("take_now", target)]
    if ask.op == "safe_mode":
        return [("is_safe", bool(ask.value))]
    if ask.op == "reset":
        return [("is_ending", True)]
    return [("identify",)]


class Obedience:
    """One boot: sees what its node does for a request, and hands that on with the answer."""

    def __init__(self, board, app):
        self.is_forced = None  # whether the latest reset that was asked for is; None: none was
        self._is_safe = False  # whether it was told to be, and has said that it is
        self._board = board
        self._app = app
        self._effects = []
        sampler, session = app.sampler, app.own_session
        self._set_interval, sampler.set_interval = sampler.set_interval, self._note_interval
        self._take_now, sampler.take_now = sampler.take_now, self._note_take
        self._answer, session.answer = session.answer, self._note_answer

    def identify(self):
        self._effects.append(("identify",))

    def measures(self):
        """See that it may."""
        if self._is_safe:
            raise Broken("safe mode measures nothing: %s does" % self._board.plan.name)

    def _note_interval(self, channel, interval_ms, now_ms):
        self._set_interval(channel, interval_ms, now_ms)  # raises what is wrong
        self._effects.append(("set_interval", channel, interval_ms))

    def _note_take(self, channel, *others):
        self._board.account()  # what this drops comes behind what was just released
        sampled = self._board.truth.sampled
        taken = self._take_now(channel, *others)
        self._effects.append(("take_now", channel))
        if taken != self._board.truth.sampled - sampled:
            raise Broken("read_now says how many: %d of %s" % (taken, self._board.plan.name))
        return taken

    def _note_answer(self, code, value=0, text=""):
        asked, app, board = self._app.own_session.request, self._app, self._board
        if isinstance(asked, message.shape(message.COMMAND)):
            if code == message.RESULT_DONE and asked.op == request.SAFE_MODE:
                self._is_safe = bool(asked.value)
                self._effects.append(("is_safe", app.is_safe))
            if code == message.RESULT_DONE and asked.op == request.RESET:
                self._effects.append(("is_ending", app.is_ending))
                self.is_forced = bool(asked.value)
            board.world.asking.answers(board, asked, code, self._effects, board.program_us)
            self._effects = []
        elif code == message.RESULT_DONE and asked.hash != app.own_session.identity.config_hash:
            if self.is_forced is None:
                self.is_forced = False
            board.history.takes(asked.hash, crc32)
            board.world.pushing.arm(board)
        self._answer(code, value, text)

    def reset(self):
        """See that a reset was asked for, and loses nothing unless it was forced."""
        board = self._board
        if self.is_forced is None and board.has_taken_back:
            return  # settings that have failed, and readings that came with them
        if self.is_forced is None:
            raise Broken("a board resets when it is told: %s was not" % board.plan.name)
        board.world.struck("commanded_reset")
        if board.held and not self.is_forced:
            raise Broken(
                "a reset loses nothing: %s held %d readings" % (board.plan.name, board.held)
            )
