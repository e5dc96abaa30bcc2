"""Integer arithmetic for data sheets whose products exceed the 31 bits of a board's integers.

Larger integers work on a board too, but each takes heap.
"""

from pyv_edge_core._compat import const

_LOW = const(8191)


def multiply_shift(a: int, b: int, shift: int) -> int:
    """Return a * b >> shift, exactly; `shift` is 13 at least.

    Needs no heap while a and b have less than 29 bits each and 56 together, and the
    result has less than 30.
    """
    a_high = a >> 13
    b_high = b >> 13
    a &= _LOW
    b &= _LOW
    # The product is high * 2**26 + middle * 2**13 and less than 2**13 more.
    high = a_high * b_high
    middle = a_high * b + a * b_high + (a * b >> 13)
    if shift >= 26:
        return high + (middle >> 13) >> shift - 26
    return (high << 26 - shift) + (middle >> shift - 13)
