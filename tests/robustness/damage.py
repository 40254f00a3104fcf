"""Ways to damage a file, drawn by chance."""

import random
import re

NUMBERS = (b"-1", b"0", b"99999999999", b"1e400", b"null", b'"x"', b"[]", b"true", b"3.5")


def flip(data: bytes, chance: random.Random) -> bytes:
    """A few bytes become others, near the beginning, where headers are."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        out[chance.randrange(min(len(out), 600))] = chance.randrange(256)
    return bytes(out)


def cut(data: bytes, chance: random.Random) -> bytes:
    """The end is missing, as after a download that broke off."""
    return data[: chance.randrange(len(data))]


def insert(data: bytes, chance: random.Random) -> bytes:
    """Bytes that do not belong here."""
    at = chance.randrange(len(data))
    return data[:at] + chance.randbytes(chance.randint(1, 9)) + data[at:]


def blank(data: bytes, chance: random.Random) -> bytes:
    """Twenty bytes of zeros, as a file system leaves them after a crash."""
    at = chance.randrange(len(data))
    return data[:at] + bytes(min(20, len(data) - at)) + data[at + 20 :]


def repeat(data: bytes, chance: random.Random) -> bytes:
    """Thirty bytes twice."""
    at = chance.randrange(len(data))
    return data[:at] + data[at : at + 30] + data[at:]


def renumber(data: bytes, chance: random.Random) -> bytes:
    """A number becomes another, or something that is no number."""
    found = list(re.finditer(rb"\d+", data[:4000]))
    if not found:
        return flip(data, chance)
    number = chance.choice(found)
    return data[: number.start()] + chance.choice(NUMBERS) + data[number.end() :]


KINDS = (flip, cut, insert, blank, repeat, renumber)
