"""Runs a module of ours in a Python of its own, wherever the user is.

`python -m` would look for every module in the user's folder first, and a project
for MicroPython often has a `typing.py` or a `json.py` of its own. So that folder is
taken from the child's path before anything is imported. The working directory
stays: relative paths mean to the child what they mean to the user.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

# argv: where the module's package is, the module, its arguments. With PYTHONSAFEPATH the first
# place of the path isn't the folder. Last, the package's own place: it may not be installed.
_START = """
import sys
if sys.path[0] == "":
    del sys.path[0]
_, place, module, *sys.argv[1:] = sys.argv
sys.path.append(place)
import runpy
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def run_module(
    module: str, *words: str, content: bytes = b"", timeout_s: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `module` as `python -m` does, with `content` as its input; return how it ended.

    Raises subprocess.TimeoutExpired.
    """
    spec = find_spec(module.partition(".")[0])
    assert spec is not None and spec.submodule_search_locations, module
    place = Path(next(iter(spec.submodule_search_locations))).resolve().parent
    return subprocess.run(
        [sys.executable, "-c", _START, str(place), module, *words],
        input=content,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
