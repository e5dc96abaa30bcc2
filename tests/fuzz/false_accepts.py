"""Feeds damaged frames to a decoder and counts what passes, beside what FCS-32 predicts.

python tests/fuzz/false_accepts.py [COUNT [SEED]]

A frame that comes out and was never sent is falsely accepted. A check of 32
bits lets one in 2**32 of them pass, which nobody waits for. So that it is seen
to behave as predicted, computed and received FCS are also compared in their
lowest 8, 12, 16 and 20 bits alone: where the damage is as good as random, those
agree once in 2**8 ... 2**20, within what Poisson gives.

Some damage CRC-32 finds for certain: in a frame of 16 readings up to four
flipped bits, and bursts of up to 32. That holds for what is inside the
stuffing. Where a flipped bit makes a flag or an escape of a byte, or takes one
away, a frame is cut, joined with the next or shifted by a byte, and only the odds of
2**32 are left. "restuffed" is the share of such damage.
"""

import math
import random
import sys
from binascii import crc32
from collections import Counter

from pyv_edge_core import message
from pyv_edge_core.frame import ESCAPE, FLAG, FrameDecoder, encode

LOW_BITS = (8, 12, 16, 20)
_SIGMAS = 5  # of a Poisson distribution: beyond it the check doesn't behave as predicted
_FRAMES_AT_ONCE = 50
_TRACEBACK = b'Traceback (most recent call last):\r\n  File "main.py", line 9\r\nValueError: \r\n'


def random_message(rng):
    """Return a message like DATA, with values like those of sensors: many bytes are 0.

    Version and type are any: if all frames began alike, a flag behind that
    beginning would do the same to each of them, and nothing random.
    """
    first_seq = rng.randrange(1 << rng.randrange(1, 32))
    records = b"".join(
        bytes((rng.randrange(4), 0)) + rng.randbytes(1) + b"\x01" + rng.randbytes(2) + b"\x00\x00"
        for _ in range(rng.randint(1, 16))
    )
    packed = message.pack_data(rng.getrandbits(16), 0, first_seq, rng.getrandbits(20), 0, records)
    return bytes((rng.randint(1, 6), rng.getrandbits(8))) + packed[2:]


