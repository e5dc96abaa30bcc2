"""What both ends of a link have in common: times and limits.

    board                              host
    -----                              ----
    GREETING  -- HELLO, CHANNELS -->   WAITING
              <- TIME_REQUEST ------
              -- TIME_RESPONSE ---->   GREETED   looks up its resume point
              <- WELCOME -----------
    UP        -- DATA, GAP -------->   UP        commits to its store
              <- ACK ---------------

Delivery is TCP's idea at the level of readings: a stream is numbered without a
hole per boot, the board keeps what it sent until the host says "committed up to
here", silence means send again from there, and the host takes each number once
and in order. `DeviceSession` and `HostSession` are the two ends. Neither reads
a clock or touches a port: both are driven by (bytes, now_ms).

What each end does with what comes, by its state, is a table: `device_states` and
`host_states`, from which PROTOCOL.md has its own.
"""

from ._compat import const

TIMEOUT = const(0)  # in the tables: nothing has come for as long as the state allows
STRANGER = const(-1)  # in the host's: a message of a boot that is not the one greeted

HELLO_INTERVAL_MS = const(1000)  # a board that has no welcome says HELLO this often
HOST_SILENCE_MS = const(15000)  # a board that hears nothing for so long greets anew
RESEND_MS = const(3000)  # first wait for an ACK; must exceed the host's commit interval
RESEND_MS_MAX = const(30000)
FLUSH_MS = const(200)  # a reading waits at most this long for a fuller frame
RECORDS_PER_FRAME_MAX = const(16)

WINDOW_MAX = const(4096)  # readings sent and not yet committed, per stream
TIME_INTERVAL_MS = const(5000)  # the host asks for the board's uptime this often
TIME_AGAIN_MS = const(700)  # and again if there is no answer
SETTLED_MS = const(3000)  # a board heard so long after our last byte has read it
RESEND_REQUEST_MS = const(250)  # the host asks again for a missing frame this often
STUCK_MS = const(20000)  # and if that is no use for so long, it asks for a HELLO
HELLO_REQUEST_MS = const(1000)
GREETING_LOST_MS = const(10000)  # a Greeting that nobody has answered by then is repeated
IN_FLIGHT_MAX = const(200)  # bytes towards a board that it may not have read yet (ESP32: 260)

# Why a host refuses a board, and for how long that one is to be quiet.
REFUSED_VERSION = const(1)  # they have no version of the protocol in common
REFUSED_DEVICE = const(2)  # the host doesn't know this device
REFUSED_TWICE = const(3)  # its device id is in use on another port
REFUSED_GREETING = const(4)  # its HELLO or its channel table can't be used
REFUSED_S = const(30)
REFUSED_TWICE_S = const(5)  # the other may be the same board, before somebody moved it

_TICK_MASK = const(0x3FFFFFFF)


def elapsed_ms(now_ms: int, then_ms: int) -> int:
    """Return the time from `then_ms` to `now_ms`, right over the wrap of a board's ticks at 2**30.

    Correct up to 2**30 - 1 ms (12.4 days).
    """
    return (now_ms - then_ms) & _TICK_MASK
