"""Borrows a board's port from the agent that holds it, and gives it back.

The agent is asked by its own command, as a person would: `device pause` lends a
port, `device resume` takes it back, and a loan that is forgotten ends by itself.
"""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..module_run import run_module
from .ports import is_in_use
from .problem import FlashError
from .telling import Telling

ASK_S = 30.0  # for one command: starting Python takes half a second on a Pi
CONFIRM_S = 720.0  # by then the board has kept it or gone back, see trouble.TRIAL_S
LOOK_S = 2.0
MINUTES = 15  # a slow line, a large set; a crash of ours costs that much at most


@dataclass
class Loan:
    """A port that an agent has lent."""

    name: str
    config: str | None

    def wait_confirmed(self, firmware_hash: int, config_hash: int, telling: Telling) -> None:
        """Wait until the board has told the agent that its trial is over.

        Raises FlashError if it went back, or tells nothing within CONFIRM_S.
        """
        telling.step(f"waiting until {self.name} keeps it: a healthy minute, and the agent's ACK")
        deadline_s = time.monotonic() + CONFIRM_S
        wanted = f"{firmware_hash:08x}", f"{config_hash:08x}"
        state = "never up"
        while time.monotonic() < deadline_s:
            told = _ask(self.config, "info", self.name)
            state = str(told.get("state", ""))
            found = told.get("firmware_hash"), told.get("config_hash")
            if state == "up" and None not in found and found != wanted:
                raise FlashError(
                    f"{self.name}: went back to {found[0]} with settings {found[1]};"
                    " `pyv-edge-flash logs` shows why"
                )
            if state == "up" and found == wanted and told.get("on_trial") is False:
                telling.result({"confirmed": True}, [f"{self.name} keeps {wanted[0]}"])
                return
            time.sleep(LOOK_S)
        raise FlashError(
            f"{self.name}: not confirmed within {CONFIRM_S:g} s (its link: {state});"
            " the board goes back by itself unless it still is"
        )


@contextlib.contextmanager
def borrow(port: str, config: str | None, telling: Telling) -> Iterator[Loan | None]:
    """Have the agent lend `port` while this lasts, if it holds it; None if nobody does.

    Raises FlashError if somebody else holds it, or if there is no such file as `config`.
    """
    if config is not None and not os.path.isfile(config):
        raise FlashError(f"{config}: there is no such file; --config is the agent's configuration")
    if not os.path.exists(port) or not is_in_use(port):
        yield None
        return
    try:
        name = _holder(port, config)
        lent = _pause(name, config, telling)
    except FlashError as error:
        raise FlashError(
            f"{port}: is in use, by another pyv-edge-flash or a terminal perhaps; and if it is the"
            f" agent: {error}"
        ) from error
    try:
        telling.step(f"the agent lends the port of {name}", device=name)
        if not lent["is_settled"]:
            telling.step("not all of its readings are acknowledged; they are lost with its memory")
        yield Loan(name, config)
    finally:
        _give_back(name, config, telling)


def _pause(name: str, config: str | None, telling: Telling) -> dict[str, Any]:
    """Have the agent lend a port; return what it says. Raises FlashError."""
    try:
        return _ask(config, "pause", name, "--minutes", str(MINUTES))
    except KeyboardInterrupt:  # it may have lent it by now
        _give_back(name, config, telling)
        raise


def _give_back(name: str, config: str | None, telling: Telling) -> None:
    try:
        _ask(config, "resume", name)
    except FlashError as error:  # what went wrong before is the news
        telling.step(f"{error}; the loan of {name} ends by itself in {MINUTES} minutes")
    else:
        telling.step(f"the agent has the port of {name} back", device=name)


def _holder(port: str, config: str | None) -> str:
    """Return the agent's name of the device on `port`. Raises FlashError."""
    meant = os.path.realpath(port)
    for device in _ask(config, "ls")["devices"]:
        held = [device.get(key) for key in ("path", "port")]
        if any(path and os.path.realpath(path) == meant for path in held):
            return str(device["name"])
    raise FlashError("no device of the agent is on it: close the program that has it")


def _ask(config: str | None, *words: str) -> dict[str, Any]:
    """Return what the agent's command answers. Raises FlashError."""
    command = ["device", *words, "--json"]
    if config is not None:
        command += ["--config", config]
    shown = f"pyv-edge-host device {' '.join(words)}"
    try:
        done = run_module("pyv_edge_agent.cli", *command, timeout_s=ASK_S)
    except subprocess.TimeoutExpired as error:
        raise FlashError(f"{shown}: no answer within {ASK_S:g} s") from error
    out, complaint = (text.decode(errors="replace").strip() for text in (done.stdout, done.stderr))
    lines = (out or complaint).splitlines()
    if done.returncode:
        said = (complaint.splitlines() or lines or ["it says nothing"])[-1]
        hint = "" if config else "; name the agent's configuration with --config"
        raise FlashError(f"{shown} says: {said}{hint}")
    try:
        told = json.loads(lines[-1])
    except (ValueError, IndexError) as error:
        raise FlashError(f"{shown}: answers no JSON") from error
    assert isinstance(told, dict)
    return told
