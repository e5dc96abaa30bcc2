"""What is asked of a board through its link: each Future is answered, whatever happens."""

import threading
from concurrent.futures import wait

import pytest
from host.fakes import FakeClock
from host.link_rig import Rig
from host.waiting import wait_for
from pyv_edge_agent.board_request import OPEN_MAX, OPS, TIMEOUT_MS_MAX, BoardRequests
from pyv_edge_agent.errors import RequestError
from pyv_edge_agent.link_state import SEARCHING, UP
from pyv_edge_core import message, request, requester
from pyv_edge_core.channel_table import AlertRow


def answering(code=message.RESULT_DONE, value=0, text="", **board):
    rig = Rig(**board).up()
    rig.board.answer = (code, value, text)
    return rig


def failure(future):
    assert future.done()
    return str(future.exception())


def test_command_is_done_and_its_future_says_so(log):
    rig = answering(value=3, text="blin\nking")
    future = rig.link.command("identify")
    rig.pump(30)
    outcome = future.result(0)
    assert outcome.is_done
    assert (outcome.code, outcome.name, outcome.value, outcome.text) == (0, "done", 3, "blin king")
    (asked,) = rig.board.requests
    assert (asked.op, asked.target, asked.value) == (request.IDENTIFY, 0, 0)
    assert rig.link.status()["requests"]["done_total"] == 1
    assert log.having("identify") == [
        "link porch: the board is asked for identify, value 0",
        "link porch: identify, value 0: done (blin king)",
    ]


@pytest.mark.parametrize("op", OPS)
def test_commands_have_the_numbers_of_the_core(op):
    rig = answering()
    rig.link.command(op, "rh" if op == "set_rate" else None, 1)
    rig.pump(30)
    assert [asked.op for asked in rig.board.requests] == [OPS[op]]


@pytest.mark.parametrize(
    ("op", "target", "wanted"),
    [
        ("set_rate", "rh", 1),
        ("set_rate", 0, 0),
        ("read_now", "temp", 0),
        ("read_now", None, request.ALL_CHANNELS),
        ("reset", None, 0),
    ],
)
def test_channel_goes_by_name_or_number(op, target, wanted):
    rig = answering()
    rig.link.command(op, target, 500)
    rig.pump(30)
    assert [(asked.target, asked.value) for asked in rig.board.requests] == [(wanted, 500)]


def test_all_channels_are_called_so(log):
    rig = answering()
    rig.link.command("read_now")
    rig.pump(30)
    assert log.having("all channels")[0].endswith("asked for read_now of all channels, value 0")


def test_channel_by_its_name_is_a_place_in_the_table_of_the_boot_that_is_asked():
    requests = BoardRequests("porch", 7, FakeClock(), lambda: None)
    future = requests.command("set_rate", "temp", 100, 5000)
    requests.run(-1, {"temp": 0})  # of the boot that is gone
    requests.run(22, {"rh": 0, "temp": 1})
    (command,) = [message.parse(requests.requester.next_message(1, 22, 0, 0))[1]]
    assert (command.boot, command.target) == (22, 1)
    requests.run(23, {"temp": 0})
    assert future.result(0).code == requester.NOT_SENT


def test_alert_of_the_table_is_no_channel():
    rig = answering(alerts=[AlertRow("hot", 0, 2, "{sensor} is hot")])
    known = rig.link.command("set_rate", "rh", 500)
    unknown = rig.link.command("set_rate", "hot", 500)
    rig.pump(30)
    assert known.result(0).is_done
    assert failure(unknown).endswith("no channel 'hot'; there are temp, rh")


