"""SerialPort on real terminals (ptys)."""

import fcntl
import os
import pty
import termios
import threading
import tty
from types import SimpleNamespace

import pytest
import serial
from host.waiting import run_with_deadline, wait_for
from pyv_edge_agent.errors import PortAbsentError, PortError
from pyv_edge_agent.port import SerialPort
from pyv_edge_agent.port_search import PortClaims


@pytest.fixture
def terminal():
    """Return (fd of the far end, path for the port); both ends are closed at the end."""
    far, near = pty.openpty()
    tty.setraw(near)
    path = os.ttyname(near)
    os.close(near)
    ends = [far]
    yield far, path, ends
    for fd in ends:
        os.close(fd)


@pytest.fixture
def port(terminal):
    made = SerialPort(terminal[1], 115200, wait_s=0.05)
    yield made
    made.close()


def read_all(port, count):
    data = b""

    def more():
        nonlocal data
        data += port.read()
        return len(data) >= count

    wait_for(more, f"{count} bytes")
    return data


def refusal(path):
    with pytest.raises(PortError) as refused:
        SerialPort(str(path), 115200).open()
    text = str(refused.value)
    assert "\n" not in text
    assert text.startswith(f"serial port {path} ")
    return text


def test_constructor_opens_nothing():
    SerialPort("/dev/no/such/port", 115200).close()


def test_all_byte_values_pass_both_ways(terminal, port):
    port.open()
    every = bytes(range(256))
    os.write(terminal[0], every)
    assert read_all(port, 256) == every
    assert port.write(every) == 256
    assert os.read(terminal[0], 1000) == every


def test_read_returns_nothing_when_nothing_comes(port):
    port.open()
    assert port.read() == b""


def test_wake_makes_a_waiting_read_return(terminal):
    port = SerialPort(terminal[1], 115200, wait_s=600)
    port.open()
    results = []
    thread = threading.Thread(target=lambda: results.append(port.read()), daemon=True)
    thread.start()

    def woken():
        port.wake()  # again and again: the first may come before the read
        return results

    assert wait_for(woken, "the end of read()") == [b""]
    port.close()


def test_wake_of_a_closed_port_does_nothing(port):
    port.wake()
    port.open()
    port.close()
    port.wake()


def test_close_twice_is_no_error(port):
    port.open()
    port.close()
    port.close()


def test_full_port_takes_nothing_and_does_not_wait(port):
    port.open()
    taken = []

    def fill():
        while count := port.write(b"x" * 4096):
            taken.append(count)

    # It ends because write() took nothing; room may appear later, as the kernel moves things.
    run_with_deadline(fill, "write() to a port that nobody reads")
    assert sum(taken) > 0


def test_port_can_be_opened_again(terminal, port):
    port.open()
    port.close()
    port.open()
    os.write(terminal[0], b"again")
    assert read_all(port, 5) == b"again"


# -- refusals ----------------------------------------------------------------------


def test_path_that_does_not_exist(tmp_path):
    text = refusal(tmp_path / "ttyNONE")
    assert text.endswith(
        "does not exist; plug the board in, or name another port (ls /dev/serial/by-id)"
    )


def test_directory(tmp_path):
    assert refusal(tmp_path).endswith("is a directory, not a serial port")


def test_regular_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a port")
    assert refusal(path).endswith("is not a serial port")
    assert path.read_text() == "not a port"


def test_device_that_is_no_terminal():
    assert refusal("/dev/null").endswith("is not a serial port")


def test_port_that_another_agent_has_open(terminal, port):
    port.open()
    assert refusal(terminal[1]).endswith("is in use by another program; stop that one")


