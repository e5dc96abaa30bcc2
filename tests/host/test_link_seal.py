"""An authenticated link: who has the key, and what is said to whoever hasn't."""

import pytest
from host.fakes import FakeClock, FixedRandom, serial_device
from host.link_rig import Rig
from pyv_edge_agent.adapters.serial import SerialAdapter
from pyv_edge_agent.dating import TimedBatch
from pyv_edge_agent.dialogue import DEAF_MS
from pyv_edge_agent.errors import ConfigError
from pyv_edge_agent.link_key import read_link_key
from pyv_edge_agent.link_state import HANDSHAKING, SEARCHING, UP
from pyv_edge_core import message
from pyv_edge_core.frame import encode

KEY = b"a secret of 24 bytes, yes"
OTHER_KEY = b"another secret, as long.."
SEALS = ("unsealed_total", "forged_total", "replayed_total", "unasked_total", "sealed_total")


class Bench(Rig):
    """A rig whose board may have another key than the link."""

    def __init__(self, key=KEY, board_key=KEY):
        super().__init__(key=key)
        self.reboot(0x12345678, key=board_key)

    def seals(self):
        status = self.link.status()
        return {name: status[name] for name in SEALS if status[name]}


def test_board_with_the_key_is_up_and_its_readings_come(log):
    rig = Bench()
    rig.pump(400)
    assert rig.link.state == UP
    rig.board.sample(1, 2, 3)
    rig.pump(100)
    assert len(rig.of(TimedBatch)) == 1
    # Its first HELLO can't know the challenge, nor is the table behind it of any session.
    assert rig.seals() == {"unasked_total": 2}
    assert log.warnings() == []


def test_session_is_challenged_anew_after_each_opening():
    rig = Bench()
    rig.pump(400)
    recorded = []
    for _ in range(3):
        recorded.append(rig.link.dialogue.challenge.seal.session)
        rig.port.fault = "cut"
        rig.link.step()
        assert rig.link.state == SEARCHING
        rig.port.fault = ""
        rig.clock.advance(16_000)
        rig.pump(800)
        assert rig.link.state == UP
    assert len(set(recorded)) == 3


def test_command_is_sealed_too():
    rig = Bench()
    rig.pump(400)
    rig.board.answer = (message.RESULT_DONE, 0, "")
    future = rig.link.command("identify")
    rig.pump(100)
    assert future.result(0).is_done


def test_recorded_frames_are_refused_and_counted():
    rig = Bench()
    rig.pump(400)
    before = rig.seals()
    rig.board.sample(1)
    for _ in range(2):  # it waits a while for a fuller frame
        rig.board.exchange(rig.port)
        rig.clock.advance(300)
    recorded = list(rig.port.incoming)
    rig.port.incoming.clear()
    for _ in range(4):
        rig.port.incoming.extend(recorded)
        for _ in recorded:
            rig.link.step()
    rig.link.step()
    assert len(rig.of(TimedBatch)) == 1
    assert rig.seals() == {**before, "replayed_total": 3 * len(recorded)}


def test_altered_and_unsigned_frames_are_refused_and_counted():
    rig = Bench()
    rig.pump(400)
    before, count = rig.seals(), len(rig.events)
    log_message = message.pack(message.LOG, rig.board.session.tag, 10, "me too")
    rig.port.incoming.append(encode(log_message))
    sealed = bytearray(rig.board.session._seal.seal(log_message))
    sealed[6] ^= 1
    rig.port.incoming.append(encode(bytes(sealed)))
    rig.link.step()
    rig.link.step()
    assert len(rig.events) == count
    assert rig.seals() == {**before, "unsealed_total": 1, "forged_total": 1}
    assert rig.link.state == UP


