"""The service: whether its files are there and of this version, and its user."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ...config import Config
from ...errors import StartError, UsageError
from ...service_files import (
    PLACES,
    UNCHANGED,
    UNIT,
    WRITTEN,
    Needs,
    Step,
    installed_program,
    is_enabled,
    plan_install,
    read_folders,
    written_folders,
)
from .access import Accounts, Person
from .configuration import ENVIRONMENT
from .finding import Check, Finding
from .port import GROUP

INSTALL = "sudo pyv-edge-host service install --now"


@dataclass(frozen=True)
class Service:
    """What an installed unit says."""

    user: str
    program: str
    config: str
    groups: tuple[str, ...]
    is_enabled: bool  # started at boot


def read_service(root: Path) -> Service | None:
    """Return the service that is installed below `root`, None if there is none."""
    try:
        unit = (root / PLACES[UNIT].relative_to("/")).read_text(encoding="utf-8")
    except OSError:
        return None

    def first(pattern: str) -> str:
        found = re.search(pattern, unit, re.MULTILINE)
        return found[1] if found else ""

    return Service(
        first(r"^User=(\S+)"),
        first(r"^ExecStart=(\S+)"),
        first(r"^ExecStart=.* --config (\S+)"),
        tuple(first(r"^SupplementaryGroups=(.*)$").split()),
        is_enabled(root),
    )


def service_person(service: Service | None, accounts: Accounts) -> Person | None:
    """Return who runs the service, None if there is none or no such user."""
    return None if service is None else accounts.person(service.user, *service.groups)


def service_environment(service: Service | None, source: str, root: Path) -> dict[str, str]:
    """Return the variables that the service has, if `source` is its configuration.

    Those of the file that the unit reads: of a line NAME=value, quoted or not. {} if it can't
    be read.
    """
    if service is None or os.path.realpath(source) != os.path.realpath(service.config):
        return {}
    try:
        text = (root / ENVIRONMENT).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    rows = [row.strip().partition("=") for row in text.splitlines()]
    return {
        name.strip(): _unquoted(value.strip())
        for name, mark, value in rows
        if mark and not name.startswith(("#", ";"))
    }


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


def check_service(
    service: Service | None, source: str, config: Config | None, root: Path
) -> list[Finding]:
    """Tell whether the unit is there, is what this version would write, and is started at boot.

    `source` is the path of the configuration that doctor was asked about.
    """
    about = Check("service")
    if service is None:
        return [about.skip("is not installed: nothing starts the agent at boot")]
    if os.path.realpath(source) != os.path.realpath(service.config):
        text = f"it has another configuration, {service.config}, than {source or 'none'}"
        return [about.warn(text, f"pyv-edge-host doctor --config {service.config}")]
    own = _steps(service, config, root)
    if isinstance(own, str):
        return [about.warn(f"can't be compared with this version: {own}", INSTALL)]
    steps = {step.path.name: step for step in own}
    if steps[UNIT].state != UNCHANGED:
        text = f"{steps[UNIT].path} is not what this version would write"
        return [about.warn(text, INSTALL)]
    if not service.is_enabled:
        return [about.warn("is not started at boot", f"sudo systemctl enable --now {UNIT}")]
    return [about.ok(f"is installed, and runs {service.program} as {service.user}")]


def check_rules(service: Service | None, config: Config | None, root: Path) -> list[Finding]:
    """Tell whether the rules for boards are there and of this version."""
    about = Check("service.rules")
    if service is None:
        return [about.skip("the service is not installed")]
    own = _steps(service, config, root)
    if isinstance(own, str):
        return [about.skip(own)]
    for step in own:
        if step.path.name == UNIT or step.state == UNCHANGED:
            continue
        what = "is not there" if step.state == WRITTEN else "is not what this version would write"
        return [about.warn(f"{step.path} {what}", INSTALL)]
    return [about.ok("the rules for boards are those of this version")]


def _steps(service: Service, config: Config | None, root: Path) -> list[Step] | str:
    """Return what an installation would write now, or why that can't be told."""
    if config is None:
        return "without a configuration nobody knows where it may write"
    try:
        program, folders = installed_program()
        if service.program != str(program):
            return f"it runs {service.program}, and this is {program}"
        opened = (written_folders(config), read_folders(config))
        needs = Needs(program, Path(service.config), service.user, folders, *opened)
        return plan_install(needs, root)
    except (UsageError, StartError) as error:
        return str(error)


def has_rules(root: Path) -> bool:
    """Return whether the rules for boards are there, of whatever version."""
    return (root / PLACES["pyv-edge.rules"].relative_to("/")).is_file()


def check_user(service: Service | None, accounts: Accounts) -> list[Finding]:
    """Tell whether the service's user exists and may open serial ports."""
    about = Check("service.user")
    if service is None:
        return [about.skip("the service is not installed")]
    person = service_person(service, accounts)
    if person is None:
        text = f"there is no user {service.user}: the service can't start"
        return [about.fail(text, "sudo systemd-sysusers")]
    if accounts.gid(GROUP) not in person.gids:
        text = f"user {service.user} is not in group {GROUP}: it can't open serial ports"
        return [about.fail(text, f"sudo usermod -aG {GROUP} {service.user}")]
    return [about.ok(f"user {service.user} is in group {GROUP}")]
