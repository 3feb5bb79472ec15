"""The emulated tile unit against sums in NumPy, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from convforge.kernels.tile_unit.contract import tile_shapes_bytes
from convforge.target import Target
from support import tile_unit
from support.machine_code import Code

ROOT = Path(__file__).parent.parent
RNG = np.random.default_rng(3)
# VEX prefixes by the operand that vvvv names.
NONE, P66, PF3, PF2 = range(4)


def vex(pp: int, opcode: int, modrm: int, *rest: int, vvvv: int = 0, rxb: int = 0) -> bytes:
    return bytes([0xC4, (7 ^ rxb) << 5 | 2, (15 ^ vvvv) << 3 | pp, opcode, modrm, *rest])


def on_register(pp: int, opcode: int, reg: int, rm: int, vvvv: int = 0) -> bytes:
    return vex(pp, opcode, 0xC0 | reg << 3 | rm, vvvv=vvvv)


# With the arguments of a call in RDI, RSI, RDX, RCX: shapes, a, b, c. Stride 64 in RAX.
STRIDE = b"\xb8\x40\x00\x00\x00"  # mov eax, 64
CONFIGURE = vex(NONE, 0x49, 0x07)  # ldtilecfg [rdi]
RELEASE = vex(NONE, 0x49, 0xC0)
RETURN = b"\xc3"


def load(tile: int, base: int, pp: int = PF2) -> bytes:
    return vex(pp, 0x4B, tile << 3 | 4, base)  # SIB: base + rax


A, B, C = 0x06, 0x02, 0x01  # rsi, rdx, rcx, with index rax


@pytest.fixture(autouse=True)
def emulator() -> Iterator[Any]:
    reason = tile_unit.why_none()
    if reason is not None:
        pytest.skip(reason)
    library = tile_unit.library()
    assert library.tile_unit_install() == 0
    yield library
    library.tile_unit_remove()


def run(code: bytes, shapes: list[tuple[int, int]], a: Any, b: Any, c: Any) -> None:
    Code(code)(tile_shapes_bytes(shapes), a, b, c)


def product(instruction: bytes) -> bytes:
    body = [
        CONFIGURE,
        STRIDE,
        load(0, C),
        load(1, A),
        load(2, B),
        instruction,
        load(0, C, PF3),
        RELEASE,
        RETURN,
    ]
    return b"".join(body)


@pytest.mark.parametrize(("rows", "pairs", "columns"), [(16, 16, 16), (1, 1, 1), (3, 7, 5), (16, 8, 16)])
def test_products_of_bf16_are_summed_in_fp32(rows: int, pairs: int, columns: int) -> None:
    a = RNG.standard_normal((16, 32)).astype(ml_dtypes.bfloat16)
    b = RNG.standard_normal((16, 32)).astype(ml_dtypes.bfloat16)
    c = RNG.standard_normal((16, 16)).astype(np.float32)
    before = c.copy()
    shapes = [(rows, 4 * columns), (rows, 4 * pairs), (pairs, 4 * columns)]
    run(product(on_register(PF3, 0x5C, 0, 1, 2)), shapes, a, b, c)
    wide = b.astype(np.float64).reshape(16, 16, 2).transpose(0, 2, 1).reshape(32, 16)
    expected = before + a[:, : 2 * pairs].astype(np.float64) @ wide[: 2 * pairs]
    np.testing.assert_allclose(c[:rows, :columns], expected[:rows, :columns], rtol=1e-5, atol=1e-5)
    c[:rows, :columns] = before[:rows, :columns]
    np.testing.assert_array_equal(c, before, "nothing is stored beyond a tile's shape")


def test_denormal_numbers_count_as_zero() -> None:
    a = np.full((16, 32), 1e-40).astype(ml_dtypes.bfloat16)
    b, c = np.ones((16, 32), ml_dtypes.bfloat16), np.full((16, 16), 1e-41, np.float32)
    run(product(on_register(PF3, 0x5C, 0, 1, 2)), [(16, 64)] * 3, a, b, c)
    np.testing.assert_array_equal(c, 0)


@pytest.mark.parametrize(
    ("pp", "kinds"), [(PF2, "bb"), (PF3, "bB"), (P66, "Bb"), (NONE, "BB")], ids=["ss", "su", "us", "uu"]
)
def test_products_of_bytes_are_summed_in_32_bits(pp: int, kinds: str) -> None:
    a, b = (RNG.integers(0, 256, (16, 64)).astype(np.uint8) for _ in range(2))
    c = RNG.integers(-(2**31), 2**31, (16, 16)).astype(np.int32)
    x, y = (array.view(kind).astype(np.int64) for array, kind in zip((a, b), kinds, strict=True))
    expected = c + x @ y.reshape(16, 16, 4).transpose(0, 2, 1).reshape(64, 16)
    run(product(on_register(pp, 0x5E, 0, 1, 2)), [(16, 64)] * 3, a, b, c)
    np.testing.assert_array_equal(c, expected.astype(np.int32))


def test_every_form_of_an_address() -> None:
    """Base and index of the upper eight registers, scales, short and long displacements, no index."""
    a = np.arange(1024, dtype=np.uint8).reshape(16, 64)
    shapes, moves = (
        tile_shapes_bytes([(2, 64)]),
        b"\x49\x89\xf4\x41\xbd\x40\x00\x00\x00",
    )  # r12 = rsi, r13d = 64
    moves += b"\x49\x89\xf6"  # r14 = rsi
    saved, restored = b"\x41\x54\x41\x55\x41\x56", b"\x41\x5e\x41\x5d\x41\x5c"
    store = vex(PF3, 0x4B, 0x04, 0x01)  # [rcx + rax]
    forms = {
        "r12 + r13": (vex(PF2, 0x4B, 0x04, 0x2C, rxb=3), 0, 64),
        "r14 + 2 * r13 + 64": (vex(PF2, 0x4B, 0x44, 0x6E, 64, rxb=3), 64, 128),
        "rsi - 64 + rax": (vex(PF2, 0x4B, 0x44, 0x06, 0xC0), -64, 64),
        "rsi + 256 + rax": (vex(PF2, 0x4B, 0x84, 0x06, 0, 1, 0, 0), 256, 64),
        "rsi, no index": (vex(PF2, 0x4B, 0x04, 0x26), 0, 0),
    }
    for name, (instruction, first, stride) in forms.items():
        found = np.zeros((2, 64), np.uint8)
        body = [saved, moves, CONFIGURE, STRIDE, instruction, store, RELEASE, restored, RETURN]
        Code(b"".join(body))(shapes, a[4:], a, found)
        start = 256 + first
        expected = [a.ravel()[start + r * stride :][:64] for r in range(2)]
        np.testing.assert_array_equal(found, expected, name)


def test_shapes_are_kept_and_given_back() -> None:
    shapes = tile_shapes_bytes([(16, 64), (3, 12), (0, 0), (7, 4)])
    found = np.full(64, 255, np.uint8)
    Code(CONFIGURE + vex(P66, 0x49, 0x01) + RELEASE + RETURN)(shapes, found, found, found)  # sttilecfg [rcx]
    np.testing.assert_array_equal(found, shapes)
    Code(vex(P66, 0x49, 0x01) + RETURN)(shapes, found, found, found)
    np.testing.assert_array_equal(found, 0)


def test_tiles_are_zeroed() -> None:
    c = np.ones((16, 16), np.float32)
    body = [CONFIGURE, STRIDE, load(0, C), vex(PF2, 0x49, 0xC0), load(0, C, PF3), RELEASE, RETURN]
    run(b"".join(body), [(16, 64)], c, c, c)
    np.testing.assert_array_equal(c, 0)


@pytest.mark.skipif(tile_unit.is_real(), reason="the emulator counts what a real unit does not leave to it")
def test_threads_with_tiles_are_counted(emulator: Any) -> None:
    c = np.ones((16, 16), np.float32)
    run(CONFIGURE + RETURN, [(16, 64)], c, c, c)
    assert emulator.tile_unit_configured() == 1
    Code(RELEASE + RETURN)(c, c, c, c)
    assert emulator.tile_unit_configured() == 0


REFUSED = {
    "tiles are not configured": ([], load(0, C)),
    "a tile without a shape": ([(16, 64)], load(3, C)),
    "shapes that do not fit": ([(16, 64), (16, 32), (16, 64)], on_register(PF3, 0x5C, 0, 1, 2)),
    "not three different ones": ([(16, 64)] * 3, on_register(PF3, 0x5C, 0, 1, 1)),
    "larger than 16 rows of 64 bytes": ([(17, 64)], b""),
    "rows but no bytes": ([(16, 0)], b""),
    "none of the tile unit's": ([(16, 64)], b"\x0f\x0b"),
}


@pytest.mark.skipif(tile_unit.is_real(), reason="a real unit refuses by itself, by other words")
@pytest.mark.parametrize("message", REFUSED)
def test_what_a_unit_would_refuse_ends_the_process_with_a_message(message: str) -> None:
    shapes, instruction = REFUSED[message]
    configure = CONFIGURE if shapes else b""
    done = in_a_process(configure + STRIDE + instruction + RELEASE + RETURN, shapes)
    assert done.returncode == -6
    assert message in done.stderr


@pytest.mark.skipif(tile_unit.is_real(), reason="the emulator's way to fault")
def test_memory_that_is_not_there_faults() -> None:
    done = in_a_process(CONFIGURE + b"\x31\xf6" + STRIDE + load(0, A) + RETURN, [(16, 64)])  # rsi = 0
    assert done.returncode == -11


def in_a_process(code: bytes, shapes: list[tuple[int, int]]) -> subprocess.CompletedProcess[str]:
    program = f"""
import numpy as np
from convforge.kernels.tile_unit.contract import tile_shapes_bytes
from support import tile_unit
from support.machine_code import Code
tile_unit.library().tile_unit_install()
array = np.zeros(1024, np.uint8)
Code({code!r})(tile_shapes_bytes({shapes!r}), array, array, array)
"""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_linux_names_the_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from convforge.target import detect
    from convforge.target.target import X86_FEATURES

    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nflags : fpu avx2 amx_bf16 avx512_fp16 amx_tile amx_int8\n")
    monkeypatch.setattr(detect, "_CPUINFO", file)
    if sys.platform == "linux" and Target.host().is_x86:
        found = detect.features(frozenset(X86_FEATURES))
        assert found == {"avx2", "amx-bf16", "amx-tile", "amx-int8"}
