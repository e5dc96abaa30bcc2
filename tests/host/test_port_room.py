"""A port for which an agent has no file left: refused before it is touched, and said in a line."""

import os
import pty
import resource
from contextlib import ExitStack

import pytest
from pyv_edge_agent.errors import PortAbsentError, PortError
from pyv_edge_agent.port import DESCRIPTORS_MAX, SerialPort


@pytest.fixture
def crowded():
    """Have so many files open that the next one is not for ports; give what closes one of them."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_MAX + 200  # what the test itself needs
    if before[1] != resource.RLIM_INFINITY and before[1] < wanted:
        pytest.skip("this system allows too few files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], wanted), before[1]))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        far, near = pty.openpty()
        stack.callback(os.close, far)
        stack.callback(os.close, near)
        path = os.ttyname(near)
        opened = [os.open(os.devnull, os.O_RDONLY)]
        while opened[-1] < DESCRIPTORS_MAX - 1:
            opened.append(os.open(os.devnull, os.O_RDONLY))
            stack.callback(os.close, opened[-1])
        yield path, opened[0]


def test_port_is_refused_before_it_is_touched_if_files_run_out(crowded):
    path, spare = crowded
    port = SerialPort(path, 115200)
    with pytest.raises(PortError) as refused:
        port.open()
    assert not isinstance(refused.value, PortAbsentError)
    assert str(refused.value) == (
        f"serial port {path} is one too many for this agent, whose ports take 5 of its"
        f" {DESCRIPTORS_MAX} files each; run a second agent for some of the boards"
    )
    os.close(spare)  # for the port, whose pipes may lie above
    port.open()
    assert port.read() == b""
    port.close()
