"""A board at its prompt is noticed, asked, and started again: seldom, and never one that runs."""

import pytest
from link_rig import Rig
from pyv_edge_agent.link_state import HANDSHAKING, LENT, SILENT, UP
from pyv_edge_agent.prompt import AGAIN_MS, ASK, NO_FRAME_MS, RESTART, SETTLE_MS, Prompt
from pyv_edge_core.frame import FrameDecoder, encode

STOPPED = b"stopped by Ctrl-C\r\nMicroPython v1.22.2\r\n>>> U"


def opened(text=b""):
    prompt = Prompt()
    prompt.reopen(0)
    if text:
        prompt.take(text, 0, 0)
    return prompt


def typed(prompt, begin_ms, end_ms):
    """Return what is typed in that time, with when, in seconds."""
    found = []
    for now_ms in range(begin_ms, end_ms, 1000):
        what = prompt.due(now_ms)
        if what:
            found.append((what, now_ms // 1000))
    return found


@pytest.mark.parametrize(
    "text",
    [
        STOPPED,
        b"\r\n>>> ",
        b"\r\n>>> (\r\n... half a statement",
        b"paste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== x",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_board_at_its_prompt_is_restarted_in_time(text, size):
    prompt = opened()
    for place in range(0, len(text), size):
        prompt.take(text[place : place + size], 0, 0)
    assert prompt.due(NO_FRAME_MS - 1) == b""
    assert prompt.due(NO_FRAME_MS) == RESTART
    assert prompt.restarts_total == 1


@pytest.mark.parametrize(
    "text",
    [b"", b"Login: ", b">>> \r\n", b">>>", b"a >>> ", b">>> \r\nMPY: soft reboot\r\n", b">"],
)
def test_what_is_no_prompt_is_asked(text):
    prompt = opened(text)
    assert prompt.due(NO_FRAME_MS) == ASK
    assert prompt.restarts_total == 0


def test_board_that_answers_is_restarted_as_soon_as_that_has_settled():
    prompt = opened()
    assert prompt.due(NO_FRAME_MS) == ASK
    prompt.take(b"\r\n>>> ", 0, NO_FRAME_MS + 100)
    assert prompt.due(NO_FRAME_MS + 99 + SETTLE_MS) == b""
    assert prompt.due(NO_FRAME_MS + 100 + SETTLE_MS) == RESTART


def test_nothing_is_typed_while_frames_come():
    prompt = opened(STOPPED)
    for count in range(1, 100):
        prompt.take(encode(b"\x01\x05\x00\x00"), count, count * 5000)
        assert prompt.due(count * 5000) == b""
        assert prompt.due(count * 5000 + 4999) == b""
    assert prompt.restarts_total == 0


def test_what_leads_to_nothing_is_done_less_and_less_often():
    prompt = opened()
    assert typed(prompt, 0, 3_000_000) == [
        (ASK, second) for second in (10, 40, 100, 220, 460, 940, 1900, 2860)
    ]
    prompt = opened()
    restarts = []
    for now_ms in range(0, 3_000_000, 1000):
        prompt.take(b"\r\n>>> ", 0, now_ms - SETTLE_MS)
        if prompt.due(now_ms) == RESTART:
            restarts.append(now_ms // 1000)
    assert restarts == [10, 40, 100, 220, 460, 940, 1900, 2860]
    assert prompt.restarts_total == 8


def test_board_that_has_run_meanwhile_is_restarted_as_soon_as_the_first_time():
    prompt = opened(STOPPED)
    assert typed(prompt, 0, 11_000) == [(RESTART, 10)]
    prompt.take(b"boots\r\n" + encode(b"\x01\x05\x00\x00"), 1, 20_000)
    prompt.take(STOPPED, 1, 21_000)
    assert typed(prompt, 21_000, 70_000) == [(RESTART, 40)]  # AGAIN_MS behind the first
    assert AGAIN_MS == 30_000


def test_what_was_heard_at_another_opening_is_no_reason():
    prompt = opened(STOPPED)
    prompt.reopen(10_000)
    assert prompt.due(10_000 + NO_FRAME_MS) == ASK


# -- on a link


def pass_time(rig, ms):
    """Let time pass; return what the host wrote in it."""
    written = b""
    for _ in range(ms // 250):
        rig.link.step()
        written += rig.port.take_written()
        rig.clock.advance(250)
    return written


def test_link_restarts_a_board_at_its_prompt_and_is_up_again(log):
    rig = Rig()
    rig.link.step()
    rig.port.incoming.append(STOPPED)
    assert RESTART not in pass_time(rig, NO_FRAME_MS)
    assert RESTART in pass_time(rig, 500)
    status = rig.link.status()
    assert (status["state"], status["prompt_restarts_total"]) == (HANDSHAKING, 1)
    line = "the board on /dev/fake was at its prompt, restarted; if it stays there,"
    assert status["problem"].startswith(line)
    for _ in range(3):  # it stays there
        rig.port.incoming.append(STOPPED)
        pass_time(rig, 4 * AGAIN_MS)
    assert rig.link.status()["prompt_restarts_total"] > 2
    assert len(log.having("was at its prompt, restarted")) == 1
    rig.up()
    assert rig.link.problem == ""


def test_link_that_is_up_restarts_its_board_before_it_takes_it_for_silent():
    rig = Rig().up()
    rig.port.incoming.append(STOPPED)
    assert RESTART in pass_time(rig, NO_FRAME_MS + 500)
    assert rig.link.state == UP
    rig.reboot(0x2222)
    rig.up()
    assert rig.link.status()["entered_total"][SILENT] == 0


def test_link_asks_a_board_of_which_nothing_is_known():
    rig = Rig()
    assert ASK in pass_time(rig, NO_FRAME_MS + 500)
    rig.port.incoming.append(b"\r\nMicroPython v1.22.2\r\n>>> ")
    assert RESTART in pass_time(rig, SETTLE_MS + 500)
    rig.up()


def test_link_types_nothing_while_the_port_is_lent():
    rig = Rig()
    rig.link.step()
    rig.port.incoming.append(STOPPED)
    pass_time(rig, 5000)
    rig.link.loan.lend(600_000)
    rig.link.step()
    rig.port.take_written()
    assert rig.link.state == LENT
    assert pass_time(rig, 60_000) == b""


def test_rest_of_a_frame_goes_first():
    rig = Rig()
    rig.answers = False
    rig.board.exchange(rig.port)  # a HELLO, to which the host has something to say
    rig.port.room = 5
    written = pass_time(rig, 1000)
    rig.port.incoming.append(STOPPED)
    written += pass_time(rig, 2 * NO_FRAME_MS)
    assert len(written) == 5
    rig.port.room = 1 << 30
    written += pass_time(rig, 1000)
    frame, restart, _ = written.partition(RESTART)
    assert restart
    decoder = FrameDecoder()
    assert decoder.feed(frame)
    assert decoder.bad_fcs_total + decoder.noise_bytes_total == 0
