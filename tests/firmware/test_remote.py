"""What a host asks of a board: done, refused, or too late, and said so."""

import json
from binascii import crc32

from fake_board import FakeBoard, FakeFlash, FakePort, make_settings, simulated
from pyv_edge_core import message, request
from pyv_edge_core.host_event import Batch, Greeting, Report
from pyv_edge_core.host_session import HostSession
from pyv_edge_core.requester import Answer, Requester
from pyv_edge_node.app import App
from pyv_edge_node.remote import ENDING_MS
from pyv_edge_node.sensors import open_sensor
from pyv_edge_node.start import Start

HEAP_KB_MIN = 256  # a node, its host and all that can be asked of it in one heap

PATH = "board.json"
SETTINGS = {
    "device_id": "device-1",
    "telemetry_capacity": 256,
    "events_capacity": 16,
    "sensors": [simulated(interval_ms=500)],
}


class Host:
    """A host that commits what it is told, and asks."""

    def __init__(self, board, port):
        self.board = board
        self.port = port
        self.requester = Requester(1)
        self.session = HostSession(requester=self.requester)
        self.answers = []
        self.reports = []
        self.hellos = []
        self.counts = {}  # readings by boot
        self.is_committing = True

    def ask(self, op, target=0, value=0, timeout_ms=5000):
        self.requester.command(op, target, value, self.board.now_ms + timeout_ms)

    def push(self, content, hash_crc=None):
        expected = crc32(content) if hash_crc is None else hash_crc
        self.requester.config(content, expected, self.board.now_ms)

    def run(self):
        now_ms = self.board.now_ms
        for event in self.session.receive(self.port.take(), now_ms):
            if isinstance(event, Greeting):
                self.hellos.append(event.hello)
                boot_id = event.hello.boot
                self.session.welcome(boot_id, self.counts.setdefault(boot_id, 0), 0)
            elif isinstance(event, Batch):
                self.counts[event.boot] += len(event.records) // 8
                if self.is_committing:
                    self.session.committed(event.boot, event.stream, self.counts[event.boot])
            elif isinstance(event, Report):
                self.reports.append(event.message)
            elif isinstance(event, Answer):
                self.answers.append((event.code, event.value, event.text))
        self.port.incoming += self.session.transmit(now_ms)

    def logs(self):
        return [one.text for one in self.reports if hasattr(one, "text")]

    def vitals(self):
        return [one for one in self.reports if hasattr(one, "held")]


