"""The clock of the computer: whether it is known to be right."""

from pathlib import Path

from ...clock import Clock
from .finding import Check, Finding
from .process import is_running

DAEMONS = ("systemd-timesyncd", "chronyd", "ntpd", "ntpsec", "openntpd")


def check_clock(
    clock: Clock, source: str, wait_s: float, newest_ms: int | None, proc: Path
) -> list[Finding]:
    """Tell whether the clock is set; `newest_ms` is a time that must be past, if one is known."""
    about = Check("clock")
    now_ms = clock.utc_ms()
    if newest_ms is not None and now_ms < newest_ms:
        behind_s = (newest_ms - now_ms) // 1000
        return [
            about.fail(
                f"is {behind_s} s behind: files here were written later than now",
                "set it (timedatectl status), or give the computer a battery clock",
            )
        ]
    if source == "trusted":
        return [about.ok('is taken to be right: time.source = "trusted"')]
    if clock.is_synchronised():
        return [about.ok("is synchronised")]
    daemon = next((name for name in DAEMONS if is_running(proc, name)), "")
    if daemon:
        fix = f"{daemon} runs: does it reach a server? (timedatectl timesync-status)"
    else:
        fix = (
            "nothing sets it: timedatectl set-ntp true, or apt install systemd-timesyncd; if"
            ' something else does, time.source = "trusted"'
        )
    waits = f"readings wait up to {wait_s:g} s for it before they are uploaded"
    return [about.warn(f"is not synchronised; {waits}", fix)]
