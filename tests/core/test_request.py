"""Requests of a host: each is carried out once at most, whatever the wire repeats or loses."""

from binascii import crc32

from check import raises
from pair import CORRUPT, DROP, DUPLICATE, Pair
from pyv_edge_core import device_states, message, request
from pyv_edge_core.errors import FieldError
from pyv_edge_core.frame import FrameDecoder, encode, encode_for_board
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.requester import (
    ABANDONED,
    CODES,
    NOT_SENT,
    REBOOTED,
    TIMED_OUT,
    WAITING_MAX,
    Answer,
    Requester,
)

HEAP_KB_MIN = 384

_SETTINGS = bytes([32 + index % 90 for index in range(500)])


class _Board:
    """Carries out what it is asked, and keeps a list."""

    def __init__(self, pair):
        self.pair = pair
        self.done = []
        self.document = b""
        self.is_dead = False

    def run(self):
        device = self.pair.device
        asked = device.request
        if asked is None or self.is_dead:
            return
        if not isinstance(asked, message.shape(message.CONFIG)):
            self.done.append((asked.op, asked.target, asked.value))
            device.answer(message.RESULT_DONE, asked.value, "done")
        elif asked.offset != len(self.document):
            device.answer(message.RESULT_MORE, len(self.document))
        else:
            self.document += asked.content
            is_whole = len(self.document) == asked.size
            code = message.RESULT_DONE if is_whole else message.RESULT_MORE
            device.answer(code, len(self.document))


