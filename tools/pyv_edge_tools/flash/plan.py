"""What a deploy has to do: decided from what is on the board and what is to be there. No I/O."""

import zlib
from dataclasses import dataclass, field

from .inventory import MANIFEST, SETS, Inventory, digest, folder
from .problem import FlashError

SETTINGS = "device.json"
NEW = ".new"  # behind the name of a file that gets its own with the flip
# Beside a set's files, and not part of it: they change by themselves, or with the link.
FLASH_BLOCK_BYTES = 4096  # what LittleFS gives a file at least
SPACE_MIN_BYTES = 4 * FLASH_BLOCK_BYTES  # for folders, and for what the node itself writes
_BESIDE = (MANIFEST, MANIFEST + NEW, SETTINGS)


@dataclass
class Plan:
    """Operations on the files of a board, in order: see `on_board.RECEIVE`."""

    slot: str = ""  # where the set is put together; "": nothing is to be done
    firmware_hash: int = 0  # what the board's HELLO will say
    uploads: dict[str, bytes] = field(default_factory=dict)  # path on the board: content
    copies: dict[str, str] = field(default_factory=dict)  # path: path of the same content
    removals: list[str] = field(default_factory=list)
    renames: list[tuple[str, str]] = field(default_factory=list)  # with the flip
    expected: dict[str, str] = field(default_factory=dict)  # path: digest, before the flip
    abandons: bool = False  # whether another set is on trial, which this one replaces
    notes: list[str] = field(default_factory=list)

    @property
    def upload_bytes(self) -> int:
        """Bytes of all files that go over the line."""
        return sum(len(content) for content in self.uploads.values())

    @property
    def root_names(self) -> list[str]:
        """Files that are put beside the sets."""
        return [path for path in self.uploads if "/" not in path]

    def space_bytes(self, sizes: dict[str, int]) -> int:
        """Return what the board must have free; `sizes` are those of its files now."""
        added = {path: len(content) for path, content in self.uploads.items()}
        added.update({path: sizes[source] for path, source in self.copies.items()})
        freed = [*self.removals, *added]
        needed = sum(_blocks(size) for size in added.values())
        # A file is freed when the one that takes its place is whole: one more block at a time.
        return needed - sum(_blocks(sizes.get(path, 0)) for path in freed) + SPACE_MIN_BYTES


