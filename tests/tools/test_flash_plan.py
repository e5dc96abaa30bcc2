"""What a deploy decides to do, without any board."""

import zlib

import pytest
from pyv_edge_tools.flash import inventory, plan
from pyv_edge_tools.flash.inventory import Inventory, digest
from pyv_edge_tools.flash.plan import BLOCK_SIZE
from pyv_edge_tools.flash.problem import FlashError

FILES = {"pyv_edge_node/start.mpy": b"start", "pyv_edge_core/frame.mpy": b"frame"}
LOADER = {"main.py": b"main", "slots.py": b"slots", "boot.py": b"boot"}
SETTINGS = b'{"device_id": "d"}'


class Board:
    """A board's files, and what an inventory says of them."""

    def __init__(self, running="", behind=""):
        self.files = {}
        self.running = running
        self.behind = behind
        self.damaged = []

    def put(self, files, place=""):
        for path, content in files.items():
            self.files[place + path] = content

    def put_set(self, slot, files=None, settings=SETTINGS):
        files = FILES if files is None else files
        place = f"app_{slot}/"
        self.put(files, place)
        self.files[place + "manifest"] = plan.manifest(files)
        self.files[place + "device.json"] = settings

    def inventory(self):
        return Inventory(
            (1, 28, 0),
            6,
            files={path: digest(content) for path, content in self.files.items()},
            sizes={path: len(content) for path, content in self.files.items()},
            damaged=self.damaged,
            running=self.running,
            behind=self.behind,
        )

    def carry_out(self, made):
        """Do what a board does with a plan."""
        for path in made.removals:
            self.files.pop(path, None)
        for path, source in made.copies.items():
            self.files[path] = self.files[source]
        self.files.update(made.uploads)
        for path, hashed in made.expected.items():
            assert digest(self.files[path]) == hashed, path
        for source, path in made.renames:
            self.files[path] = self.files.pop(source)

    def set_of(self, slot):
        place = f"app_{slot}/"
        return {
            path[len(place) :]: content
            for path, content in self.files.items()
            if path.startswith(place)
        }


def make(board, files=None, settings=None, **more):
    files = FILES if files is None else files
    return plan.make(board.inventory(), files, LOADER, settings, **more)


def whole(files, settings=SETTINGS):
    return {**files, "manifest": plan.manifest(files), "device.json": settings}


def test_first_deploy_puts_all_of_it_into_the_first_slot():
    board = Board()
    made = make(board, settings=SETTINGS)
    assert (made.slot, made.firmware_hash) == ("a", zlib.crc32(plan.manifest(FILES)))
    board.carry_out(made)
    assert board.set_of("a") == whole(FILES)
    assert {name: board.files[name] for name in LOADER} == LOADER


def test_deploy_of_what_is_there_does_nothing():
    board = Board("a")
    board.put_set("a")
    board.put(LOADER)
    for settings in (None, SETTINGS):
        made = make(board, settings=settings)
        assert (made.slot, made.uploads, made.copies, made.renames) == ("", {}, {}, [])
    assert made.firmware_hash == zlib.crc32(plan.manifest(FILES))


def test_one_changed_file_is_sent_and_the_others_are_copied_on_the_board():
    board = Board("a")
    board.put_set("a")
    board.put(LOADER)
    files = {**FILES, "pyv_edge_node/start.mpy": b"other"}
    made = make(board, files)
    assert made.slot == "b"
    assert sorted(made.uploads) == ["app_b/manifest.new", "app_b/pyv_edge_node/start.mpy"]
    assert made.copies["app_b/pyv_edge_core/frame.mpy"] == "app_a/pyv_edge_core/frame.mpy"
    before = board.set_of("a")
    board.carry_out(made)
    assert board.set_of("b") == whole(files) and board.set_of("a") == before


def test_what_an_interrupted_deploy_has_left_is_used_and_what_is_stale_removed():
    board = Board("a")
    board.put_set("a", {"old.mpy": b"old"})
    board.put(LOADER)
    board.put(
        {"pyv_edge_node/start.mpy": b"start", "stale.mpy": b"x", "device.json.trial": b"y"},
        "app_b/",
    )
    made = make(board)
    assert "app_b/pyv_edge_node/start.mpy" not in made.uploads
    board.carry_out(made)
    assert board.set_of("b") == whole(FILES)


def test_manifest_of_the_old_set_goes_first():
    board = Board("a")
    board.put_set("a")
    board.put_set("b", {"old.mpy": b"old"})
    made = make(board, {"new.mpy": b"new"})
    assert made.removals[0] == "app_b/manifest"
    first = plan.blocks(made, is_deflated=False)[0]
    assert first.startswith(b"- 0 app_b/manifest\n")


def test_other_settings_alone_are_another_set():
    board = Board("a")
    board.put_set("a")
    board.put(LOADER)
    board.files["app_a/device.json.trial"] = b"x"
    made = make(board, settings=b'{"device_id": "e"}')
    board.carry_out(made)
    assert board.set_of("b") == whole(FILES, b'{"device_id": "e"}')
    assert board.set_of("a")["device.json"] == SETTINGS