def flip(rng, body, bits):
    damaged = bytearray(body)
    for at in rng.sample(range(8 * len(body)), bits):
        damaged[at // 8] ^= 1 << at % 8
    return bytes(damaged)


def burst(rng, body, bits):
    """Return `body` with errors within `bits` bits in a row, the first and the last among them."""
    start = rng.randrange(8 * len(body) - bits + 1)
    pattern = 1 | 1 << bits - 1 | rng.getrandbits(bits)
    # A line sends the lowest bit of a byte first, which is the order that the CRC sees too.
    number = int.from_bytes(body, "little") ^ pattern << start
    return number.to_bytes(len(body), "little")


# name: function(rng, frame, another frame) -> the bytes on the line
DAMAGE = {
    "1 bit": lambda rng, one, other: flip(rng, one, 1),
    "2 bits": lambda rng, one, other: flip(rng, one, 2),
    "3 bits": lambda rng, one, other: flip(rng, one, 3),
    "many bits": lambda rng, one, other: flip(rng, one, rng.randint(4, 60)),
    "burst of up to 32 bits": lambda rng, one, other: burst(rng, one, rng.randint(2, 32)),
    "longer burst": lambda rng, one, other: burst(rng, one, rng.randint(33, len(one) * 8)),
    "cut": lambda rng, one, other: one[: rng.randrange(1, len(one) - 1)] + FLAG,
    "bytes lost": lambda rng, one, other: _without(rng, one),
    "bytes inserted": lambda rng, one, other: _inserted(
        one, rng, rng.randbytes(rng.randint(1, 9))
    ),
    "flag inserted": lambda rng, one, other: _inserted(one, rng, FLAG),
    "traceback in it": lambda rng, one, other: _inserted(one, rng, _TRACEBACK),
    "merged with another": lambda rng, one, other: (
        one[: rng.randrange(1, len(one))] + other[rng.randrange(1, len(other)) :]
    ),
    "bytes swapped": lambda rng, one, other: _swapped(rng, one),
    "garbage between flags": lambda rng, one, other: (
        FLAG + b"\x01" + rng.randbytes(rng.randint(5, 200)).replace(FLAG, b"") + FLAG
    ),
}
# CRC-32 is made for these: it finds them for certain, so their FCS differ in no random way.
REGULAR = ("1 bit", "2 bits", "3 bits", "burst of up to 32 bits")


def _without(rng, body):
    at = rng.randrange(1, len(body) - 1)
    return body[:at] + body[at + rng.randint(1, 8) :] + FLAG


def _inserted(body, rng, more):
    at = rng.randrange(2, len(body) - 1)
    return body[:at] + more + body[at:]


def _swapped(rng, body):
    low, high = sorted(rng.sample(range(1, len(body) - 1), 2))
    return body[:low] + body[high:-1] + body[low:high] + FLAG


class Count:
    """What has been fed to a decoder and what it made of it."""

    def __init__(self, make_decoder=FrameDecoder):
        self._make_decoder = make_decoder
        self.damaged_total = Counter()  # damaged frames, by kind of damage
        self.judged_total = (
            0  # pieces between flags that had a check to pass, and did not deserve it
        )
        self.false_total = Counter()  # of them, those that passed, by kind of damage
        self.stuffing_total = Counter()  # damaged frames whose flags or escapes are others now
        self.agreeing_total = Counter()  # by LOW_BITS

    def feed(self, rng, frame_count):
        """Damage `frame_count` frames and count what comes of it."""
        while sum(self.damaged_total.values()) < frame_count:
            for kind, harm in DAMAGE.items():
                messages = [random_message(rng), random_message(rng)]
                one, other = map(encode, messages)
                self._judge(kind, one, harm(rng, one, other), messages)

    def _judge(self, kind, one, damaged, messages):
        if damaged == one:
            return
        self.damaged_total[kind] += 1
        marks = (FLAG, ESCAPE)
        self.stuffing_total[kind] += any(damaged.count(m) != one.count(m) for m in marks)
        decoder = self._make_decoder()
        # A good frame follows: whatever the damage has left open ends with its first flag.
        found = decoder.feed(damaged + encode(messages[1]))
        self.false_total[kind] += sum(payload not in messages for payload in found)
        if kind not in REGULAR:
            for piece in damaged.split(FLAG):
                self._compare(piece, messages)

    def _compare(self, piece, messages):
        """Compare both FCS of what stands between two flags, as a check of fewer bits would."""
        body = unstuffed(piece)
        if body is None or len(body) <= 4 or body[:-4] in messages:
            return
        self.judged_total += 1
        difference = crc32(body[:-4]) ^ int.from_bytes(body[-4:], "little")
        for bits in LOW_BITS:
            self.agreeing_total[bits] += not difference & (1 << bits) - 1

    def bounds(self, bits):
        """Return (fewest, most) agreements to be expected of a check of so many bits."""
        mean = self.judged_total / 2**bits
        spread = _SIGMAS * math.sqrt(mean + 1)
        return max(0, math.floor(mean - spread)), math.ceil(mean + spread)

    @property
    def is_as_predicted(self):
        """Whether nothing was falsely accepted and fewer bits agree as often as they should."""
        bounds = {bits: self.bounds(bits) for bits in LOW_BITS}
        agrees = all(
            low <= self.agreeing_total[bits] <= high for bits, (low, high) in bounds.items()
        )
        return agrees and not sum(self.false_total.values())

    def lines(self):
        """Return the report."""
        fed, false = sum(self.damaged_total.values()), sum(self.false_total.values())
        yield f"{fed} damaged frames; falsely accepted: {false}, predicted {fed / 2**32:.6f}"
        yield f"{self.judged_total} pieces of them are damaged at random"
        for bits in LOW_BITS:
            low, high = self.bounds(bits)
            mean = self.judged_total / 2**bits
            agreeing = self.agreeing_total[bits]
            yield f"FCS alike in {bits:2} bits: {agreeing}, predicted {mean:.1f} ({low} to {high})"
        for kind, count in self.damaged_total.items():
            share = self.stuffing_total[kind] / count
            accepted = self.false_total[kind]
            yield f"{kind:24} {count:9} fed, {accepted} accepted, {share:.2%} restuffed"


def unstuffed(piece):
    """Return bytes without their stuffing, None if they end in the middle of it."""
    plain = bytearray()
    codes = iter(piece)
    for code in codes:
        if code == ESCAPE[0]:
            escaped = next(codes, None)
            if escaped is None:
                return None
            code = escaped ^ 0x20
        plain.append(code)
    return bytes(plain)


def main(arguments):
    """Run the command line; return 1 if the check doesn't behave as predicted."""
    count = Count()
    seed = int(arguments[1]) if len(arguments) > 1 else 1
    count.feed(random.Random(seed), int(arguments[0]) if arguments else 1_000_000)
    print(f"seed {seed}")
    print("\n".join(count.lines()))
    return 0 if count.is_as_predicted else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
