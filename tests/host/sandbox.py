"""Runs a program under the system call filter of a unit: `python sandbox.py UNIT PROGRAM ARG...`.

With libseccomp, as systemd itself does it, and what MemoryDenyWriteExecute= means. Ends with 77
where that can't be done here.
"""

import ctypes
import os
import subprocess
import sys

CAN_NOT = 77
_ALLOW = 0x7FFF0000
_EPERM = 0x00050001
_SET_NO_NEW_PRIVS, _SET_MDWE = 38, 65
_REFUSE_EXEC_GAIN = 1


def members(group):
    """Return the system calls of a group of systemd's."""
    done = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True
    )
    names = set()
    for line in done.stdout.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            names |= members(word)
        elif word and not word.startswith("#"):
            names.add(word)
    return names


def allowed(unit):
    """Return the system calls that a unit's lines allow, in the order in which they count."""
    names = set()
    for line in unit.splitlines():
        key, _, value = line.partition("=")
        if key != "SystemCallFilter":
            continue
        for word in value.removeprefix("~").split():
            found = members(word) if word.startswith("@") else {word}
            names = names - found if value.startswith("~") else names | found
    return names


def confine(names, library):
    """Let this process, and what it becomes, make these system calls only."""
    libc = ctypes.CDLL(None)
    seccomp = ctypes.CDLL(library)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(_EPERM))
    for name in sorted(names):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # there are none below on this machine
            assert seccomp.seccomp_rule_add(context, _ALLOW, number, 0) == 0, name
    assert libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    has_mdwe = libc.prctl(_SET_MDWE, _REFUSE_EXEC_GAIN, 0, 0, 0) == 0
    print("memory is confined" if has_mdwe else "memory is not confined", file=sys.stderr)
    assert seccomp.seccomp_load(context) == 0


def main(unit, *command):
    """Become the program."""
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        print(error, file=sys.stderr)
        return CAN_NOT
    with open(unit) as file:
        names = allowed(file.read())
    confine(names, "libseccomp.so.2")
    return os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
