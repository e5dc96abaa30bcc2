"""What is on a board: its interpreter, its space, and the hash of each file of ours."""

import base64
import hashlib
from dataclasses import dataclass, field

from . import on_board
from .problem import FlashError
from .repl import Repl

VERSION_MIN = (1, 22, 0)
BYTECODE = 6  # the .mpy version that mpy-cross makes and 1.22 and all later ones load
SETS = ("a", "b")
MANIFEST = "manifest"


def digest(content: bytes) -> str:
    """Return what a board says of a file with this content: 96 bits of its SHA-256."""
    return base64.b64encode(hashlib.sha256(content).digest()[:12]).decode()


def folder(slot: str) -> str:
    """Return the folder of a slot's set."""
    return f"app_{slot}"


@dataclass
class Inventory:
    """What one round trip tells of a board."""

    version: tuple[int, ...] = ()
    bytecode: int = 0  # 0: it loads none
    machine: str = ""
    id: str = ""
    flash_bytes: int = 0
    free_bytes: int = 0
    heap_free_bytes: int = 0
    has_deflate: bool = False
    files: dict[str, str] = field(default_factory=dict)  # path: digest
    sizes: dict[str, int] = field(default_factory=dict)  # path: bytes
    damaged: list[str] = field(default_factory=list)  # files that are not what a manifest says
    running: str = ""  # the set that the pointer names, "" for none
    behind: str = ""  # the one behind it, while that is on trial
    boots: int = 0  # of a trial

    @property
    def kept(self) -> str:
        """The set that runs if nothing else does, "" for none."""
        return self.behind or self.running

    def is_whole(self, slot: str) -> bool:
        """Return whether a slot has a set that can run."""
        path = f"{folder(slot)}/{MANIFEST}"
        harmed = any(name.startswith(folder(slot) + "/") for name in self.damaged)
        return path in self.files and not harmed

    def set_of(self, slot: str) -> dict[str, str]:
        """Return the files of a slot: path within it, digest."""
        start = folder(slot) + "/"
        return {
            path[len(start) :]: found
            for path, found in self.files.items()
            if path.startswith(start)
        }

    def check(self, port: str, *, is_bytecode: bool) -> None:
        """Raise FlashError if the node can't run there."""
        said = ".".join(map(str, self.version))
        if self.version < VERSION_MIN:
            least = ".".join(map(str, VERSION_MIN))
            raise FlashError(
                f"{port}: MicroPython {said or '?'}, at least {least} is needed;"
                " see `pyv-edge-flash firmware`"
            )
        if is_bytecode and self.bytecode != BYTECODE:
            raise FlashError(
                f"{port}: loads bytecode of version {self.bytecode}, ours is {BYTECODE};"
                " use --source, or another MicroPython: see `pyv-edge-flash firmware`"
            )


def take(repl: Repl) -> Inventory:
    """Ask a board at its prompt what it has: one round trip. Raises FlashError."""
    return parse(repl.run(on_board.INVENTORY), repl.port)


def parse(text: str, port: str) -> Inventory:
    """Return what `on_board.INVENTORY` has printed. Raises FlashError for anything else."""
    found = Inventory()
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        words = rest.split()
        try:
            if kind == "version":
                found.version = tuple(int(word) for word in rest.split("."))
            elif kind == "bytecode":
                found.bytecode = int(rest)
            elif kind == "machine":
                found.machine = rest
            elif kind == "id":
                found.id = rest
            elif kind == "flash":
                found.flash_bytes, found.free_bytes = int(words[0]), int(words[1])
            elif kind == "heap":
                found.heap_free_bytes = int(rest)
            elif kind == "deflate":
                found.has_deflate = True
            elif kind == "file":
                path, size, hashed = rest.rsplit(" ", 2)
                found.files[path] = hashed
                found.sizes[path] = int(size)
            elif kind == "damaged":
                found.damaged.append(rest)
            elif kind == "slots":
                found.running, found.behind = ("" if word == "-" else word for word in words[:2])
                found.boots = int(words[2])
            elif kind != "noslots":
                raise ValueError(line)
        except (ValueError, IndexError) as error:
            raise FlashError(f"{port}: the board says {line!r}, which means nothing") from error
    return found
