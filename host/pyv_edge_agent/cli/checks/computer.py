"""The computer: its power, heat, memory and card, as the kernel tells them."""

import os
from collections.abc import Callable
from pathlib import Path

from ...parts import MEGABYTE
from ...sizing import show_size
from .finding import Check, Finding
from .store_place import StatDisk

HOT_C = 80  # a Raspberry Pi becomes slower from here on
NEAR_C = 5  # below the temperature at which the kernel switches the computer off
MEMORY_MIN = 64 * MEGABYTE
TMP_MIN = 16 * MEGABYTE
WORN = 8  # of ten parts of a card's life

# Bits of a Raspberry Pi's get_throttled: now, and since it was switched on
_POWER_NOW, _POWER_SINCE = 1 << 0, 1 << 16
_SLOW_NOW, _SLOW_SINCE = 0b1110, 0b1110 << 16

_POWER_FIX = "use a power supply of the kind that is meant for it, and a short, thick cable"


def check_power(root: Path) -> list[Finding]:
    """Tell whether a Raspberry Pi has or had too little power, or was slowed down."""
    about = Check("computer.power")
    places = sorted(root.glob("sys/devices/platform/soc*/*firmware/get_throttled"))
    if places:
        bits = int(places[0].read_text(encoding="ascii").strip(), 16)
        return [_throttled(about, bits)]
    alarms = [
        place.with_name("in0_lcrit_alarm")
        for place in sorted(root.glob("sys/class/hwmon/hwmon*/name"))
        if place.read_text(encoding="ascii").strip() == "rpi_volt"
    ]
    if not alarms:
        return [about.skip("this computer does not tell whether it has enough power")]
    if alarms[0].read_text(encoding="ascii").strip() == "1":
        return [about.warn("the voltage was too low since it was switched on", _POWER_FIX)]
    return [about.ok("the voltage was never too low")]


def _throttled(about: Check, bits: int) -> Finding:
    if bits & _POWER_NOW:
        text = "the voltage is too low: boards reset, and cards are damaged"
        return about.fail(text, _POWER_FIX)
    if bits & _SLOW_NOW:
        return about.warn("it is slowed down, being too hot", "give it a heat sink, or more air")
    if bits & _POWER_SINCE:
        return about.warn("the voltage was too low since it was switched on", _POWER_FIX)
    if bits & _SLOW_SINCE:
        text = "it was slowed down since it was switched on, having been too hot"
        return about.warn(text, "give it a heat sink, or more air")
    return about.ok("the voltage was never too low, nor the computer slowed down")


def check_temperature(root: Path) -> list[Finding]:
    """Tell whether the computer is too hot."""
    about = Check("computer.temperature")
    zones = sorted(root.glob("sys/class/thermal/thermal_zone*"))
    found = [(celsius, zone) for zone in zones if (celsius := _celsius(zone / "temp")) is not None]
    if not found:
        return [about.skip("this computer does not tell its temperature")]
    celsius, zone = max(found)
    limit = min([HOT_C, *(one - NEAR_C for one in _critical(zone))])
    text = f"{celsius:.0f} degrees Celsius"
    if celsius >= limit:
        return [about.warn(text, "give it a heat sink, or more air")]
    return [about.ok(text)]


def _celsius(file: Path) -> float | None:
    try:
        return int(file.read_text(encoding="ascii")) / 1000
    except (OSError, ValueError):  # a sensor that is switched off can't be read
        return None


def _critical(zone: Path) -> list[float]:
    """Return the temperatures at which the kernel switches off because of a zone."""
    found = []
    for kind in zone.glob("trip_point_*_type"):
        if kind.read_text(encoding="ascii").strip() == "critical":
            celsius = _celsius(kind.with_name(kind.name.replace("_type", "_temp")))
            found += [celsius] if celsius else []
    return found


def check_memory(proc: Path) -> list[Finding]:
    """Tell whether there is memory left. Raises OSError."""
    about = Check("computer.memory")
    for line in (proc / "meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            size = int(rest.split()[0]) * 1024
            text = f"{show_size(size)} are to be had"
            if size < MEMORY_MIN:
                return [about.warn(text, "end what takes it (ps aux --sort -rss | head)")]
            return [about.ok(text)]
    return [about.skip("the kernel does not tell how much there is")]


def check_card(device: int, root: Path) -> list[Finding]:
    """Tell what kind of disk has the store, and how worn it says that it is.

    `device` is the number of its device, as in `st_dev`.
    """
    about = Check("computer.card")
    number = f"{os.major(device)}:{os.minor(device)}"
    link = root / "sys/dev/block" / number
    if not link.exists():
        return [about.skip("the kernel does not tell which disk has the store")]
    place = link.resolve()
    disk = place.parent if (place / "partition").exists() else place
    if not disk.name.startswith("mmcblk"):
        return [about.ok(f"the store is on {disk.name}, which is no card")]
    kind = _text(disk / "device/type") or "card"
    worn = [int(part, 16) for part in _text(disk / "device/life_time").split()]
    is_ending = _text(disk / "device/pre_eol_info") not in ("", "0x00", "0x01")
    if is_ending or any(part > WORN for part in worn):
        text = f"{disk.name} ({kind}) says that it is nearly worn out"
        return [about.warn(text, "copy what is on it to a new one (pyv-edge-host backup)")]
    if any(worn):
        return [about.ok(f"{disk.name} ({kind}) has used {max(worn) * 10} % of its life at most")]
    fix = "pyv-edge-host size calculates how long it lasts"
    return [about.ok(f"{disk.name} ({kind}) does not tell how worn it is; {fix}")]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def check_tmp(
    folder: Path, stat_disk: StatDisk = os.statvfs, can: Callable[[Path, int], bool] = os.access
) -> list[Finding]:
    """Tell whether there is room for temporary files: SQLite sorts in them. Raises OSError."""
    about = Check("computer.tmp")
    found = stat_disk(folder)
    free_size = found.f_bavail * found.f_frsize
    if not can(folder, os.W_OK | os.X_OK):
        return [about.warn(f"{folder} can't be written to", f"sudo chmod 1777 {folder}")]
    if free_size < TMP_MIN or (found.f_files and not found.f_favail):
        return [about.warn(f"{folder} is full", f"make room (sudo du -xh {folder} | sort -h)")]
    return [about.ok(f"{show_size(free_size)} are free in {folder}")]
