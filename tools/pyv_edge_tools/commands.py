"""Commands of the system that are run for an operator, one after the other."""

import subprocess
from collections.abc import Sequence

Command = Sequence[str]


def run_in_turn(commands: Sequence[Command]) -> str:
    """Run `commands` until one fails; return what is wrong with that, "" if none does.

    What they print goes where ours does.
    """
    for command in commands:
        shown = " ".join(command)
        try:
            status = subprocess.run(command, check=False).returncode
        except OSError as error:
            return f"{shown}: can't be run: {error.strerror}"
        if status:
            return f"{shown}: ended with status {status}"
    return ""
