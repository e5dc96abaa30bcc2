"""What the agent runs on: Python and SQLite."""

from .finding import Check, Finding

PYTHON_MIN = (3, 10)


def check_python(version: tuple[int, ...], executable: str) -> list[Finding]:
    """Tell whether Python is new enough."""
    about = Check("python")
    shown = ".".join(map(str, version[:3]))
    if version[:2] < PYTHON_MIN:
        needed = ".".join(map(str, PYTHON_MIN))
        return [
            about.fail(f"{shown} of {executable} is older than {needed}", "install a newer one")
        ]
    return [about.ok(f"{shown} of {executable}")]


def check_sqlite(version: str, fault: str) -> list[Finding]:
    """Tell whether SQLite can do what the store needs; `fault` is that of store/engine.py."""
    about = Check("sqlite")
    if fault:
        fix = "install a Python with a newer SQLite, or a newer libsqlite3 (Debian: apt upgrade)"
        return [about.fail(f"{version}: {fault}", fix)]
    return [about.ok(version)]
