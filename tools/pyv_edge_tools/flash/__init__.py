"""`pyv-edge-flash`: puts firmware onto boards, and looks after what is there."""


def main() -> int:
    """Run the command line; return its exit status."""
    from .command import run

    return run()
