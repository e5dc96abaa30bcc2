"""What a node does when Ctrl-C comes, which may be a person, a tool, or a damaged byte."""

from fake_board import FakeBoard, FakeFlash, FakePort, make_settings
from pyv_edge_node.app import PROMPT_IDLE_MS, STOPPED, App

HEAP_KB_MIN = 192  # a node's modules as sources


class _Board(FakeBoard):
    """Notes in which order it is left to its prompt; Ctrl-C comes when it waits."""

    def __init__(self):
        FakeBoard.__init__(self)
        self.done = []

    def sleep_ms(self, duration_ms):
        raise KeyboardInterrupt()

    def ignore_ctrl_c(self):
        self.done.append("deaf")

    def stop_watchdog(self):
        self.done.append("watchdog")

    def boot_when_idle(self, idle_ms):
        self.done.append(idle_ms)

    def hear_ctrl_c(self):
        self.done.append("hears")


class _Port(FakePort):
    def wait(self, idle_ms):
        return False


class _App(App):
    def save(self):
        self.board.done.append("saved")


def test_board_is_left_to_its_prompt_as_long_as_somebody_uses_it():
    board = _Board()
    config = make_settings(watchdog_ms=1000)
    _App(config, board, _Port(), FakeFlash()).run_until_stopped()
    # The boot that ends an idle prompt is seen to before what can fail: files are written.
    assert board.done == ["deaf", "watchdog", PROMPT_IDLE_MS, "saved", "hears"]
    assert (PROMPT_IDLE_MS, board.said) == (300_000, [STOPPED])
    assert "boots again when the prompt is idle for 5 minutes" in STOPPED
