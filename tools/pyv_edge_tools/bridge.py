"""Entry point of `pyv-edge-bridge`."""

import sys


def main() -> int:
    """Say that the tool doesn't exist in this version."""
    print("pyv-edge-bridge: not part of this version yet; see CHANGELOG.md", file=sys.stderr)
    return 2