def test_channel_that_the_board_does_not_have():
    rig = answering()
    future = rig.link.command("set_rate", "co2", 500)
    rig.pump(30)
    assert failure(future) == (
        "porch: set_rate of co2, value 500: no channel 'co2'; there are temp, rh"
    )
    assert rig.board.requests == []
    assert rig.link.status()["requests"]["refused_total"] == 1


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("explode", None, 0, 1000), "'explode' is no command; there are identify, set_rate, "),
        (("set_rate", None, 5, 1000), "set_rate: name the channel"),
        (("reset", None, -1, 1000), "value: -1 is not a whole number in 0.."),
        (("reset", None, 2**32, 1000), "value: 4294967296 is not a whole number in 0.."),
        (("reset", None, True, 1000), "value: True is not a whole number in 0.."),
        (("read_now", 256, 0, 1000), "target: 256 is not a whole number in 0..255"),
        (("read_now", -1, 0, 1000), "target: -1 is not a whole number in 0..255"),
        (("reset", None, "500", 1000), "value: '500' is not a whole number in 0.."),
        (("reset", None, 0, 6000.0), "timeout_ms: 6000.0 is not a whole number in 1.."),
        (("read_now", 1.0, 0, 1000), "target: 1.0 is not a whole number in 0..255"),
        (("reset", None, 0, 0), "timeout_ms: 0 is not a whole number in 1.."),
        (
            ("reset", None, 0, TIMEOUT_MS_MAX + 1),
            "timeout_ms: 3600001 is not a whole number in 1..3600000",
        ),
    ],
)
def test_what_no_board_could_do_is_refused_at_once(arguments, wanted):
    rig = Rig()
    with pytest.raises(RequestError) as refused:
        rig.link.command(*arguments)
    assert str(refused.value).startswith(wanted)


@pytest.mark.parametrize(
    ("code", "counter"),
    [
        (message.RESULT_FAILED, "failed_total"),
        (message.RESULT_UNKNOWN, "unknown_total"),
        (message.RESULT_LATE, "late_total"),
    ],
)
def test_outcomes_are_counted_by_kind(code, counter):
    rig = answering(code, text="no")
    future = rig.link.command("reset", value=1)
    rig.pump(30)
    outcome = future.result(0)
    assert not outcome.is_done
    assert (outcome.code, outcome.name) == (code, requester.CODES[code])
    counters = rig.link.status()["requests"]
    assert counters.pop(counter) == 1
    assert not any(counters.values())


def test_code_of_a_newer_board_is_a_failure_by_number():
    rig = answering(77)
    future = rig.link.command("reset")
    rig.pump(30)
    assert future.result(0).name == "code 77"
    assert rig.link.status()["requests"]["failed_total"] == 1


def test_requests_are_done_one_after_the_other():
    rig = answering()
    futures = [rig.link.command("identify", value=n) for n in range(OPEN_MAX)]
    rig.pump(300)
    assert all(future.result(0).is_done for future in futures)
    assert [asked.value for asked in rig.board.requests] == list(range(OPEN_MAX))


