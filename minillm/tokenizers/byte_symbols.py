r"""The 256 bytes as 256 visible characters, the alphabet of byte-level BPE.

A vocabulary file is text, so GPT-2 (Radford et al. 2019, section 2.2, and its published encoder.py)
writes each byte as one character that can be seen and is no white space.  The 188 bytes that are
visible in Latin-1 stand for themselves; the other 68, in order, become U+0100, U+0101, ...  So the
space (byte 32) is written Ġ, the new line (byte 10) Ċ, and é, two bytes in UTF-8, is Ã©.

>>> to_symbols(" the\n".encode())
'ĠtheĊ'
>>> to_bytes("caf" + "Ã©").decode()
'café'
"""


def byte_symbols() -> list[str]:
    """The symbol of each byte, indexed by the byte.

    >>> symbols = byte_symbols()
    >>> symbols[ord("A")], symbols[ord(" ")], symbols[0]
    ('A', 'Ġ', 'Ā')
    """
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    symbols, hidden = [], 0
    for byte in range(256):
        symbols.append(chr(byte if byte in visible else 256 + hidden))
        hidden += byte not in visible
    return symbols


SYMBOLS = byte_symbols()
BYTES = {symbol: byte for byte, symbol in enumerate(SYMBOLS)}


def to_symbols(data: bytes) -> str:
    """Bytes, written in their symbols."""
    return "".join([SYMBOLS[byte] for byte in data])


def to_bytes(token: str) -> bytes:
    """The bytes that a token stands for; a token that is not made of symbols is its own UTF-8."""
    try:
        return bytes([BYTES[symbol] for symbol in token])
    except KeyError:
        return token.encode("utf-8")