def _blocks(size: int) -> int:
    return -(-size // FLASH_BLOCK_BYTES) * FLASH_BLOCK_BYTES


def manifest(files: dict[str, bytes]) -> bytes:
    """Return the manifest of a set: a digest and a path in each line, sorted by path."""
    return _manifest({path: digest(content) for path, content in files.items()})


def make(
    board: Inventory,
    files: dict[str, bytes],
    loader: dict[str, bytes],
    settings: bytes | None,
    *,
    own: tuple[str, ...] = (),
    own_modules: tuple[str, ...] = (),
    replaces_loader: bool = False,
) -> Plan:
    """Return what makes the set `files` run on `board`, with `settings` if there are some.

    Files of the running set below a folder in `own` are taken along if `files` has none.
    Raises FlashError if there can be no such set, or something that isn't ours is in the way.
    """
    plan = Plan()
    source = board.running or ""
    wanted = {path: digest(content) for path, content in files.items()}
    taken = _taken_along(board, source, wanted, own)
    has_set = {**wanted, **taken}
    for module in own_modules:
        if f"{module}.py" not in has_set and f"{module}.mpy" not in has_set:
            raise FlashError(
                f"the settings want a sensor of type {module.rsplit('/', 1)[-1]!r}, which is"
                " neither built in nor one of your own: --own-sensors FOLDER puts those there"
            )
    listed = _manifest(has_set)
    plan.firmware_hash = zlib.crc32(listed)
    _add_loader(plan, board, loader, replaces_loader)
    if taken:
        names = ", ".join(sorted(taken))
        plan.notes.append(f"taken along from {folder(source)}: {names}")
    if _is_there(board, source, has_set, settings) and not plan.renames:
        return plan
    plan.slot = _target(board)
    plan.abandons = bool(board.behind)
    start = folder(plan.slot) + "/"
    present = board.set_of(plan.slot)
    if MANIFEST in present:
        plan.removals.append(start + MANIFEST)  # first: from now on the set is not whole
    by_digest = {found: path for path, found in sorted(board.files.items())}
    for path, hashed in sorted(has_set.items()):
        plan.expected[start + path] = hashed
        if present.get(path) == hashed:
            continue
        same = by_digest.get(hashed)
        if same is not None and not same.startswith(start):
            plan.copies[start + path] = same
        else:
            plan.uploads[start + path] = files[path]
    _add_settings(plan, board, source, settings)
    plan.removals += [
        start + path for path in sorted(present) if path not in has_set and path not in _BESIDE
    ]
    plan.uploads[start + MANIFEST + NEW] = listed
    plan.expected[start + MANIFEST + NEW] = digest(listed)
    plan.renames.append((start + MANIFEST + NEW, start + MANIFEST))
    return plan


def _manifest(digests: dict[str, str]) -> bytes:
    return "".join(f"{hashed} {path}\n" for path, hashed in sorted(digests.items())).encode()


def _taken_along(
    board: Inventory, source: str, wanted: dict[str, str], own: tuple[str, ...]
) -> dict[str, str]:
    """Return the files of the running set that belong to its owner."""
    kept: dict[str, str] = {}
    for name in own:
        start = name + "/"
        if not source or any(path.startswith(start) for path in wanted):
            continue
        found = board.set_of(source)
        kept.update({path: hashed for path, hashed in found.items() if path.startswith(start)})
    return kept


def _add_loader(
    plan: Plan, board: Inventory, loader: dict[str, bytes], replaces_loader: bool
) -> None:
    """Have the loader put there if there is none; one that differs is left, and noted."""
    has_ours = "slots.py" in board.files
    for name, content in sorted(loader.items()):
        found = board.files.get(name)
        if found == digest(content) or (name == "boot.py" and found is not None):
            continue  # a board comes with a boot.py; it may mount a disk or start a network
        if found is not None and not replaces_loader:
            if name == "main.py" and not has_ours:
                raise FlashError(
                    "main.py on the board is not ours: save it, and deploy with --loader"
                    " to have it replaced"
                )
            plan.notes.append(f"{name} on the board is of another version; it is left as it is")
            continue
        plan.uploads[name + NEW] = content
        plan.expected[name + NEW] = digest(content)
        plan.renames.append((name + NEW, name))


def _is_there(
    board: Inventory, slot: str, has_set: dict[str, str], settings: bytes | None
) -> bool:
    """Return whether a slot runs just that set already."""
    if not slot or not board.is_whole(slot):
        return False
    found = {path: hashed for path, hashed in board.set_of(slot).items() if path in has_set}
    extra = [path for path in board.set_of(slot) if path not in has_set and not _is_beside(path)]
    same_settings = settings is None or board.set_of(slot).get(SETTINGS) == digest(settings)
    return found == has_set and not extra and same_settings


def _is_beside(path: str) -> bool:
    return path in _BESIDE or path.startswith(SETTINGS)


def _target(board: Inventory) -> str:
    """Return the slot that nothing is lost by overwriting."""
    kept = board.kept
    if not kept:
        return SETS[0]
    other = SETS[1] if kept == SETS[0] else SETS[0]
    # A kept set that is damaged doesn't run: what runs in its place must stay.
    return kept if not board.is_whole(kept) and board.is_whole(other) else other


def _add_settings(plan: Plan, board: Inventory, source: str, settings: bytes | None) -> None:
    """Have the set's settings put there: the ones given, or those that are in force."""
    start = folder(plan.slot) + "/"
    path = start + SETTINGS
    if settings is not None:
        plan.expected[path] = digest(settings)
        if board.files.get(path) != digest(settings):
            plan.uploads[path] = settings
    else:
        here = f"{folder(source)}/{SETTINGS}" if source else SETTINGS
        if here not in board.files:
            raise FlashError("the board has no settings yet: give it some with --settings FILE")
        plan.expected[path] = board.files[here]
        if here != path and board.files.get(path) != board.files[here]:
            plan.copies[path] = here
    # What was tried or kept beside other settings in this slot is about those.
    for ending in (".new", ".trial", ".old", ".reason", ".copy"):
        if path + ending in board.files:
            plan.removals.append(path + ending)


def blocks(plan: Plan, *, is_deflated: bool) -> list[bytes]:
    """Return what is sent: blocks of operations, each packed by itself."""
    operations: list[tuple[bytes, bytes]] = [
        (f"- 0 {path}\n".encode(), b"") for path in plan.removals
    ]
    operations += [(f"= {source} {path}\n".encode(), b"") for path, source in plan.copies.items()]
    for path, content in sorted(plan.uploads.items()):
        for offset in range(0, len(content) or 1, BLOCK_SIZE):
            piece = content[offset : offset + BLOCK_SIZE]
            sign = ">" if offset else "+"
            operations.append((f"{sign} {len(piece)} {path}\n".encode(), piece))
    packed: list[bytes] = []
    block = b""
    for head, piece in operations:
        if block and len(block) + len(head) + len(piece) > BLOCK_SIZE:
            packed.append(_packed(block, is_deflated))
            block = b""
        block += head + piece
    if block:
        packed.append(_packed(block, is_deflated))
    return packed


BLOCK_SIZE = 4096  # bytes before packing: a board holds it twice
WINDOW_BITS = 10  # of deflate: 1 kB of the board's heap


def _packed(block: bytes, is_deflated: bool) -> bytes:
    if not is_deflated:
        return block
    packer = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS)
    return packer.compress(block) + packer.flush()
