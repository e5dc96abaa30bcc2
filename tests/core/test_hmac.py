"""HMAC-SHA-256 against RFC 4231, and what pseudonyms are made of."""

from binascii import hexlify, unhexlify
from hashlib import sha256

from pyv_edge_core.hmac import hmac_sha256, pseudonym

# RFC 4231, sections 4.2 to 4.8: (key, message, HMAC-SHA-256 in hexadecimal)
VECTORS = (
    (
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        b"\xaa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    ),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (
        b"\x0c" * 20,
        b"Test With Truncation",
        "a3b6167473100ee06e0c796c2955552b",  # the RFC gives its first 128 bits
    ),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        (
            b"This is a test using a larger than block-size key and a larger than block-size data."
            b" The key needs to be hashed before being used by the HMAC algorithm."
        ),
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
)


def _defined(key, message):
    """Return the HMAC as RFC 2104 words it, over long integers."""
    if len(key) > 64:
        key = sha256(key).digest()
    number = int.from_bytes(key + bytes(64 - len(key)), "big")
    inner = number ^ int.from_bytes(b"\x36" * 64, "big")
    outer = number ^ int.from_bytes(b"\x5c" * 64, "big")
    digest = sha256(inner.to_bytes(64, "big") + message).digest()
    return sha256(outer.to_bytes(64, "big") + digest).digest()


def test_vectors_of_rfc_4231():
    assert len(VECTORS) == 7
    for index, (key, message, expected) in enumerate(VECTORS):
        digest = hmac_sha256(key, message)
        assert len(digest) == 32
        assert digest[: len(expected) // 2] == unhexlify(expected), index + 1


def test_key_sizes_around_the_block():
    for size in (0, 1, 16, 31, 32, 33, 63, 64, 65, 66, 127, 128, 129, 1000):
        key = bytes([(index * 7 + size) & 255 for index in range(size)])
        assert hmac_sha256(key, b"message") == _defined(key, b"message"), size
    # A key is filled up with zeros: one beside a longer one is the reason to demand 16 bytes.
    assert hmac_sha256(b"k" * 63, b"") == hmac_sha256(b"k" * 63 + b"\0", b"")
    assert hmac_sha256(b"k" * 64, b"") != hmac_sha256(b"k" * 64 + b"\0", b"")


def test_message_sizes_around_the_block():
    for size in (0, 1, 55, 56, 63, 64, 65, 119, 128, 1000):
        message = bytes([index & 255 for index in range(size)])
        assert hmac_sha256(b"key", message) == _defined(b"key", message), size


def test_arguments_are_left_alone():
    key = bytearray(b"k" * 20)
    message = bytearray(b"m" * 20)
    expected = hmac_sha256(bytes(key), bytes(message))
    assert hmac_sha256(key, message) == expected
    assert (key, message) == (bytearray(b"k" * 20), bytearray(b"m" * 20))


def test_pseudonym_is_half_of_the_hmac_in_hexadecimal():
    key = b"a secret of 24 bytes ..."
    for text in ("", "camera.face", "caf\u00e9", "\U0001f511", "x" * 1000):
        digits = pseudonym(key, text)
        assert digits == hexlify(hmac_sha256(key, text.encode())).decode()[:32], text
    # printf %s camera.face | openssl dgst -sha256 -hmac 'a secret of 24 bytes ...'
    assert pseudonym(key, "camera.face") == "eb8acfdf34a166d494d1818c44bb259b"
    assert pseudonym(b"another key of 24 bytes.", "camera.face") != pseudonym(key, "camera.face")


def test_half_a_surrogate_pair_has_a_pseudonym_too():
    text = "a" + chr(0xD83D)
    assert (
        pseudonym(b"k" * 16, text)
        == hexlify(hmac_sha256(b"k" * 16, b"a\xed\xa0\xbd")[:16]).decode()
    )