def test_port_that_another_program_has_locked(terminal):
    fd = os.open(terminal[1], os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert refusal(terminal[1]).endswith("is in use by another program; stop that one")
    finally:
        os.close(fd)


def test_refused_port_leaves_no_descriptor_open(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("")
    before = sorted(os.listdir("/proc/self/fd"))
    refusal(path)
    assert sorted(os.listdir("/proc/self/fd")) == before


# -- a cable that is pulled --------------------------------------------------------


def test_other_side_closed_is_a_port_error_on_read(terminal, port):
    port.open()
    os.close(terminal[2].pop())
    with pytest.raises(PortError, match=f"serial port {terminal[1]} went away: "):
        wait_for(lambda: port.read() and None, "the error")


def test_other_side_closed_is_a_port_error_on_write(terminal, port):
    port.open()
    os.close(terminal[2].pop())
    with pytest.raises(PortError, match=f"serial port {terminal[1]} went away: ") as gone:
        port.write(b"x")
    assert "\n" not in str(gone.value)


def test_port_can_be_closed_after_it_went_away(terminal, port):
    port.open()
    os.close(terminal[2].pop())
    with pytest.raises(PortError):
        port.write(b"x")
    port.close()
    assert not port.name.startswith("None")


# -- which port, and how it is opened ----------------------------------------------


def listed(*paths):
    return lambda: [
        SimpleNamespace(device=path, vid=0x2E8A, pid=5, serial_number="E66") for path in paths
    ]


def test_port_by_usb_numbers_is_found_when_it_is_opened(terminal):
    found = []
    port = SerialPort("usb:2e8a:5", 115200, wait_s=0.05, ports=lambda: listed(*found)())
    with pytest.raises(PortAbsentError, match="serial port usb:2e8a:5 is not there"):
        port.open()
    found.append(terminal[1])
    port.open()
    assert port.name == f"usb:2e8a:5 ({terminal[1]})"
    os.write(terminal[0], b"hello")
    assert read_all(port, 5) == b"hello"
    port.close()
    found.append("/dev/other")
    with pytest.raises(PortAbsentError, match="fits 2 ports: "):
        port.open()
    assert port.name == "usb:2e8a:5"


def test_path_that_goes_is_absent_and_one_that_is_refused_is_not(tmp_path):
    with pytest.raises(PortAbsentError):
        SerialPort(str(tmp_path / "ttyNONE"), 115200).open()
    with pytest.raises(PortError) as refused:
        SerialPort(str(tmp_path), 115200).open()
    assert not isinstance(refused.value, PortAbsentError)


def test_second_device_of_one_port_waits_until_it_is_free(terminal):
    claims = PortClaims()
    first = SerialPort(terminal[1], 115200, owner="porch", claims=claims)
    second = SerialPort(
        "usb:2e8a:5", 115200, owner="cellar", claims=claims, ports=listed(terminal[1])
    )
    first.open()
    with pytest.raises(PortAbsentError, match="which device porch has; name another port"):
        second.open()
    first.close()
    with pytest.raises(PortAbsentError, match="which device porch has"):
        second.open()  # closed for a while is not given up
    claims.release("porch")
    second.open()
    second.close()


def test_first_device_gives_its_port_up_when_it_is_gone(tmp_path, terminal):
    claims = PortClaims()
    link = tmp_path / "by-id"
    link.symlink_to(terminal[1])
    first = SerialPort(str(link), 115200, owner="porch", claims=claims)
    first.open()
    first.close()
    link.unlink()
    with pytest.raises(PortAbsentError, match="does not exist"):
        first.open()
    second = SerialPort(terminal[1], 115200, owner="cellar", claims=claims)
    second.open()
    second.close()


def test_lines_are_set_before_the_port_is_opened(terminal, monkeypatch):
    opened = []
    real_open = serial.Serial.open

    def spy(self):
        opened.append((self.dtr, self.rts, self.exclusive))
        real_open(self)

    monkeypatch.setattr(serial.Serial, "open", spy)  # pyserial's, which a pty gives no lines
    for dtr, rts in ((True, True), (False, True), (True, False)):
        port = SerialPort(terminal[1], 115200, dtr=dtr, rts=rts)
        port.open()
        port.close()
    assert opened == [(True, True, True), (False, True, True), (True, False, True)]


def test_lines_stay_as_they_are_when_the_port_is_closed(terminal, port):
    near = os.open(terminal[1], os.O_RDWR | os.O_NOCTTY)
    try:
        attributes = termios.tcgetattr(near)
        attributes[2] |= termios.HUPCL
        termios.tcsetattr(near, termios.TCSANOW, attributes)
        port.open()
        assert not termios.tcgetattr(near)[2] & termios.HUPCL
    finally:
        os.close(near)


def test_any_user_can_open_a_pseudo_terminal_again(terminal, port):
    port.open()
    port.close()
    if os.getuid() == 0:
        child = os.fork()
        if child == 0:  # root is let in even where nobody else is
            try:
                os.chmod(terminal[1], 0o666)
                os.setuid(65534)
                os.close(os.open(terminal[1], os.O_RDWR | os.O_NOCTTY))
                os._exit(0)
            except OSError:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
    else:
        port.open()
