"""Tools for people: demo, virtual boards, flashing, the serial bridge, the reference receiver."""
