"""A board: whether it answers, and whether it has the settings that it is to have.

While an agent runs, the agent says so. Else its port is opened and listened at, with the
agent's own link: a board that greets is not welcomed, so it sends nothing and keeps all it has.
"""

import json
import random
import threading
from binascii import crc32
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyv_edge_core import session
from pyv_edge_core.errors import TableError
from pyv_edge_core.host_event import Greeting

from ...adapters.serial import SerialAdapter
from ...clock import Clock
from ...dialogue import DEAF_MS, said
from ...errors import ConfigError
from ...link_state import UP
from ...policy import read_board_policy
from ...settings_file import SettingsFile
from .finding import Check, Finding

# A board whose agent has just stopped greets when it has missed that for so long; one that
# authenticates hears nobody else before.
LISTEN_MS = session.HOST_SILENCE_MS + 2000
LISTEN_KEY_MS = DEAF_MS + 2000


@dataclass(frozen=True)
class Heard:
    """What a board says of itself."""

    device: str
    firmware: str
    reset_cause: str
    config_hash: int
    policy_hash: int
    problem: str = ""  # that the link has all the same


def listen(
    device: dict[str, Any], folder: Path, clock: Clock, listen_ms: int | None = None
) -> Heard | str:
    """Open a device's port until its board greets; return what it says, or why it doesn't.

    Raises ConfigError for a key that can't be read.
    """
    if listen_ms is None:
        listen_ms = LISTEN_KEY_MS if device["link_key_file"] else LISTEN_MS
    greeted = threading.Event()
    found: list[Any] = []

    def take(_: Any, event: Any) -> bool:
        if isinstance(event, Greeting):
            found.append(event.hello)
            greeted.set()
        return True

    link = SerialAdapter(device).open_link(clock, random.Random(), take, folder=folder)
    began_ms = clock.monotonic_ms()
    thread = threading.Thread(target=link.run, daemon=True, name=f"listen-{link.name}")
    thread.start()
    pause_s = 0.1
    while not greeted.wait(pause_s):
        waited_ms = clock.monotonic_ms() - began_ms
        is_refused = link.versions_refused_total or link.greetings_refused_total
        is_closed = link.problem and not link.opens_total
        if waited_ms >= listen_ms or is_refused or is_closed:
            break
    problem = link.problem or _diagnosis(link, listen_ms)
    link.stop()
    thread.join()
    return _heard(found[0]) if found else problem


def _diagnosis(link: Any, listen_ms: int) -> str:
    return str(link.dialogue.diagnosis(link.status()["port"], max(listen_ms, DEAF_MS))[0])


def _heard(hello: Any) -> Heard:
    return _of_status({"device": hello.device, **said(hello), "problem": ""})


def told(status: dict[str, Any]) -> Heard | str:
    """Return what the agent knows of the board on a link, or why it knows nothing."""
    if status["state"] != UP:
        return str(status["problem"] or f"the link is {status['state']}")
    return _of_status(status)


def _of_status(status: dict[str, Any]) -> Heard:
    return Heard(
        status["device"],
        status["firmware"],
        status["reset_cause"],
        int(status["config_hash"], 16),
        int(status["policy_hash"], 16),
        status["problem"],
    )


def check_answer(about: Check, heard: Heard | str, device_id: str) -> list[Finding]:
    """Tell whether the board is there; `device_id` is the one that it must be, "" if any."""
    if isinstance(heard, str):
        text, _, fix = heard.partition("; ")
        return [about.fail(text, fix or "is it plugged in, and does it run the firmware?")]
    if device_id and heard.device != device_id:
        text = f"board {heard.device!r} is here, and device_id is {device_id!r}"
        return [about.fail(text, f"connect that one, or set device_id = {heard.device!r}")]
    if heard.problem:
        text, _, fix = heard.problem.partition("; ")
        return [about.warn(text, fix or "the agent's log tells more")]
    shown = f"{heard.device} answers, with firmware {heard.firmware}"
    if heard.reset_cause == "watchdog":
        fix = "its log says what it did last; a weak power supply looks like that, too"
        return [about.warn(f"{shown}; its watchdog has reset it", fix)]
    return [about.ok(shown)]


def check_settings(about: Check, heard: Heard, path: Path | None) -> list[Finding]:
    """Tell whether a board has the settings, and the policy, of the file that it is given."""
    if path is None:
        return [about.skip("no settings_file says what they are to be")]
    problem = SettingsFile(path).problem
    if problem:
        text, _, fix = problem.partition("; ")
        return [about.fail(text, fix or "correct it")]
    content = path.read_bytes()
    fix = "the agent gives it the file when it greets; its log says what came of that"
    if crc32(content) != heard.config_hash:
        text = f"it has others ({heard.config_hash:08x}) than {path} ({crc32(content):08x})"
        return [about.warn(text, fix)]
    try:
        policy_hash = read_board_policy(json.loads(content)).fingerprint
    except TableError as error:
        return [about.fail(f"{path}: privacy.{error.faults[0]}", "correct it")]
    if policy_hash != heard.policy_hash:
        text = f"its policy ({heard.policy_hash:08x}) is not that of {path} ({policy_hash:08x})"
        return [about.fail(text, "its firmware reads policies in another way: update it")]
    return [about.ok(f"they are those of {path}")]


def check_key(about: Check, device: dict[str, Any], folder: Path) -> list[Finding]:
    """Tell whether a link's key can be read."""
    from ...link_key import read_link_key

    if not device["link_key_file"]:
        return [about.skip("the link is not authenticated")]
    path = folder / device["link_key_file"]
    try:
        read_link_key(path, "link_key_file")
    except ConfigError as error:
        text, mark, fix = error.problems[0].rpartition("; ")
        fix = fix if mark else "write the board's link_key into it, a line of text"
        return [about.fail(text if mark else error.problems[0], fix)]
    return [about.ok(f"{path} has one")]