@pytest.mark.parametrize(
    ("key", "board_key", "wanted", "counter"),
    [
        (b"", KEY, "the board seals its messages: set link_key_file", "sealed_total"),
        (KEY, b"", "the board does not seal its messages: set its link_key or", "unsealed_total"),
        (KEY, OTHER_KEY, "the board has another key than link_key_file", "forged_total"),
    ],
)
def test_mismatch_is_one_clear_line(log, key, board_key, wanted, counter):
    rig = Bench(key, board_key)
    rig.pump(600, ms=25)
    assert rig.link.state == HANDSHAKING
    assert rig.link.problem.startswith(f"no HELLO on /dev/fake; {wanted}")
    (warning,) = log.warnings()
    assert wanted in warning
    assert rig.seals()[counter] > 0
    for secret in (KEY, OTHER_KEY):
        assert secret.decode() not in log.whole() + str(rig.link.status())


def test_board_that_does_not_hear_the_challenge_is_not_said_to_have_another_key():
    rig = Bench()
    began_ms = rig.clock.monotonic_ms()
    while rig.clock.monotonic_ms() < began_ms + DEAF_MS + 1000:
        rig.link.step()
        if rig.clock.monotonic_ms() < began_ms + DEAF_MS:
            assert rig.link.problem == ""  # it may be one that still waits for another host
        rig.port.take_written()  # the line towards the board is cut
        rig.board.exchange(rig.port)
        rig.clock.advance(50)
    assert rig.link.problem.endswith(
        "the board does not hear the challenge; is the line towards it connected?"
    )
    rig.pump(800)  # and mended: the challenge is sent again, however much was lost before
    assert rig.link.state == UP


def test_reason_is_that_of_this_opening_and_not_of_an_earlier_one():
    rig = Bench(KEY, b"")
    rig.pump(600, ms=25)
    assert "does not seal" in rig.link.problem
    rig.reboot(77, key=KEY)
    rig.pump(400)
    assert rig.link.state == UP
    for _ in range(60):  # the board goes away without a word
        rig.link.step()
        rig.clock.advance(1000)
    assert rig.link.problem.startswith("no HELLO on /dev/fake; does the board run the firmware?")


# -- the file of the key -----------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"0123456789abcdef", b"0123456789abcdef"),
        (b"  0123456789abcdef \t\r\nsecond line\n", b"0123456789abcdef"),
        ("schlüssel für den steg".encode(), "schlüssel für den steg".encode()),
    ],
)
def test_key_is_the_first_line_stripped(tmp_path, content, wanted):
    path = tmp_path / "key"
    path.write_bytes(content)
    assert read_link_key(path, "link_key_file") == wanted


@pytest.mark.parametrize(("mode", "is_open"), [(0o600, False), (0o640, True), (0o604, True)])
def test_key_file_that_others_can_read_is_said(tmp_path, log, mode, is_open):
    path = tmp_path / "key"
    path.write_text("0123456789abcdef\n")
    path.chmod(mode)
    assert read_link_key(path, "link_key_file")
    assert log.warnings() == (
        [f"link_key_file: others can read the key; chmod 600 {path}"] if is_open else []
    )


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (None, "can't be read: No such file or directory; write the secret into it"),
        (b"", "the first line of PATH has 0 bytes, at least 16"),
        (b"\n0123456789abcdef\n", "the first line of PATH has 0 bytes, at least 16"),
        (b"hunter2hunter22\n", "the first line of PATH has 15 bytes, at least 16"),
        (b"hunter2hunter2\xff\xff", "is not UTF-8; write a line of text into it"),
    ],
)
def test_key_that_is_none_is_one_line_without_the_key(tmp_path, content, wanted):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_link_key(path, "link_key_file of device porch")
    (line,) = refused.value.problems
    assert line.startswith("link_key_file of device porch: ")
    assert wanted.replace("PATH", str(path)) in line
    assert "hunter2" not in line


def test_key_file_is_in_the_folder_of_the_configuration(tmp_path):
    (tmp_path / "porch.key").write_text("0123456789abcdef\n")
    adapter = SerialAdapter(serial_device("porch", link_key_file="porch.key"))
    link = adapter.open_link(FakeClock(), FixedRandom(), lambda link, event: True, folder=tmp_path)
    assert link.dialogue.challenge is not None
    with pytest.raises(ConfigError, match="link_key_file of device porch: "):
        adapter.open_link(
            FakeClock(), FixedRandom(), lambda link, event: True, folder=tmp_path / "elsewhere"
        )
