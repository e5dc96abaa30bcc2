"""What FCS-32 promises, seen on damaged frames; and that a broken promise would be noticed."""

import itertools
import random
from binascii import crc32

import pytest
from false_accepts import DAMAGE, Count, burst, flip, main, random_message, unstuffed
from pyv_edge_core.frame import FLAG, FrameDecoder, encode, encode_for_board

FRAMES = 60_000  # `make check-long` runs the command over millions


def test_nothing_damaged_is_accepted_and_fewer_bits_agree_as_often_as_predicted():
    count = Count()
    count.feed(random.Random(1), FRAMES)
    report = "\n".join(count.lines())
    print(report)
    assert count.is_as_predicted, report
    assert count.judged_total > FRAMES / 2  # ten kinds of damage are random, some make two pieces
    assert set(count.damaged_total) == set(DAMAGE)


class WeakDecoder(FrameDecoder):
    """Checks eight bits of the FCS only."""

    def feed(self, data):
        bodies = [unstuffed(piece) for piece in data.split(FLAG) if len(piece) > 4]
        return [body[:-4] for body in bodies if body and crc32(body[:-4]) & 0xFF == body[-4]]


class NoDecoder(FrameDecoder):
    """Checks nothing at all."""

    def feed(self, data):
        return [unstuffed(piece + b"\x20")[:-5] for piece in data.split(FLAG) if len(piece) > 4]


@pytest.mark.parametrize(("decoder", "share_min"), [(WeakDecoder, 0.002), (NoDecoder, 0.9)])
def test_a_weaker_check_would_be_noticed(decoder, share_min):
    count = Count(decoder)
    count.feed(random.Random(1), 5000)
    assert not count.is_as_predicted
    assert sum(count.false_total.values()) > share_min * 5000


def test_the_command_prints_the_report(capsys):
    assert main(["300", "7"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("seed 7\n")
    assert "falsely accepted: 0, predicted 0.0000" in out
    assert "traceback in it" in out


@pytest.mark.parametrize("encoder", [encode, encode_for_board])
def test_no_single_flipped_bit_passes_wherever_it_is(encoder):
    rng = random.Random(2)
    restuffed = 0
    for _ in range(20):
        messages = [random_message(rng), random_message(rng)]
        framed = encoder(messages[0])
        for at in range(8 * len(framed)):
            damaged = bytearray(framed)
            damaged[at // 8] ^= 1 << at % 8
            found = FrameDecoder().feed(bytes(damaged) + encoder(messages[1]))
            # The next frame is there, unless the flag between the two is what was hit.
            assert set(found) <= set(messages)
            assert messages[0] not in found or at // 8 in (0, len(framed) - 1)
            restuffed += damaged.count(FLAG) != framed.count(FLAG)
    assert restuffed > 50  # cut frames and joined ones were among them


def test_up_to_four_flipped_bits_are_always_found_in_a_frame_of_16_readings():
    # CRC-32 is linear: what a flipped bit adds is the same in every message of that length. If no
    # sum of two such additions equals another, no four of them cancel, nor three, two or one.
    size = 15 + 16 * 8 + 4
    clear = crc32(bytes(size))
    added = []
    for at in range(8 * size):
        damaged = bytearray(size)
        damaged[at // 8] = 1 << at % 8
        added.append(crc32(damaged) ^ clear)
    sums = {0, *added}
    count = 1 + len(added)
    for one, other in itertools.combinations(added, 2):
        sums.add(one ^ other)
        count += 1
    assert len(sums) == count


def test_a_burst_of_32_bits_is_always_found():
    rng = random.Random(3)
    for _ in range(2000):
        payload = random_message(rng)
        body = payload + crc32(payload).to_bytes(4, "little")
        damaged = burst(rng, body, rng.randint(2, 32))
        assert damaged != body
        assert crc32(damaged[:-4]) != int.from_bytes(damaged[-4:], "little")


def test_flips_are_as_many_as_asked():
    rng = random.Random(4)
    for bits in (1, 2, 3, 60):
        body = rng.randbytes(50)
        changed = int.from_bytes(flip(rng, body, bits), "big") ^ int.from_bytes(body, "big")
        assert bin(changed).count("1") == bits