class Rig:
    """A board that boots from its flash, its host, and the clock of both."""

    def __init__(self, settings=None):
        self.flash = FakeFlash()
        self.flash.files[PATH] = json.dumps(settings or SETTINGS).encode()
        self.board = FakeBoard()
        self.port = FakePort()
        self.host = Host(self.board, self.port)
        self.start()

    def start(self):
        """Boot, and after each reset anew."""
        self.resets = self.board.resets_total
        self.port.__init__()
        self.board.boot += 1
        self.app = Start(self.board, self.flash, lambda _: self.port).boot(PATH)

    def run(self, duration_ms):
        for _ in range(duration_ms // 10):
            self.board.now_ms += 10
            self.app.step()
            if self.board.resets_total > self.resets:
                self.start()
            self.host.run()

    def settings(self):
        return json.loads(self.flash.read(PATH).decode())


def _up():
    rig = Rig()
    rig.run(1000)
    assert len(rig.host.hellos) == 1
    return rig


def test_identify():
    rig = _up()
    rig.host.ask(request.IDENTIFY)
    rig.run(500)
    assert rig.host.answers == [(message.RESULT_DONE, 0, "")]
    assert rig.board.said == ["this is the board that was asked for"]


def test_sensors_of_a_boot_are_made_by_whoever_is_given():
    sensor = simulated()
    sensor["type"] = "own"
    flash = FakeFlash()
    flash.files[PATH] = json.dumps({"device_id": "device-1", "sensors": [sensor]}).encode()
    kinds = []

    def open_own(kind, section, board):
        kinds.append(kind)
        return open_sensor("simulated", section, board)

    app = Start(FakeBoard(), flash, lambda _: FakePort(), open_sensor=open_own).boot(PATH)
    assert kinds == ["own"] and len(app.sampler) == 1


def test_set_rate():
    rig = _up()
    rig.host.ask(request.SET_RATE, 0, 100)
    rig.run(500)
    assert rig.host.answers == [(message.RESULT_DONE, 100, "")]
    before = rig.app.sampler.sampled_total
    rig.run(2000)
    assert rig.app.sampler.sampled_total - before == 20
    assert rig.app.sampler.late_total == 0


def test_rate_or_channel_that_can_not_be_is_refused():
    rig = _up()
    for target, value, words in (
        (1, 100, ("channel", "1")),
        (255, 100, ("channel", "255")),
        (0, 0, ("interval_ms", "0")),
        (0, 3600001, ("interval_ms", "3600001")),
    ):
        rig.host.ask(request.SET_RATE, target, value)
        rig.run(500)
        code, _, text = rig.host.answers.pop()
        assert code == message.RESULT_FAILED, (target, value)
        for word in words:
            assert word in text, text


def test_read_now():
    settings = dict(SETTINGS)
    settings["sensors"] = [simulated("a", 3600000), simulated("b", 3600000)]
    rig = Rig(settings)
    rig.run(1000)
    sampled = rig.app.sampler.sampled_total
    for target, count in ((1, 1), (request.ALL_CHANNELS, 2)):
        rig.host.ask(request.READ_NOW, target)
        rig.run(500)
        assert rig.host.answers.pop() == (message.RESULT_DONE, count, "")
        sampled += count
        assert rig.app.sampler.sampled_total == sampled
    rig.host.ask(request.READ_NOW, 2)
    rig.run(500)
    assert rig.host.answers.pop()[0] == message.RESULT_FAILED


def test_safe_mode_samples_nothing_and_misses_nothing():
    rig = _up()
    rig.host.ask(request.SAFE_MODE, 0, 1)
    rig.run(500)
    assert rig.host.answers.pop() == (message.RESULT_DONE, 1, "")
    sampled = rig.app.sampler.sampled_total
    rig.run(65000)
    assert rig.app.sampler.sampled_total == sampled
    assert rig.host.vitals()[-1].flags == message.VITALS_SAFE
    rig.host.ask(request.READ_NOW, 0)
    rig.run(500)
    assert "safe mode" in rig.host.answers.pop()[2]
    rig.host.ask(request.SAFE_MODE, 0, 0)
    rig.run(2000)
    assert rig.host.answers.pop() == (message.RESULT_DONE, 0, "")
    assert rig.app.sampler.sampled_total > sampled
    assert rig.app.sampler.late_total == 0
    rig.run(60000)
    assert rig.host.vitals()[-1].flags == 0


def test_reset_waits_until_the_host_has_everything():
    rig = _up()
    first = rig.app
    rig.host.ask(request.RESET)
    rig.run(3000)
    assert rig.host.answers == [(message.RESULT_DONE, 0, "")]
    assert rig.board.resets_total == 1 and rig.app is not first
    assert rig.host.counts[rig.host.hellos[0].boot] == first.telemetry.next_seq
    assert [hello.boot for hello in rig.host.hellos] == [rig.board.boot - 1, rig.board.boot]


def test_reset_without_acknowledgements_only_if_forced():
    for value in (0, 1):
        rig = _up()
        rig.host.is_committing = False
        rig.run(1000)
        rig.host.ask(request.RESET, 0, value)
        rig.run(ENDING_MS - 500)
        assert rig.board.resets_total == 0 and rig.app.is_paused
        rig.run(2000)
        assert rig.board.resets_total == value
        assert not rig.app.is_paused
        if not value:
            assert "does not acknowledge" in rig.host.logs()[-1]
            assert rig.app.sampler.late_total > 0


def test_unknown_and_late_commands():
    rig = _up()
    rig.host.ask(99)
    rig.run(500)
    assert rig.host.answers.pop() == (message.RESULT_UNKNOWN, 0, "")
    tag, boot_id = rig.app.session.tag, rig.board.boot
    rig.run(3000)
    raw = message.pack(message.COMMAND, tag, boot_id, 77, 2, request.IDENTIFY, 0, 0)
    rig.app.session.receive(_framed(raw), rig.board.now_ms)
    rig.run(500)
    assert rig.board.said == []


def _framed(raw):
    from pyv_edge_core.frame import encode_for_board

    return encode_for_board(raw)


def test_other_settings_come_into_force():
    rig = _up()
    settings = dict(SETTINGS)
    settings["sensors"] = [simulated("other", 250), simulated("more", 250)]
    content = json.dumps(settings).encode()
    rig.host.push(content)
    rig.run(5000)
    assert rig.host.answers == [(message.RESULT_DONE, 0, "")]
    assert rig.board.resets_total == 1
    assert rig.host.hellos[-1].config_hash == crc32(content)
    assert [channel.name for channel in rig.app.pipeline.rows] == ["other", "more"]
    assert rig.app.trial is None and rig.flash.read(PATH + ".trial") is None
    # None of the first boot's readings is lost for it.
    assert sum(rig.host.counts.values()) > 2
    rig.host.push(content)
    rig.run(3000)
    assert rig.host.answers[1:] == [(message.RESULT_DONE, 0, "")]
    assert rig.board.resets_total == 1  # they are in force by now


def test_settings_that_can_not_be_used_change_nothing():
    rig = _up()
    before = rig.flash.read(PATH)
    settings = dict(SETTINGS)
    settings["telemetry_capacity"] = 1
    for content, words in (
        (b"{", ("JSON",)),
        (b"\xff\xfe", ("JSON",)),
        (json.dumps(settings).encode(), ("telemetry_capacity", "1")),
        (json.dumps({"sensors": []}).encode(), ("sensors",)),
    ):
        rig.host.push(content)
        rig.run(2000)
        code, _, text = rig.host.answers.pop()
        assert code == message.RESULT_FAILED, content
        for word in words:
            assert word in text, text
    rig.host.push(json.dumps(SETTINGS).encode(), 0x12345678)
    rig.run(3000)
    assert "hash" in rig.host.answers.pop()[2]
    assert rig.flash.files == {PATH: before}
    assert rig.board.resets_total == 0


def test_settings_that_do_not_come_up_are_taken_back():
    rig = _up()
    before = rig.flash.read(PATH)
    settings = dict(SETTINGS)
    settings["sensors"] = [{"type": "nonsense", "interval_ms": 100}]
    rig.host.push(json.dumps(settings).encode())
    for _ in range(400):
        rig.board.now_ms += 10
        rig.app.step()
        if rig.board.resets_total > rig.resets:
            try:
                rig.start()
            except ValueError:  # SettingsError: it has asked for another reset by then
                assert rig.board.resets_total == 2
                rig.start()
        rig.host.run()
    rig.run(3000)
    assert rig.host.answers == [(message.RESULT_DONE, 0, "")]
    assert rig.flash.read(PATH) == before
    assert rig.host.hellos[-1].config_hash == crc32(before)
    assert "nonsense" in rig.host.logs()[-1]


def test_settings_are_not_put_in_force_while_readings_wait():
    rig = _up()
    rig.host.is_committing = False
    rig.run(1000)
    content = json.dumps(SETTINGS).encode() + b" "
    rig.host.push(content)
    for _ in range(ENDING_MS // 500 + 4):
        sampled = rig.app.sampler.sampled_total
        rig.run(500)
        assert rig.app.sampler.sampled_total > sampled  # it would be a loss to wait without
    assert rig.board.resets_total == 0
    rig.host.is_committing = True
    rig.run(40_000)
    assert (rig.board.resets_total, rig.flash.read(PATH)) == (1, content)


def test_settings_wait_again_if_the_host_stops_acknowledging_at_the_last_moment():
    rig = _up()
    while rig.app.session.in_flight:
        rig.run(10)
    content = json.dumps(SETTINGS).encode() + b" "
    room = rig.port.room
    _give_without_hearing(rig, content)
    assert rig.app.is_paused
    rig.run(ENDING_MS + 1000)
    assert rig.board.resets_total == 0 and not rig.app.is_paused
    rig.port.room = room
    rig.run(40_000)
    assert (rig.board.resets_total, rig.flash.read(PATH)) == (1, content)


def test_piece_of_settings_out_of_its_place_is_asked_for_again():
    rig = _up()
    content = json.dumps(SETTINGS).encode() + b" "
    rig.host.is_committing = False
    rig.run(1000)  # so that it waits once it has them
    pieces = _pieces(rig, content)
    answers = []
    for raw in [pieces[1], pieces[0], pieces[2], pieces[0]] + pieces[1:]:
        rig.app.session.receive(_framed(raw), rig.board.now_ms)
        rig.app.session.answer, answer = answers_of(answers), rig.app.session.answer
        rig.app.step()
        rig.app.session.answer = answer
        rig.app.session.request = None
    more = message.RESULT_MORE
    assert answers[:4] == [(more, 0), (more, 40), (more, 40), (more, 40)]
    assert answers[-1] == (message.RESULT_DONE, 0)
    assert rig.flash.read(PATH + ".new") == content


def _pieces(rig, content, number=0x50000000):
    """Return the messages that bring settings, 40 bytes each."""
    head = (rig.app.session.tag, rig.board.boot, number, len(content), crc32(content))
    return [
        message.pack(message.CONFIG, *(head + (at, content[at : at + 40])))
        for at in range(0, len(content), 40)
    ]


def _give_without_hearing(rig, content):
    """Give it settings that end with a blank; the answer to the last piece can't leave."""
    for raw in _pieces(rig, content):
        rig.port.take()
        if raw[-1:] == b" ":
            rig.port.room = 0
        rig.app.session.receive(_framed(raw), rig.board.now_ms)
        rig.app.step()


def answers_of(found):
    """Return a stand-in for DeviceSession.answer that only notes what is said."""
    return lambda code, value=0, text="": found.append((code, value))


def test_link_key_is_not_changed_over_the_wire():
    rig = _up()
    rig.flash.files["new.key"] = b"a key of 16 bytes or more"
    settings = dict(SETTINGS)
    settings["link_key_file"] = "new.key"
    rig.host.push(json.dumps(settings).encode())
    rig.run(3000)
    code, _, text = rig.host.answers.pop()
    assert code == message.RESULT_FAILED and "link_key" in text
    assert rig.board.resets_total == 0


def test_flash_that_is_full_is_said():
    rig = _up()

    def full(name, content):
        raise OSError(28, "no room")

    rig.flash.write = full
    rig.host.push(json.dumps(SETTINGS).encode() + b" ")
    rig.run(2000)
    code, _, text = rig.host.answers.pop()
    assert code == message.RESULT_FAILED and "28" in text


def test_flash_that_fails_at_the_last_moment_is_said():
    rig = _up()
    rig.host.push(json.dumps(SETTINGS).encode() + b" ")

    def broken(name, target):
        raise OSError(5, "broken")

    rig.flash.rename = broken
    rig.run(4000)
    assert rig.board.resets_total == 0 and not rig.app.is_paused
    assert "can't be put in force" in rig.host.logs()[-1]


def test_document_that_is_too_large_is_refused():
    rig = _up()
    size = request.CONFIG_SIZE_MAX + 1
    raw = message.pack(message.CONFIG, rig.app.session.tag, rig.board.boot, 5, size, 0, 0, b"{")
    rig.app.session.receive(_framed(raw), rig.board.now_ms)
    rig.app.step()
    assert rig.app.session._results[-1][0] == 5
    assert sorted(rig.flash.files) == [PATH]


def test_another_document_takes_the_place_of_one_that_was_never_whole():
    rig = _up()
    tag, boot_id = rig.app.session.tag, rig.board.boot
    raw = message.pack(message.CONFIG, tag, boot_id, 5, 100, 0, 0, b"{half of it")
    rig.app.session.receive(_framed(raw), rig.board.now_ms)
    rig.app.step()
    content = json.dumps(SETTINGS).encode() + b"  "
    rig.host.push(content)
    rig.run(4000)
    assert rig.host.answers == [(message.RESULT_DONE, 0, "")]
    assert rig.flash.read(PATH) == content


def test_other_settings_take_the_place_of_those_that_wait():
    rig = _up()
    first, second = [json.dumps(SETTINGS).encode() + b" " * count for count in (1, 2)]
    rig.host.is_committing = False
    rig.run(600)
    for content in (first, first, second):
        rig.host.push(content)
        rig.run(3000)
    assert [answer[0] for answer in rig.host.answers] == [message.RESULT_DONE] * 3
    rig.host.is_committing = True
    rig.run(40_000)
    assert (rig.board.resets_total, rig.flash.read(PATH)) == (1, second)


def test_other_settings_that_come_at_the_last_moment_end_the_pause_of_the_first():
    rig = _up()
    while rig.app.session.in_flight:
        rig.run(10)
    first, second = [json.dumps(SETTINGS).encode() + b" " * count for count in (1, 2)]
    room = rig.port.room
    _give_without_hearing(rig, first)
    assert rig.app.is_paused
    rig.port.room = room
    raw = _pieces(rig, second, 0x50000001)[0]
    rig.app.session.receive(_framed(raw), rig.board.now_ms)
    rig.app.step()
    assert not rig.app.is_paused and rig.board.resets_total == 0
    rig.host.push(second)
    rig.run(20_000)
    assert (rig.board.resets_total, rig.flash.read(PATH)) == (1, second)


def test_while_settings_are_tried_no_others_are_taken():
    rig = _up()
    first, second = [json.dumps(SETTINGS).encode() + b" " * count for count in (1, 2)]
    rig.host.push(first)
    while not rig.board.resets_total:
        rig.run(10)
    assert rig.app.trial is not None
    rig.app.session.request = message.shape(message.CONFIG)(
        rig.app.session.tag, rig.board.boot, 9, len(second), crc32(second), 0, second
    )
    answers = []
    rig.app.session.answer = lambda code, value=0, text="": answers.append((code, text))
    rig.app.trial.watch = lambda app: None
    rig.app.step()
    assert answers[0][0] == message.RESULT_FAILED and "later" in answers[0][1]


def test_refusal_is_shown_once():
    board, port = FakeBoard(), FakePort()
    app = App(make_settings(), board, port, FakeFlash())
    for _ in range(3):
        raw = message.pack(message.REFUSAL, app.session.tag, 2, 1, 1, 30)
        port.incoming += _framed(raw)
        for _ in range(5):
            board.now_ms += 50
            app.step()
            port.take()
    assert len(board.said) == 1  # however often the host repeats it
    assert "refuses" in board.said[0]