def test_settings_in_force_are_taken_along():
    board = Board("a")
    board.put_set("a", settings=b"in force")
    board.put_set("b", settings=b"older")
    board.files["app_b/device.json.copy"] = b"of the older"
    board.carry_out(make(board, {"new.mpy": b"new"}))
    assert board.set_of("b") == whole({"new.mpy": b"new"}, b"in force")


def test_settings_of_files_beside_main_py_are_taken_along():
    board = Board()
    board.put({**LOADER, "device.json": b"flat"})
    board.carry_out(make(board))
    assert board.set_of("a") == whole(FILES, b"flat")


def test_board_without_any_settings_must_be_given_some():
    with pytest.raises(FlashError, match="--settings FILE"):
        make(Board())


def test_set_on_trial_is_replaced_and_the_kept_one_left():
    board = Board("b", "a")
    board.put_set("a")
    board.put_set("b", {"bad.mpy": b"bad"})
    made = make(board, {"new.mpy": b"new"})
    assert (made.slot, made.abandons) == ("b", True)


def test_damaged_kept_set_is_mended_where_it_is():
    board = Board("a")
    board.put_set("a")
    board.put_set("b", {"old.mpy": b"old"})
    board.put(LOADER)
    board.damaged = ["app_a/pyv_edge_node/start.mpy"]
    board.files["app_a/pyv_edge_node/start.mpy"] = b"stXrt"
    made = make(board)
    assert made.slot == "a"
    board.carry_out(made)
    assert board.set_of("a") == whole(FILES)
    assert board.set_of("b") == whole({"old.mpy": b"old"})


def test_sensors_of_the_boards_owner_are_taken_along_unless_others_come():
    own = {"own_sensors/__init__.mpy": b"", "own_sensors/mine.mpy": b"mine"}
    board = Board("a")
    board.put_set("a", {**FILES, **own})
    board.put(LOADER)
    made = make(board, own=("own_sensors",))
    assert made.slot == ""  # just what runs
    made = make(board, {"new.mpy": b"new"}, own=("own_sensors",))
    assert "own_sensors/mine.mpy" in made.notes[0]
    board.carry_out(made)
    assert board.set_of("b") == whole({"new.mpy": b"new", **own})
    other = {**FILES, "own_sensors/other.mpy": b"other"}
    board.running = "b"
    board.carry_out(make(board, other, own=("own_sensors",)))
    assert board.set_of("a") == whole(other)


def test_foreign_main_py_is_not_overwritten_unless_told():
    board = Board()
    board.put({"main.py": b"theirs", "boot.py": b"theirs, too"})
    with pytest.raises(FlashError, match=r"main\.py on the board is not ours"):
        make(board, settings=SETTINGS)
    made = make(board, settings=SETTINGS, replaces_loader=True)
    board.carry_out(made)
    assert board.files["main.py"] == b"main" and board.files["boot.py"] == b"theirs, too"


def test_loader_of_another_version_is_left_and_said():
    board = Board("a")
    board.put_set("a")
    board.put({**LOADER, "main.py": b"older"})
    made = make(board)
    assert made.notes == ["main.py on the board is of another version; it is left as it is"]
    assert made.slot == ""
    made = make(board, replaces_loader=True)
    assert made.renames[0] == ("main.py.new", "main.py")


def unpacked(block):
    return zlib.decompress(block, -plan.WINDOW_BITS)


@pytest.mark.parametrize("is_deflated", [False, True])
def test_blocks_carry_the_operations_in_order_and_are_bounded(is_deflated):
    files = {f"m{index}.mpy": bytes([index]) * (index * 977) for index in range(12)}
    made = make(Board(), files, settings=SETTINGS)
    blocks = plan.blocks(made, is_deflated=is_deflated)
    found = {}
    for block in blocks:
        raw = unpacked(block) if is_deflated else block
        assert len(raw) <= BLOCK_SIZE + 100
        while raw:
            head, _, raw = raw.partition(b"\n")
            sign, size, path = head.decode().split(" ", 2)
            if sign in "+>":
                found[path] = (found[path] if sign == ">" else b"") + raw[: int(size)]
                raw = raw[int(size) :]
    assert found == made.uploads


def test_space_counts_what_is_replaced_as_free():
    board = Board("a")
    board.put_set("a", {"big.mpy": b"x" * 100_000})
    board.put(LOADER)
    made = make(board, {"big.mpy": b"y" * 100_000})
    empty = made.space_bytes(board.inventory().sizes)
    board.put_set("b", {"big.mpy": b"z" * 100_000})
    made = make(board, {"big.mpy": b"y" * 100_000})
    assert empty > 100_000 > made.space_bytes(board.inventory().sizes)


def test_answers_that_mean_nothing_are_refused():
    for line in ("version x.y", "flash 1", "nonsense", "file a", "slots a"):
        with pytest.raises(FlashError, match="means nothing"):
            inventory.parse(line, "/dev/x")


def test_old_interpreters_and_other_bytecode_are_refused():
    board = Inventory((1, 21, 0), 6)
    with pytest.raises(FlashError, match=r"MicroPython 1\.21\.0, at least 1\.22\.0"):
        board.check("/dev/x", is_bytecode=True)
    board = Inventory((1, 22, 0), 5)
    with pytest.raises(FlashError, match="bytecode of version 5"):
        board.check("/dev/x", is_bytecode=True)
    board.check("/dev/x", is_bytecode=False)
