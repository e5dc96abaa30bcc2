"""Bytes over a real pseudo-terminal between pyserial and MicroPython's own streams."""

from pathlib import Path

from pyv_edge_agent.port import SerialPort
from pyv_edge_core.frame import FrameDecoder, encode_for_board
from pyv_edge_tools.virtual_board import VirtualBoard
from rig import board_settings, micropython_command, wait_for

ECHO = """
import sys
from pyv_edge_core.frame import FrameDecoder, encode
from pyv_edge_node.board import open_board
from pyv_edge_node.port import StreamPort

port = StreamPort(*open_board().link_streams())
decoder = FrameDecoder()
waiting = []
while True:
    waiting.extend(decoder.feed(port.read()))
    port.flush()
    if waiting and port.is_idle:
        port.write(encode(waiting.pop(0)))
    port.wait(1 if waiting or not port.is_idle else 1000)
"""


def echo_board(tmp_path):
    board = VirtualBoard(tmp_path / "echo", board_settings("echo"), micropython_command())
    Path(board.folder / "flash" / "main.py").write_text(ECHO)
    return board


def test_every_byte_value_passes_both_ways(tmp_path):
    messages = [b"\x01" + bytes(range(256))]
    messages += [b"\x01" + bytes([code]) * 40 for code in range(256)]
    with echo_board(tmp_path) as board:
        port = SerialPort(str(board.path), 115200, wait_s=0.05)
        port.open()
        decoder = FrameDecoder()
        for sent in messages:
            framed = encode_for_board(sent)
            assert min(framed) >= 0x20
            while framed:
                framed = framed[port.write(framed) :]
            back = wait_for(lambda: decoder.feed(port.read()), f"the echo of {sent[:3]!r}")
            assert back == [sent]
        port.close()
    assert decoder.take_console() == b""


def test_ctrl_c_still_reaches_the_program(tmp_path):
    """Frames never hold 0x03, so a bare one is always somebody who wants in."""
    with echo_board(tmp_path) as board:
        port = SerialPort(str(board.path), 115200, wait_s=0.05)
        port.open()
        decoder = FrameDecoder()
        for _ in range(3):
            port.write(encode_for_board(b"\x01\x03\x03\x03"))
            assert wait_for(lambda: decoder.feed(port.read()), "the echo") == [b"\x01\x03\x03\x03"]
        assert board.is_running
        port.close()
