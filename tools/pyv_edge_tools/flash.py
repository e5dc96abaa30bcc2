"""Entry point of `pyv-edge-flash`."""

import sys


def main() -> int:
    """Say that the tool doesn't exist in this version."""
    print("pyv-edge-flash: not part of this version yet; see CHANGELOG.md", file=sys.stderr)
    return 2
