"""How MicroPython itself gets onto a new board: what to do, and esptool where it can be run."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from .problem import FlashError

DOWNLOADS = "https://micropython.org/download/"
_UF2 = (
    "1. Download {download}: the .uf2 of the latest release, 1.22 or later.",
    "2. Hold BOOTSEL while you plug the board in: a drive named {drive} appears.",
    "3. Copy the .uf2 onto that drive. The board restarts by itself, and `list` shows it.",
)
_ESPTOOL = (
    "1. Download {download}: the .bin of the latest release, 1.22 or later.",
    "2. pip install esptool",
    "3. pyv-edge-flash firmware {board} --image FILE.bin --port PORT runs, or run yourself:",
    "     python -m esptool --chip {chip} --port PORT erase_flash",
    "     python -m esptool --chip {chip} --port PORT write_flash {offset} FILE.bin",
    "   A board without automatic reset: hold BOOT (IO0) while you press EN (RST).",
)
# board: (page of MicroPython, drive or chip, offset of the image: boot loaders differ)
BOARDS = {
    "rp2": ("RPI_PICO (or RPI_PICO_W)", "RPI-RP2", ""),
    "rp2350": ("RPI_PICO2 (or RPI_PICO2_W)", "RP2350", ""),
    "esp32": ("ESP32_GENERIC", "esp32", "0x1000"),
    "esp32s3": ("ESP32_GENERIC_S3", "esp32s3", "0x0"),
    "esp32c3": ("ESP32_GENERIC_C3", "esp32c3", "0x0"),
}


def instructions(board: str) -> list[str]:
    """Return the steps for a board in BOARDS."""
    page, what, offset = BOARDS[board]
    steps = _ESPTOOL if offset else _UF2
    return [
        line.format(
            download=f"{DOWNLOADS} > {page}", drive=what, chip=what, offset=offset, board=board
        )
        for line in steps
    ]


def run(board: str | None, image: Path | None, port: str | None) -> int:
    """Print the steps, or run esptool with an image; return the exit status.

    Raises FlashError for what can't be.
    """
    if board is not None and board not in BOARDS:
        raise FlashError(f"{board}: is no board we know; there are {', '.join(BOARDS)}")
    if image is None:
        for name in [board] if board else BOARDS:
            print(f"{name}:")
            for line in instructions(name):
                print(f"  {line}")
        return 0
    if board is None or port is None:
        raise FlashError("--image: say which board it is for, and its --port")
    return _write(board, image, port)


def _write(board: str, image: Path, port: str) -> int:
    _, chip, offset = BOARDS[board]
    if not offset:
        raise FlashError(f"{board}: takes no esptool; copy the .uf2 onto its drive")
    if not image.is_file():
        raise FlashError(f"{image}: there is no such file")
    if find_spec("esptool") is None:
        raise FlashError("esptool is not installed: pip install esptool")
    start = [sys.executable, "-m", "esptool", "--chip", chip, "--port", port]
    for rest in (["erase_flash"], ["write_flash", offset, str(image)]):
        status = subprocess.run([*start, *rest], check=False).returncode
        if status:
            raise FlashError(f"esptool {rest[0]} ended with status {status}")
    return 0
