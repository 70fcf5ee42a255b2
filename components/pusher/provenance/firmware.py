"""Firmware images: the bytes that a board's flash will hold, out of the files that build systems and boards use.

ELF and raw binaries hold them as they are. Intel HEX (`.hex`) and UF2 (`.uf2`) cut them into records with addresses.
Sources: Intel, Hexadecimal Object File Format Specification, 1988; https://github.com/microsoft/uf2.
"""

import binascii
import struct

_HEX_DATA, _HEX_SEGMENT, _HEX_LINEAR = 0, 2, 4
_UF2_BLOCK_BYTES = 512
_UF2_START, _UF2_SECOND, _UF2_END = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_UF2_MAX_PAYLOAD_BYTES = 476


def flash_bytes(content: bytes) -> bytes:
    """What a firmware file writes, in the order of the addresses and without the gaps between them.

    Anything but a whole Intel HEX or UF2 file is given back as it is.
    """
    pieces = _read_intel_hex(content) or _read_uf2(content)
    return b"".join(pieces[address] for address in sorted(pieces)) if pieces else content


def _read_intel_hex(content: bytes) -> dict[int, bytes] | None:
    """Data by address; None if it is no Intel HEX."""
    if not content.startswith(b":"):
        return None
    base, pieces = 0, {}
    for line in content.split():
        try:
            record = binascii.unhexlify(line.removeprefix(b":"))
        except binascii.Error:
            return None
        if len(record) < 5 or len(record) != record[0] + 5 or sum(record) % 256:
            return None
        offset, kind, data = int.from_bytes(record[1:3]), record[3], record[4:-1]
        if kind == _HEX_DATA:
            pieces[base + offset] = data
        elif kind in (_HEX_SEGMENT, _HEX_LINEAR):
            base = int.from_bytes(data) << (4 if kind == _HEX_SEGMENT else 16)
    return pieces


def _read_uf2(content: bytes) -> dict[int, bytes] | None:
    """Data by address; None if it is no UF2."""
    if not content or len(content) % _UF2_BLOCK_BYTES:
        return None
    pieces = {}
    for start in range(0, len(content), _UF2_BLOCK_BYTES):
        block = content[start : start + _UF2_BLOCK_BYTES]
        first, second, _, address, size = struct.unpack_from("<5I", block)
        (end,) = struct.unpack_from("<I", block, _UF2_BLOCK_BYTES - 4)
        if (first, second, end) != (_UF2_START, _UF2_SECOND, _UF2_END) or size > _UF2_MAX_PAYLOAD_BYTES:
            return None
        pieces[address] = block[32 : 32 + size]
    return pieces