def test_no_more_than_so_many_wait():
    rig = Rig().up()
    kept = [rig.link.command("identify") for _ in range(OPEN_MAX // 2)]
    rig.pump(3)  # these the requester has, the next wait for the link's thread
    kept += [rig.link.command("identify") for _ in range(OPEN_MAX - len(kept))]
    refused = rig.link.command("identify")
    assert failure(refused).endswith(f"{OPEN_MAX} requests wait already; wait for their answers")
    assert not any(future.done() for future in kept)


def test_board_that_does_not_answer():
    rig = Rig().up()
    future = rig.link.command("identify", timeout_ms=3000)
    rig.pump(400, ms=20)
    assert future.result(0).name == "no answer in time"
    assert rig.link.status()["requests"]["timed_out_total"] == 1


def test_board_that_is_not_there_in_time():
    rig = Rig()
    rig.port.absent = "not there"
    by_number = rig.link.command("identify", timeout_ms=3000)
    by_name = rig.link.command("set_rate", "temp", 500, timeout_ms=3000)
    waits = []
    while not (by_number.done() and by_name.done()):
        waits.append(rig.link.step())
        rig.clock.advance(100)
        assert len(waits) < 100
    assert max(waits) <= 0.5  # it looks after what it was asked, however long the back-off
    for future in (by_number, by_name):
        assert future.result(0).name == "not sent, the board was not there in time"
    assert rig.link.status()["requests"]["not_sent_total"] == 2


def test_request_made_before_the_board_came_waits_for_it():
    rig = Rig()
    rig.board.answer = (message.RESULT_DONE, 0, "")
    future = rig.link.command("set_rate", "rh", 500)
    rig.pump(60)
    assert rig.link.state == UP
    assert future.result(0).is_done
    assert rig.board.requests[0].target == 1


def test_board_that_restarts_before_it_answers_is_not_asked_again():
    rig = Rig().up()
    future = rig.link.command("reset", timeout_ms=60_000)
    rig.pump(5)
    rig.reboot(0x0BADCAFE)
    rig.board.answer = (message.RESULT_DONE, 0, "")
    rig.pump(300)
    assert future.result(0).name == "the board restarted before it answered"
    assert rig.board.requests == []
    assert rig.link.status()["requests"]["rebooted_total"] == 1


def test_request_outlives_a_cut_cable():
    rig = Rig().up()
    future = rig.link.command("identify", timeout_ms=60_000)
    rig.pump(3)
    rig.port.fault = "cut"
    rig.link.step()
    assert rig.link.state == SEARCHING
    rig.port.fault = ""
    rig.board.answer = (message.RESULT_DONE, 0, "")
    rig.clock.advance(16_000)
    rig.pump(500)
    assert future.result(0).is_done
    assert len(rig.board.requests) == 1


def test_stopped_link_answers_what_is_open_and_what_comes_later():
    rig = Rig().up()
    sent = rig.link.command("identify")
    rig.pump(5)
    waiting = rig.link.command("identify")
    rig.link.stop()
    late = rig.link.command("identify")
    assert sent.result(0).name == "the host stopped before the board answered"
    for future in (waiting, late):
        assert failure(future).endswith("the link has stopped")
    assert rig.link.status()["requests"]["abandoned_total"] == 1
    rig.link.run()  # what was not sent by then never is
    rig.board.answer = (message.RESULT_DONE, 0, "")
    for _ in range(3):
        rig.board.exchange(rig.port)
    assert len(rig.board.requests) == 1


def test_thread_that_ends_answers_what_is_open():
    rig = Rig().up()
    sent = rig.link.command("identify", timeout_ms=60_000)
    rig.pump(5)
    thread = threading.Thread(target=rig.link.run)
    thread.start()
    waiting = rig.link.command("identify", "no such channel", timeout_ms=60_000)
    rig.link.stop()
    thread.join(10)
    assert sent.result(0).name == "the host stopped before the board answered"
    assert isinstance(waiting.exception(0), RequestError)


def test_future_can_not_be_cancelled():
    rig = answering()
    future = rig.link.command("identify")
    assert not future.cancel()
    rig.pump(30)
    assert future.result(0).is_done


def test_settings_are_sent_whole():
    rig = answering()
    content = bytes(range(256)) * 20
    future = rig.link.push_settings(content)
    rig.pump(3000)
    assert future.result(0).is_done
    assert bytes(rig.board.document) == content


@pytest.mark.parametrize("size", [0, request.CONFIG_SIZE_MAX + 1])
def test_settings_that_no_board_holds_are_refused(size):
    with pytest.raises(RequestError, match=f"settings of {size} bytes: must be 1..8192"):
        Rig().link.push_settings(b" " * size)


def test_many_threads_may_ask_and_stop_leaves_none_waiting():
    clock = FakeClock()
    requests = BoardRequests("porch", 1, clock, lambda: None)
    futures, lock, is_over = [], threading.Lock(), threading.Event()

    def ask():
        while not is_over.is_set():
            future = requests.command("identify", None, 0, 1000)
            with lock:
                futures.append(future)

    def serve():
        while not is_over.is_set():
            requests.run(-1, None)
            clock.advance(1001)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
    threads.append(threading.Thread(target=serve, daemon=True))
    for thread in threads:
        thread.start()
    wait_for(lambda: requests.counters["not_sent_total"] > 50, "requests that were given up")
    requests.stop()
    is_over.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert not wait(futures, timeout=0).not_done
    assert sum(requests.counters.values()) == len(futures)
