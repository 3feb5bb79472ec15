"""Links object files into an image: a block of bytes that runs wherever it is put.

Kernels call nothing but their own parts and all their references are relative, so linking means laying the
sections side by side and filling in the distances. An image needs no LLVM to be loaded: a process that
finds its kernels on disk starts them without importing llvmlite, which alone takes 40 ms.

Format: ELF for x86-64 and aarch64 (System V ABI, chapters 4 and 5).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_ALLOCATED, _RELA, _SYMTAB, _NOBITS = 2, 4, 2, 8
# R_X86_64_PC32, R_X86_64_PLT32: a 32-bit distance from the place to the symbol.
_X86_RELATIVE = (2, 4)
_MAGIC = b"convforge image 1\n"


@dataclass(frozen=True, slots=True)
class Image:
    """Position-independent machine code and where its functions begin, in bytes."""

    code: bytes
    entries: dict[str, int]

    def to_bytes(self) -> bytes:
        """Serialise: magic, length of the table, table of entries, code."""
        table = json.dumps(self.entries).encode()
        return _MAGIC + struct.pack("<I", len(table)) + table + self.code

    @staticmethod
    def from_bytes(data: bytes) -> Image:
        """Read what `to_bytes` wrote. Raises ValueError on anything else."""
        if not data.startswith(_MAGIC):
            raise ValueError("not an image of this version")
        (length,) = struct.unpack_from("<I", data, len(_MAGIC))
        start = len(_MAGIC) + 4
        return Image(data[start + length :], json.loads(data[start : start + length]))


@dataclass(frozen=True, slots=True)
class _Section:
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int


def link(object_files: Sequence[bytes]) -> Image:
    """Link ELF objects that have no undefined symbols but functions of each other.

    Raises RuntimeError where one refers to something outside: a mistake of the kernel that emitted it.
    """
    code = bytearray()
    laid = [_lay(object_file, code) for object_file in object_files]
    entries = {
        name: at for o in laid for name, at, is_function in o.symbols if is_function and at is not None
    }
    for o in laid:
        for section in o.sections:
            if section.kind == _RELA and section.info in o.places:
                _relocate(o, section, entries, code)
    return Image(bytes(code), entries)


@dataclass(frozen=True, slots=True)
class _Laid:
    """An object whose sections lie at `places` of an image. symbols: name, place, whether a function."""

    data: bytes
    sections: list[_Section]
    places: dict[int, int]
    symbols: list[tuple[str, int | None, bool]]


def _lay(data: bytes, code: bytearray) -> _Laid:
    """Append an object's sections to an image."""
    sections = _sections(data)
    places: dict[int, int] = {}
    for i, section in enumerate(sections):
        if section.flags & _ALLOCATED and section.size:
            code += b"\0" * (-len(code) % max(section.alignment, 1))
            places[i] = len(code)
            empty = section.kind == _NOBITS
            code += b"\0" * section.size if empty else data[section.offset : section.offset + section.size]
    return _Laid(data, sections, places, _symbols(data, sections, places))


def _sections(data: bytes) -> list[_Section]:
    (start,) = struct.unpack_from("<Q", data, 40)
    size, count, _ = struct.unpack_from("<HHH", data, 58)
    found: list[_Section] = []
    for i in range(count):
        _, kind, flags, _, offset, length, link_to, info, alignment, _ = _SECTION.unpack_from(
            data, start + i * size
        )
        found.append(_Section(kind, flags, offset, length, link_to, info, alignment))
    return found


def _symbols(
    data: bytes, sections: list[_Section], places: dict[int, int]
) -> list[tuple[str, int | None, bool]]:
    table = next(s for s in sections if s.kind == _SYMTAB)
    names = sections[table.link]
    found: list[tuple[str, int | None, bool]] = []
    for at in range(table.offset, table.offset + table.size, _SYMBOL.size):
        name_at, info, _, section, value, _ = _SYMBOL.unpack_from(data, at)
        begin = names.offset + name_at
        name = data[begin : data.index(b"\0", begin)].decode()
        found.append((name, places[section] + value if section in places else None, info & 15 == 2))
    return found


def _relocate(o: _Laid, table: _Section, entries: dict[str, int], code: bytearray) -> None:
    base = o.places[table.info]
    for at in range(table.offset, table.offset + table.size, _RELOCATION.size):
        place, info, addend = _RELOCATION.unpack_from(o.data, at)
        kind, (name, symbol, _) = info & 0xFFFFFFFF, o.symbols[info >> 32]
        if symbol is None:
            symbol = entries.get(name)
        if symbol is None or kind not in _X86_RELATIVE:
            raise RuntimeError(
                f"a kernel refers to {name or 'a symbol'} by relocation {kind}, outside its image"
            )
        struct.pack_into("<i", code, base + place, symbol + addend - (base + place))
