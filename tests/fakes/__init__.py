"""Hardware that tests play: `machine` for all of MicroPython's, `chips` for what hangs on it."""
