"""`pyv-edge-host backup`: a copy of the store that was looked through, while the agent writes."""

import argparse

from ..exit_status import DONE, NO
from .place import add_store, store_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "destination", metavar="DEST", help="file to make, or folder for one with the time in it"
    )
    add_store(parser)
    parser.add_argument("--force", action="store_true", help="replace DEST if it is there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Make a backup; return 1 if its ledger does not balance, as the store's doesn't."""
    import json
    from pathlib import Path

    from ..clock import SystemClock
    from ..sizing import show_size
    from ..store.backup import back_up
    from .destination import destination
    from .moment import stamp
    from .output import progress

    path, named = store_path(args), args.destination
    if Path(named).is_dir():
        named = str(Path(named) / f"{path.stem}-{stamp(SystemClock().utc_ms())}{path.suffix}")
    to = destination(args, named, is_backup=True)
    with progress("copying", 100) as advance:
        made = back_up(path, to, lambda done, total: advance(100 * done // max(total, 1)))
    if args.json:
        print(json.dumps(made.to_dict()))
    else:
        verdict = "balances" if made.is_balanced else "DOES NOT BALANCE, as that of the store"
        print(
            f"{made.path}: {show_size(made.size)}, {made.readings} readings,"
            f" {made.events} events; its ledger {verdict}"
        )
    return DONE if made.is_balanced else NO