class _Rig:
    """A pair that is up, with a requester at its host's end."""

    def __init__(self, number=0xFFFFFFFE):
        self.requester = Requester(number)
        self.pair = Pair(channels=1)
        self.pair.host = HostSession(64, "", requester=self.requester)
        self.pair._take = self._take
        self.board = _Board(self.pair)
        self.answers = []
        self.run(100)
        assert self.pair.device.state == device_states.UP

    def _take(self, event):
        if isinstance(event, Answer):
            self.answers.append(event)
        else:
            Pair._take(self.pair, event)

    def run(self, duration_ms):
        for _ in range(duration_ms // 10):
            self.pair.step()
            self.board.run()
            hello = self.pair.host.hello
            boot = -1 if hello is None or self.pair.host.state != 2 else hello.boot
            self.answers += self.requester.expire(boot, self.pair.now_ms)

    def command(self, op=request.SET_RATE, target=0, value=7, timeout_ms=5000):
        return self.requester.command(op, target, value, self.pair.now_ms + timeout_ms)


def test_command_is_carried_out_and_answered():
    rig = _Rig()
    first = rig.command(value=7)
    second = rig.command(request.READ_NOW, request.ALL_CHANNELS, 0)
    rig.run(500)
    assert rig.board.done == [(request.SET_RATE, 0, 7), (request.READ_NOW, 255, 0)]
    assert rig.answers == [
        Answer(first, message.RESULT_DONE, 7, "done"),
        Answer(second, message.RESULT_DONE, 0, "done"),
    ]
    assert (first, second) == (0xFFFFFFFE, 0xFFFFFFFF)
    third = rig.command()
    rig.run(500)
    assert (third, len(rig.board.done)) == (0, 3)  # numbers begin anew behind 32 bits


def test_command_is_done_once_whatever_the_wire_does():
    for kind in (message.COMMAND, message.RESULT):
        for action in (DROP, CORRUPT, DUPLICATE):
            for count in (1, 2):
                rig = _Rig()
                wire = rig.pair.to_board if kind == message.COMMAND else rig.pair.to_host
                wire.harm_next(kind, action, count)
                rig.command()
                rig.run(4000)
                case = (kind, action, count)
                assert len(rig.board.done) == 1, case
                assert [answer.code for answer in rig.answers] == [message.RESULT_DONE], case


def test_command_that_is_not_answered_times_out():
    rig = _Rig()
    rig.board.is_dead = True
    number = rig.command(timeout_ms=3000)
    rig.run(4900)
    assert rig.answers == []  # the answer of what was done at the last moment may still come
    rig.run(200)
    assert rig.answers == [Answer(number, TIMED_OUT, 0, "")]
    rig.board.is_dead = False
    later = rig.command()
    rig.run(2000)
    assert [answer.request for answer in rig.answers] == [number, later]


def test_command_says_until_which_uptime_it_may_be_done():
    rig = _Rig()
    rig.board.is_dead = True
    rig.command(timeout_ms=10000)
    rig.run(300)
    asked = rig.pair.device.request
    assert (asked.boot, asked.until_s) == (rig.pair.boot, 10)


def test_command_for_one_boot_is_never_sent_to_another():
    requester = Requester(7)
    number = requester.command(request.SET_RATE, 0, 100, 5000, 21)
    assert requester.next_message(1, 22, 0, 0) == b""
    assert requester.expire(-1, 0) == []
    assert requester.expire(22, 0) == [Answer(number, NOT_SENT, 0, "")]
    requester.command(request.SET_RATE, 0, 100, 5000, 22)
    assert requester.next_message(1, 22, 0, 0) != b""
    assert requester.expire(22, 0) == []


def test_command_is_never_repeated_to_another_boot():
    rig = _Rig()
    rig.board.is_dead = True
    number = rig.command(timeout_ms=60000)
    rig.run(300)
    rig.pair.start_board(0xC0FFEE02)
    rig.board.is_dead = False
    rig.run(1500)
    assert rig.answers == [Answer(number, REBOOTED, 0, "")]
    assert rig.board.done == []


def test_command_that_was_never_sent_may_go_to_any_boot():
    rig = _Rig()
    rig.pair.to_host.is_cut = rig.pair.to_board.is_cut = True
    rig.run(20000)
    rig.pair.start_host()
    rig.pair.host = HostSession(64, "", requester=rig.requester)
    rig.command(timeout_ms=60000)
    rig.pair.start_board(0xC0FFEE02)
    rig.pair.to_host.is_cut = rig.pair.to_board.is_cut = False
    rig.run(3000)
    assert [answer.code for answer in rig.answers] == [message.RESULT_DONE]


def test_command_to_a_board_that_is_away_is_known_not_to_be_done():
    rig = _Rig()
    rig.pair.host = HostSession(64, "", requester=rig.requester)
    rig.pair.to_host.is_cut = rig.pair.to_board.is_cut = True
    number = rig.command(timeout_ms=2000)
    rig.run(2100)
    assert rig.answers == [Answer(number, NOT_SENT, 0, "")]
    for code in (TIMED_OUT, NOT_SENT, REBOOTED, message.RESULT_DONE, message.RESULT_LATE):
        assert CODES[code]


def _copy(rig, number):
    """Let a COMMAND of that number arrive; return how often any was done so far."""
    raw = message.pack(message.COMMAND, rig.pair.device.tag, rig.pair.boot, number, 1000, 1, 0, 0)
    rig.pair.device.receive(encode_for_board(raw), rig.pair.now_ms)
    rig.run(100)
    return len(rig.board.done)


def test_board_repeats_the_results_of_the_latest_requests_and_does_no_older_one():
    rig = _Rig()
    for _ in range(6):
        rig.command()
    rig.run(3000)
    assert len(rig.board.done) == 6
    for number, stale in ((0, 0), (2, 0), (3, 0), (0xFFFFFFFE, 1), (0xFFFFFFFF, 1)):
        before = rig.pair.device.stale_total
        assert _copy(rig, number) == 6, number
        assert rig.pair.device.stale_total == before + stale, number


def test_copy_of_a_former_hosts_request_is_not_done_again():
    rig = _Rig()
    rig.command()
    rig.run(500)
    for host in range(1, 4):
        for number in range(host << 20, (host << 20) + 5):
            rig.board.done.clear()
            assert _copy(rig, number) == 1
        rig.board.done.clear()
        assert _copy(rig, 0xFFFFFFFE) == 0
        assert _copy(rig, host << 20) == 0


def test_request_for_another_boot_with_the_same_tag_is_stale():
    rig = _Rig()
    for kind, body in (
        (message.COMMAND, (1, 1000, 1, 0, 0)),
        (message.CONFIG, (1, 2, 0, 0, b"{}")),
    ):
        other = rig.pair.boot ^ 0x10000
        stale = rig.pair.device.stale_total
        raw = message.pack(kind, rig.pair.device.tag, other, *body)
        rig.pair.device.receive(encode_for_board(raw), rig.pair.now_ms)
        assert rig.pair.device.request is None, kind
        assert rig.pair.device.stale_total == stale + 1, kind


def test_document_arrives_whole_whatever_the_wire_does():
    for kind in (message.CONFIG, message.RESULT):
        for action in (None, DROP, CORRUPT, DUPLICATE):
            rig = _Rig()
            wire = rig.pair.to_board if kind == message.CONFIG else rig.pair.to_host
            if action is not None:
                wire.harm_next(kind, action, 3)
            number = rig.requester.config(_SETTINGS, crc32(_SETTINGS), rig.pair.now_ms)
            rig.run(8000)
            case = (kind, action)
            assert rig.board.document == _SETTINGS, case
            assert rig.answers == [Answer(number, message.RESULT_DONE, 500, "")], case
            assert rig.pair.unread_max <= 200, case


def test_question_who_it_is_comes_before_what_is_asked_of_it():
    # Else a document would take up all the room, for a session that the board has given up.
    rig = _Rig()
    rig.requester.config(_SETTINGS, crc32(_SETTINGS), rig.pair.now_ms)
    host = rig.pair.host
    host.pacing.run(rig.pair.now_ms)
    stray = message.pack(message.LOG, rig.pair.device.tag ^ 1, 20, "of another boot")
    rig.pair.now_ms += 5000
    host.receive(encode(stray), rig.pair.now_ms)
    said = FrameDecoder().feed(host.transmit(rig.pair.now_ms))
    kinds = [payload[1] for payload in said]
    assert message.CONFIG in kinds
    assert kinds.index(message.HELLO_REQUEST) < kinds.index(message.CONFIG), kinds


def test_document_of_which_nothing_more_is_taken_is_given_up():
    rig = _Rig()
    number = rig.requester.config(_SETTINGS, crc32(_SETTINGS), rig.pair.now_ms)
    rig.run(100)
    rig.board.is_dead = True
    rig.run(25000)
    assert rig.answers == [Answer(number, TIMED_OUT, 0, "")]


def test_document_in_pieces_that_fit_whatever_is_in_them():
    rig = _Rig()
    stuffed = bytes([0x7D, 0x7E, 0x03, 0x00] * 100)
    rig.requester.config(stuffed, crc32(stuffed), rig.pair.now_ms)
    rig.run(8000)
    assert rig.board.document == stuffed
    assert rig.pair.unread_max <= 200


def test_host_that_gives_up_knows_what_may_have_been_done():
    rig = _Rig()
    rig.board.is_dead = True
    sent, waiting = rig.command(timeout_ms=60000), rig.command(timeout_ms=60000)
    rig.run(500)
    assert rig.requester.abandon() == [
        Answer(sent, ABANDONED, 0, ""),
        Answer(waiting, NOT_SENT, 0, ""),
    ]
    assert rig.requester.abandon() == []
    assert CODES[ABANDONED]


def test_what_does_not_fit_is_refused_at_once():
    requester = Requester(1)
    assert "300" in str(raises(FieldError, requester.command, 300, 0, 0, 0))
    assert "-1" in str(raises(FieldError, requester.command, 1, -1, 0, 0))
    for size in (0, request.CONFIG_SIZE_MAX + 1):
        assert str(size) in str(raises(FieldError, requester.config, bytes(size), 0, 0)), size
    for _ in range(WAITING_MAX):
        requester.command(1, 0, 0, 1000)
    assert str(WAITING_MAX) in str(raises(FieldError, requester.command, 1, 0, 0, 1000))
    assert str(WAITING_MAX) in str(raises(FieldError, requester.config, b"{}", 0, 1000))


def test_results_that_answer_nothing_are_ignored():
    rig = _Rig()
    result = message.shape(message.RESULT)
    assert rig.requester.answered(result(0, 99, 0, 0, ""), 0) is None
    rig.board.is_dead = True
    number = rig.command()
    rig.run(100)
    # MORE of a command, and beyond a document, make no sense: they are as good as lost.
    assert rig.requester.answered(result(0, number, message.RESULT_MORE, 5, ""), 0) is None
    rig.board.is_dead = False
    rig.run(2000)
    assert [answer.code for answer in rig.answers] == [message.RESULT_DONE]
