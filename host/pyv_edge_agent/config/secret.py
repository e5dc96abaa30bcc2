"""Where a secret comes from if it doesn't stand in the file: a file of its own, or systemd.

    api_key_file = "cloud.key"             its first line; the path counts from the config's folder
    $CREDENTIALS_DIRECTORY/cloud.api_key   used if the file has neither KEY nor KEY_file

A table that is not enabled needs no secret, and none is looked for.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..secret_file import read_secret
from ..settings import Setting
from ..settings.setting import is_plain, secret_files
from .origin import CREDENTIAL, SECRET_FILE, Origin
from .path import join

if TYPE_CHECKING:
    from .check import Checker

CREDENTIALS = "CREDENTIALS_DIRECTORY"  # the variable that names systemd's folder of them


class Secrets:
    """Finds the secrets of one file."""

    def __init__(self, checker: "Checker", environment: Mapping[str, str], folder: Path) -> None:
        """Tell faults to `checker`; paths of files count from `folder`."""
        self._checker = checker
        self._credentials = environment.get(CREDENTIALS, "")
        self._folder = folder

    def find(
        self,
        result: dict[str, Any],
        keys: dict[str, Setting],
        given: dict[str, Any],
        path: str,
        credential: str,
    ) -> None:
        """Put the secrets of the table at `path` into `result`, its checked values.

        `given` is what stands in the file; names of credentials begin with `credential`.
        """
        if result.get("enabled") is False:
            return
        files = {key: name for name, key in secret_files(keys).items()}
        for key in [key for key, one in keys.items() if one.is_secret and one.kind is str]:
            name = files.get(key, "")
            is_given = bool(result.get(key)) or self._checker.is_faulty(join(path, key))
            if result.get(name):
                # As it stands in the file: what a variable holds may be the secret itself.
                self._from_file(result, key, name, str(given[name]), join(path, name), is_given)
            elif not is_given and f"{key}_file" not in given:
                self._from_credential(result, key, f"{credential}.{key}", join(path, key))

    def _from_file(
        self,
        result: dict[str, Any],
        key: str,
        name: str,
        shown: str,
        place: str,
        is_given: bool,
    ) -> None:
        checker = self._checker
        if is_given:
            checker.fault(place, f"{key} is given too; leave one out")
            return
        try:
            result[key], is_open = _read(self._folder / str(result[name]))
        except ValueError as error:
            checker.fault(place, f"{shown} {error}")
            checker.blame(place.removesuffix("_file"))
            return
        checker.origins[place.removesuffix("_file")] = Origin(SECRET_FILE, shown)
        if is_open:
            checker.warn(place, f"{shown} can be read by others; chmod 600 it")

    def _from_credential(self, result: dict[str, Any], key: str, name: str, place: str) -> None:
        file = Path(self._credentials) / name
        if not self._credentials or "/" in name or not file.exists():
            return
        try:
            result[key], _ = _read(file)
        except ValueError as error:
            self._checker.fault(place, f"credential {name} {error}")
            return
        self._checker.origins[place] = Origin(CREDENTIAL, name)


def _read(path: Path) -> tuple[str, bool]:
    """Return a secret, and whether others can read it. Raises ValueError."""
    secret, is_open = read_secret(path)
    if not secret:
        raise ValueError("has an empty first line; write the secret into it")
    if not is_plain(secret):
        raise ValueError("has a control character in its first line; write a line of text")
    return secret, is_open
