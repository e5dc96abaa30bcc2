"""`pyv-edge-bridge send`: one message or command to a board, and what it answers.

A command (IDENTIFY, READ_NOW ...) is carried out by a board that has welcomed
its host, so for that long this is the board's host: it resumes where the board
stands, acknowledges nothing, and so takes no reading from the agent that comes
back. Other messages are sent as they are, and what comes within a while is shown.
"""

import argparse
import re
import secrets
import select
from struct import calcsize
from typing import Any

from pyv_edge_core import message, request
from pyv_edge_core.challenge import Challenge
from pyv_edge_core.errors import FieldError
from pyv_edge_core.frame import encode_for_board
from pyv_edge_core.host_event import Greeting, Refusal
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.host_states import UP
from pyv_edge_core.reading import Channel
from pyv_edge_core.requester import CODES, Answer, Requester

from . import PROGRAM, line
from .carrier import now_ns
from .chunk import TO_HOST, Chunk
from .description import OPS
from .errors import BridgeError, UsageError
from .event import NAMES, Message
from .options import add_json, add_key, add_port, seconds
from .output import Watch, printer, tell
from .port import BoardPort, PortBusyError
from .seal_check import read_key
from .stdio import complain

SILENCE_S = 20.0  # a board that has lost its host greets anew after 15 s
ANSWER_S = 3.0
_LOSING = ("ACK", "WELCOME")  # they let a board forget readings
# message: what answers it; anything else is answered by whatever comes
_ANSWERS = {
    message.TIME_REQUEST: message.TIME_RESPONSE,
    message.HELLO_REQUEST: message.HELLO,
    message.COMMAND: message.RESULT,
    message.CONFIG: message.RESULT,
}
_KINDS = {name: kind for kind, name in NAMES.items() if kind in message.TO_BOARD}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_port(parser)
    parser.add_argument(
        "name",
        metavar="NAME",
        help=f"a command ({', '.join(OPS)}) or a message ({', '.join(_KINDS)})",
    )
    parser.add_argument("fields", nargs="*", metavar="FIELD=VALUE", help="such as token=1")
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help=f"for the answer ({ANSWER_S:g}; {SILENCE_S:g} until a board greets)",
    )
    parser.add_argument(
        "--release-readings",
        action="store_true",
        help="allow a message that lets the board forget readings nobody may have",
    )
    add_key(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Send it; return 1 if no answer came, or the board has not done it."""
    name = args.name.upper()
    fields = _fields(args.fields)
    key = read_key(args.link_key_file) if args.link_key_file else b""
    if name in OPS:
        values = _values(name, fields, {"target": request.ALL_CHANNELS, "value": 0})
        if values["target"] == request.ALL_CHANNELS and name != "READ_NOW":
            values["target"] = 0
    elif name in _KINDS:
        if name in _LOSING and not args.release_readings:
            raise UsageError(
                f"send: {name} lets the board forget readings that nobody may have;"
                " say --release-readings if that is meant"
            )
    else:
        raise UsageError(
            f"send: {args.name!r} is neither a command ({', '.join(OPS)})"
            f" nor a message to boards ({', '.join(_KINDS)})"
        )
    try:
        port = line.open_port(args)
    except PortBusyError as error:
        raise BridgeError(
            f"{error}; if it is the agent's, ask that: pyv-edge-host device cmd"
        ) from error
    try:
        if name in OPS:
            return _command(args, port, key, OPS[name], values)
        return _message(args, port, name, fields)
    finally:
        port.close()


def _fields(words: list[str]) -> dict[str, str]:
    fields = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign:
            raise UsageError(f"send: {word!r} is no FIELD=VALUE")
        fields[name] = value
    return fields


def _values(name: str, fields: dict[str, str], known: dict[str, Any]) -> dict[str, Any]:
    """Return `known` with what `fields` say. Raises UsageError for what makes no sense."""
    values = dict(known)
    for field, text in fields.items():
        if field not in known:
            there_are = ", ".join(known) or "none"
            raise UsageError(f"send: {name} has no field {field!r}; there are: {there_are}")
        values[field] = text
        if isinstance(known[field], bytes):
            try:
                values[field] = bytes.fromhex(text)
            except ValueError as error:
                raise UsageError(f"send: {field}={text} is no hex") from error
        elif isinstance(known[field], int) and field != "target":
            values[field] = _number(field, text)
    return values


def _number(field: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError as error:
        raise UsageError(f"send: {field}={text} is no number (0x... for hex)") from error


# -- messages as they are ----------------------------------------------------------------


def _message(args: argparse.Namespace, port: BoardPort, name: str, fields: dict[str, str]) -> int:
    kind = _KINDS[name]
    known: dict[str, Any] = dict.fromkeys(message.shape(kind)._fields, 0)
    known.update({field: "" for field in known if field == "host"})
    known.update({field: b"" for field in known if field == "content"})
    if kind == message.TIME_REQUEST:
        known["token"] = secrets.randbits(16)
    values = _values(name, fields, known)
    begun_ns = now_ns()
    watch = _Answers(args, begun_ns)
    try:
        if kind not in (message.TIME_REQUEST, message.HELLO_REQUEST):
            _fill_in(args, port, watch, values, fields)
        framed = encode_for_board(message.pack(kind, *values.values()))
    except FieldError as error:
        raise UsageError(f"send: {_named(name, kind, str(error))}") from error
    watch.begin(_ANSWERS.get(kind, 0))
    _write(port, framed)
    _listen(port, watch, args.timeout or ANSWER_S)
    if not watch.is_answered:
        why = _WHY_UNDONE if kind in (message.COMMAND, message.CONFIG) else _WHY_SILENT
        complain(f"{PROGRAM}: send: no answer came back; {why}")
    return 0 if watch.is_answered else 1


def _named(name: str, kind: int, problem: str) -> str:
    """Return the core's `problem` with a value's name instead of its place."""
    place = re.search(r"value (\d+): (.*) does not fit (\w)", problem)
    if place is None:
        return f"{name}: {problem}"
    field = message.shape(kind)._fields[int(place[1]) + 1]  # the tag is before them
    most = 256 ** calcsize(f"<{place[3]}") - 1
    return f"{name}: {field}={place[2]} is not 0 to {most}"


_WHY_UNDONE = (
    "a board does it only for the host that it has welcomed, and under its seal if it has a key:"
    f" send one of {', '.join(OPS)}, which greet first, or ask the agent"
)
_WHY_SILENT = "is it the firmware that runs there, and is its link sealed (link_key)?"


class _Answers:
    """Shows what comes back, and knows whether that is an answer."""

    def __init__(self, args: argparse.Namespace, begun_ns: int) -> None:
        self.is_answered = False
        self.hello: Any = None
        self.watch = Watch(b"", self._show)
        self._is_begun = False
        self._kind = 0
        self._print = printer(is_json=args.json, begun_ns=begun_ns, has_readings=False)

    def begin(self, kind: int) -> None:
        """From now on a message of `kind` is an answer, any if it is 0."""
        self._is_begun = True
        self._kind = kind

    def _show(self, event: Any) -> None:
        if isinstance(event, Message):
            if event.kind == message.HELLO and event.parsed is not None:
                self.hello = event.parsed
            if self._is_begun and self._kind in (0, event.kind):
                self.is_answered = True
        if self._is_begun:
            self._print(event)


def _fill_in(
    args: argparse.Namespace,
    port: BoardPort,
    watch: _Answers,
    values: dict[str, Any],
    fields: dict[str, str],
) -> None:
    """Learn from the board's HELLO which boot it is, unless the fields say it."""
    missing = [name for name in ("tag", "boot") if name in values and name not in fields]
    if not missing:
        return
    _write(port, encode_for_board(message.pack(message.HELLO_REQUEST, 0, 0, 0)))
    _listen(port, watch, args.timeout or SILENCE_S, lambda: watch.hello is not None)
    if watch.hello is None:
        raise BridgeError(f"send: no HELLO on {port.name}; {_WHY_SILENT}")
    found = {"tag": watch.hello.tag, "boot": watch.hello.boot}
    values.update({name: found[name] for name in missing})


def _write(port: BoardPort, data: bytes) -> None:
    poll = select.poll()
    poll.register(port.fileno(), select.POLLOUT)
    while data:
        if not poll.poll(ANSWER_S * 1000):
            raise BridgeError(f"send: {port.name} takes no bytes; does the board read?")
        data = data[port.write(data) :]


def _listen(
    port: BoardPort, answers: _Answers, timeout_s: float, is_enough: Any = lambda: False
) -> None:
    ending = line.Ending(timeout_s)
    poll = select.poll()
    poll.register(port.fileno(), select.POLLIN)
    while not ending.is_over and not is_enough() and not answers.is_answered:
        if poll.poll(ending.wait_ms()):
            answers.watch.take(Chunk(now_ns(), TO_HOST, port.read()))


# -- commands ------------------------------------------------------------------------------


def _command(
    args: argparse.Namespace, port: BoardPort, key: bytes, op: int, values: dict[str, Any]
) -> int:
    challenge = Challenge(key, secrets.randbits) if key else None
    requester = Requester(secrets.randbits(32))
    session = HostSession(window=1, host="bridge", challenge=challenge, requester=requester)
    timeout_s = args.timeout or SILENCE_S + ANSWER_S
    until_ms = now_ns() // 1_000_000 + round(timeout_s * 1000)
    ending = line.Ending(timeout_s)
    poll = select.poll()
    poll.register(port.fileno(), select.POLLIN)
    _ask_hello(port)
    unsent = b""
    while not ending.is_over:
        poll.poll(min(20, ending.wait_ms()))
        now_ms = now_ns() // 1_000_000
        for event in session.receive(port.read(), now_ms):
            if isinstance(event, Refusal):
                raise BridgeError(f"send: the board's greeting can't be used: {event.problem}")
            if isinstance(event, Greeting):
                # Where the board stands: nothing that it holds is taken for committed.
                hello = event.hello
                session.welcome(hello.boot, hello.telemetry_first, hello.events_first)
                target = _target(values["target"], event)
                try:
                    requester.command(op, target, int(values["value"]), until_ms, hello.boot)
                except FieldError as error:
                    raise UsageError(
                        f"send: {_named(args.name, message.COMMAND, str(error))}"
                    ) from error
            elif isinstance(event, Answer):
                return _answered(args, event)
        session.decoder.take_console()
        unsent = unsent or session.transmit(now_ms)
        unsent = unsent[port.write(unsent) :] if unsent else b""
    if session.state == UP:
        raise BridgeError("send: the board has not answered in time")
    what = "its link is sealed: --link-key-file" if session.sealed_total else _WHY_SILENT
    raise BridgeError(f"send: no greeting on {port.name} within {timeout_s:g} s; {what}")


def _ask_hello(port: BoardPort) -> None:
    """Ask who is there: a board that had a host until now would greet only after 15 s."""
    _write(port, encode_for_board(message.pack(message.HELLO_REQUEST, 0, 0, 0)))


def _target(target: "int | str", greeting: Greeting) -> int:
    """Return the place of a channel that is named, or a number. Raises UsageError."""
    if isinstance(target, int) or target.isdecimal():
        return int(target)
    names = [row.name for row in greeting.channels if isinstance(row, Channel)]
    if target not in names:
        raise UsageError(f"send: there is no channel {target!r}; there are: {', '.join(names)}")
    return names.index(target)


def _answered(args: argparse.Namespace, answer: Any) -> int:
    outcome = CODES.get(answer.code, str(answer.code))
    told = {
        "event": "answer",
        "outcome": outcome,
        "value": answer.value,
        "text": answer.text,
        "is_done": answer.code == message.RESULT_DONE,
    }
    words = f": {answer.text}" if answer.text else ""
    tell(args, told, f"{outcome} ({answer.value}){words}")
    return 0 if told["is_done"] else 1
