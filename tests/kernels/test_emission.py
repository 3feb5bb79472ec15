"""What emitted code must look like: no spills in inner loops, valid on processors that are not here."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import pytest

from convforge.ir.element import ELEMENTS
from convforge.kernels.contract import ACTIVATIONS, FingerprintKernel
from convforge.kernels.depthwise.contract import (
    DepthwiseKernel,
    DepthwiseLargeKernel,
    DepthwiseMapKernel,
    DepthwisePhasesKernel,
    DepthwiseRowsKernel,
    RowCopy,
)
from convforge.kernels.direct.contract import ChannelsKernel, GatherKernel
from convforge.kernels.dot.contract import DotTilesKernel, QuantizedOutput
from convforge.kernels.fft.contract import SpectrumKernel
from convforge.kernels.grad_weight.contract import (
    GradWeightDepthwiseKernel,
    GradWeightGroupsKernel,
    GradWeightKernel,
    GradWeightOuterKernel,
    GradWeightPointwiseKernel,
    GradWeightWinogradKernel,
)
from convforge.kernels.pack.contract import WeightPacker
from convforge.kernels.split_bf16.contract import SplitKernel, SplitWeightPacker
from convforge.kernels.tile_unit.contract import TileCheckKernel, TileKernel
from convforge.kernels.winograd.contract import WinogradChannelsKernel, WinogradKernel
from convforge.plan.tile_unit.cost import BYTE_WORK, TileWork, bf16_work, loads
from convforge.plan.tiles import gather_tile
from convforge.problem import normalize_conv
from convforge.problem.gather import gather_of
from convforge.runtime.compiler import assembly, compile_object
from convforge.runtime.image import link
from convforge.schedule import Layout, layout_of, why_tile_illegal
from convforge.schedule.tile_unit import tile_shapes
from convforge.schedule.winograd import Tiling
from convforge.target import Target

X86 = Target(
    "x86_64-unknown-linux-gnu",
    frozenset(
        [
            "sse3",
            "ssse3",
            "sse4.1",
            "sse4.2",
            "popcnt",
            "avx",
            "avx2",
            "fma",
            "f16c",
            "bmi",
            "bmi2",
            "avx512f",
            "avx512bw",
            "avx512dq",
            "avx512vl",
            "avx512cd",
        ]
    ),
)
TARGETS = {
    "avx512": X86,
    "avx2": X86.without("avx512f"),
    "sse2": X86.without("avx", "sse4.2", "sse3"),
    "aarch64": Target("aarch64-unknown-linux-gnu", frozenset({"neon"})),
    "macos": Target("aarch64-apple-darwin", frozenset({"neon"})),
    "windows": Target("x86_64-pc-windows-msvc", X86.features),
}


def gather(
    target: Target, dtype: str = "float32", mr: int = 4, nv: int = 2, **choices: object
) -> GatherKernel:
    element = ELEMENTS[dtype]
    values = {
        "element": element,
        "lanes": target.vector_bytes // element.compute_bytes,
        "mr": mr,
        "nv": nv,
        "fused": target.fused,
        "columns": "unit",
        "way_out": "unit",
        "has_bias": True,
        "activation": "none",
    }
    return GatherKernel(**{**values, **choices})  # type: ignore[arg-type]


def signal_layout(out_channels: int, length: int) -> Layout:
    """64 channels, kernel 9: 576 steps."""
    spec, _ = normalize_conv((1, 64, length), (out_channels, 64, 9), None, padding=4, rank=1, dtype="float32")
    return layout_of(gather_of(spec))


def depthwise(
    target: Target, dtype: str, rows: int, side: int = 3, vectors: int = 1, copy: RowCopy | None = None
) -> DepthwiseKernel:
    element = ELEMENTS[dtype]
    taps = tuple((0, i, j) for i in range(side) for j in range(side))
    lanes = target.vector_bytes // element.compute_bytes
    activation = "relu" if element.is_float else "none"
    held = max(0, target.vector_registers - 3 - (rows + 1) * vectors)
    return DepthwiseKernel(
        element, lanes, rows, vectors, False, "early", held, target.fused, taps, taps, 1, 64, 4096, "unit",
        copy, True, activation,
    )  # fmt: skip


def phases(target: Target, dtype: str) -> DepthwisePhasesKernel:
    """3x3 of stride 2."""
    element = ELEMENTS[dtype]
    lists = tuple(tuple((0, i, j) for i in range(a) for j in range(b)) for a in (1, 2) for b in (1, 2))
    return DepthwisePhasesKernel(
        element=element,
        lanes=target.vector_bytes // element.compute_bytes,
        rows=2,
        vectors=2,
        held=4,
        fused=target.fused,
        phases=lists,
        counts=(1, 2, 2),
        slice_rows=0,
        pitch=64,
        plane=4096,
        columns="unit",
        copy=RowCopy(1, target.vector_bytes // element.compute_bytes, 3),
        has_bias=True,
        activation="relu" if element.is_float else "none",
    )


def winograd(
    target: Target,
    dtype: str,
    outputs: tuple[int, int, int],
    mr: int = 4,
    nv: int = 2,
    *,
    spaced: bool = False,
) -> WinogradKernel:
    element = ELEMENTS[dtype]
    lanes = target.vector_bytes // element.compute_bytes
    tiling = Tiling(outputs, (1, 3, 3))
    return WinogradKernel(
        element, lanes, mr, nv, target.fused, tiling, "unit", False, spaced, "unit", True, "none"
    )


def grad_weights(
    target: Target, dtype: str = "float32", rows: int = 4, nv: int = 2
) -> list[
    GradWeightOuterKernel | GradWeightPointwiseKernel | GradWeightGroupsKernel | GradWeightWinogradKernel
]:
    """One of each family that packs channels side by side, its tile rows x nv."""
    element = ELEMENTS[dtype]
    lanes = target.vector_bytes // element.compute_bytes
    picks = tuple((0, channel, channel) for channel in range(rows))
    ways = 1 << (rows - 1).bit_length()
    taps = tuple((i * lanes, i) for i in range(rows * nv))
    return [
        GradWeightOuterKernel(element, lanes, min(ways, lanes), picks, nv, target.fused, "pair", "channels"),
        GradWeightPointwiseKernel(element, lanes, rows, nv, target.fused, False, "unit"),
        GradWeightPointwiseKernel(element, lanes, rows, nv, target.fused, True, "strided"),
        *(
            GradWeightGroupsKernel(
                element=element,
                lanes=lanes,
                channels=1,
                outs=1,
                taps=taps,
                panel=4096,
                g_panel=4096,
                in_row=16 * lanes,
                tile=(1, len(taps)),
                fused=target.fused,
                x_side="unit",
                g_side="unit",
                scatters=scatters,
            )
            for scatters in (False, True)
        ),
        *([winograd_grad_weight(target, dtype, rows, nv)] if element.is_float else []),
    ]


def depthwise_grad_weight(target: Target, dtype: str = "float32", rest: int = 3) -> GradWeightDepthwiseKernel:
    """The kernel of 3x3."""
    element = ELEMENTS[dtype]
    lanes = target.vector_bytes // element.compute_bytes
    return GradWeightDepthwiseKernel(
        element=element,
        lanes=lanes,
        fused=target.fused,
        distances=tuple(64 * i + j for i in range(3) for j in range(3)),
        order=tuple((0, i, j) for i in range(3) for j in range(3)),
        positions=tuple(range(9)),
        passes=(tuple(range(9)),),
        rows=4,
        last=3,
        rest=rest,
        row_step=1,
        pitch=64,
        plane=4096,
        columns="unit",
        copy=RowCopy(1, lanes, 3),
    )


def winograd_grad_weight(
    target: Target, dtype: str = "float32", rows: int = 4, nv: int = 2, side: int = 2
) -> GradWeightWinogradKernel:
    """The kernel of F(3x3, side x side)."""
    element = ELEMENTS[dtype]
    return GradWeightWinogradKernel(
        element=element,
        lanes=target.vector_bytes // element.compute_bytes,
        rows=rows,
        nv=nv,
        fused=target.fused,
        tiling=Tiling((1, 3, 3), (1, side, side)),
        spacing=(1, 1, 1),
        point=4104,
        x_side="unit",
        g_side="pair",
        scatters=(True, False),
    )


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int8", "int64"])
def test_kernels_compile_for_every_processor(name: str, dtype: str) -> None:
    target = TARGETS[name]
    element = ELEMENTS[dtype]
    lanes = target.vector_bytes // element.compute_bytes
    kernels = [
        gather(target, dtype),
        gather(target, dtype, columns=None, way_out="flat") if element.storage == element.compute else None,
        gather(target, dtype, columns="pair", way_out="pair"),
        depthwise(target, dtype, 4),
        depthwise(target, dtype, 2, vectors=2, copy=RowCopy(2, lanes, 3)),
        phases(target, dtype),
        ChannelsKernel(element, lanes, 4, 2, target.fused, "unit", True, "none"),
        ChannelsKernel(element, lanes, 4, 2, target.fused, None, True, "none"),
        GradWeightKernel(element, lanes, 2, 3, target.fused, "strided", True),
        *grad_weights(target, dtype),
        depthwise_grad_weight(target, dtype),
        depthwise_grad_weight(target, dtype, rest=lanes // 2),
        WeightPacker(element, 4),
        WeightPacker(element, 2 * lanes, lanes, "taps"),
        WeightPacker(element, 2 * lanes, lanes, "outs"),
        FingerprintKernel(target.vector_bytes // 4),
        SpectrumKernel(element, lanes, 2, 2, target.fused) if element.storage == element.compute else None,
        winograd(target, dtype, (1, 2, 2)) if element.is_float else None,
        winograd(target, dtype, (1, 4, 4), spaced=True) if element.is_float else None,
    ]
    if element.is_float:
        tilings = Tiling((1, 2, 2), (1, 3, 3)), Tiling((2, 2, 2), (3, 3, 3))
        kernels += [winograd_channels(target, dtype, t, rows) for rows, t in enumerate(tilings, start=3)]
    for kernel in kernels:
        if kernel is not None:
            assert compile_object(kernel.emit(target.triple), target)


def with_tiles(name: str) -> Target:
    return replace(TARGETS[name], features=TARGETS[name].features | {"amx-tile", "amx-bf16", "amx-int8"})


@pytest.mark.parametrize("name", ["avx512", "avx2", "sse2"])
@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("shape", tile_shapes())
def test_steps_of_tiles_are_as_written(name: str, parts: int, shape: tuple[int, int]) -> None:
    """Every tile keeps its number from load to store, and no vector is touched between products.

    Addresses may be read from the stack: three loads where a step takes hundreds of cycles.
    """
    target, (rows, columns) = with_tiles(name), shape
    kernel = SplitKernel(
        ELEMENTS["float32"], target.vector_bytes // 4, parts, rows, columns, "unit", "unit", True, "relu"
    )
    check_steps_of_tiles(kernel, target, "tdpbf16ps", bf16_work(parts))


@pytest.mark.parametrize("name", ["avx512", "avx2", "sse2"])
@pytest.mark.parametrize("output", ["uint8", "float32"])
@pytest.mark.parametrize("shape", tile_shapes())
def test_steps_of_bytes_are_as_written(name: str, output: QuantizedOutput, shape: tuple[int, int]) -> None:
    target = with_tiles(name)
    kernel = DotTilesKernel(True, output, target.vector_bytes // 4, *shape, "unit", "unit")
    check_steps_of_tiles(kernel, target, "tdpbusd", BYTE_WORK)


def check_steps_of_tiles(kernel: TileKernel, target: Target, product: str, work: TileWork) -> None:
    rows, columns = kernel.rows, kernel.columns
    text = assembly(kernel.emit(target.triple), target)
    loop = _innermost(text, product)
    assert loop.count(product) == len(work.products) * rows * columns
    assert loop.count("tileloadd") == sum(loads(work, rows, columns))
    assert text.count("tilestored") == text.count("tilezero") == rows * columns
    assert (text.count("ldtilecfg"), text.count("tilerelease")) == (1, 1)
    assert not re.search(r"[xyz]mm\d", loop.replace("tmm", "")), f"vectors between products:\n{loop}"
    assert not re.search(r"tile(load|store)d.*%rsp", text), "a tile was spilled"


@pytest.mark.parametrize("name", ["avx512", "avx2", "sse2"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_kernels_on_tiles_refer_to_nothing_outside(name: str, dtype: str) -> None:
    target, element = with_tiles(name), ELEMENTS[dtype]
    lanes = target.vector_bytes // 4
    parts = 3 if dtype == "float32" else 1
    for kernel in (
        SplitKernel(element, lanes, parts, 2, 2, "pair", "pair", True, "relu"),
        SplitKernel(element, lanes, parts, 2, 2, "strided", "flat", False, "none"),
        SplitKernel(element, lanes, parts, 2, 2, None, "flat", True, "relu", way_in="in place", woven=2),
        SplitKernel(element, lanes, parts, 1, 3, None, "unit", False, "none", way_in="gathered"),
        SplitWeightPacker(element, lanes, parts, 2, upright=False),
        SplitWeightPacker(element, lanes, parts, 2, upright=True),
        SplitWeightPacker(element, lanes, parts, 2, upright=True, turned=True),
        DotTilesKernel(True, "int8", lanes, 2, 2, "pair", "pair"),
        DotTilesKernel(False, "float32", lanes, 2, 2, "strided", "strided"),
        TileCheckKernel("bf16"),
        TileCheckKernel("bytes"),
    ):
        assert link([compile_object(kernel.emit(target.triple), target)]).entries.keys() == {"task"}


@pytest.mark.parametrize("name", ["avx512", "avx2", "sse2"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int8"])
def test_images_refer_to_nothing_outside(name: str, dtype: str) -> None:
    target = TARGETS[name]
    for columns in ("unit", "pair", "strided"):
        image = link([compile_object(gather(target, dtype, columns=columns).emit(target.triple), target)])
        assert image.entries.keys() == {"task"}


@pytest.mark.parametrize("name", ["avx512", "avx2"])
def test_inner_loops_do_not_spill(name: str) -> None:
    """Every tile that the heuristic can choose: no vector goes to the stack between its multiply-adds."""
    target = TARGETS[name]
    tiles = {
        gather_tile(signal_layout(channels, length), ELEMENTS["float32"], target)
        for channels in (1, 2, 3, 4, 8, 25, 64)
        for length in (49, 210, 784, 3191)
    }
    for (mr, nv, _), along_rows in product(sorted(tiles), (False, True)):
        text = assembly(gather(target, mr=mr, nv=nv, along_rows=along_rows).emit(target.triple), target)
        loop = _innermost(text)
        assert len(re.findall("vfmadd", loop)) == mr * nv
        assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), (
            f"tile {mr}x{nv} touches the stack:\n{loop}"
        )


@pytest.mark.parametrize(("mr", "nv"), [(12, 2), (8, 3), (6, 4), (3, 7), (1, 12)])
def test_the_next_tiles_lines_are_fetched_beside_the_products(mr: int, nv: int) -> None:
    kernel = gather(X86, mr=mr, nv=nv, columns=None, way_out="flat", fetches=True)
    loop = _innermost(assembly(kernel.emit(X86.triple), X86))
    assert len(re.findall("prefetcht0", loop)) == nv
    assert len(re.findall("vfmadd", loop)) == mr * nv
    assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), f"the loop touches the stack:\n{loop}"


@pytest.mark.parametrize(("mr", "nv"), [(13, 2), (26, 1), (6, 4), (8, 3), (4, 5)])
def test_products_of_winograd_do_not_spill(mr: int, nv: int) -> None:
    loop = _innermost(assembly(winograd(X86, "float32", (1, 2, 2), mr, nv).emit(X86.triple), X86))
    assert len(re.findall("vfmadd", loop)) == mr * nv
    assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), f"the loop touches the stack:\n{loop}"


@pytest.mark.parametrize(
    ("name", "mr", "nb"),
    [("avx512", 4, 3), ("avx512", 6, 2), ("avx512", 9, 1), ("avx2", 2, 3), ("avx2", 2, 2), ("avx2", 4, 1)],
)
def test_products_of_spectra_do_not_spill(name: str, mr: int, nb: int) -> None:
    target = TARGETS[name]
    kernel = SpectrumKernel(ELEMENTS["float32"], target.vector_bytes // 4, mr, nb, True)
    loop = _innermost(assembly(kernel.emit(target.triple), target))
    assert len(re.findall("vfmadd", loop)) == 2 * mr * nb
    assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), f"the loop touches the stack:\n{loop}"


@pytest.mark.parametrize(("pixels", "nv"), [(8, 2), (9, 2), (4, 4), (6, 4), (5, 4), (8, 3)])
def test_small_map_tiles_do_not_spill(pixels: int, nv: int) -> None:
    kernel = ChannelsKernel(ELEMENTS["float32"], 16, pixels, nv, True, "unit", True, "relu")
    kernels = [kernel, replace(kernel, columns=None, copied=True)]
    if (pixels, nv) != (8, 3):  # plan/direct/channels_tiles.py takes no such tile where weights are fetched
        kernels += [replace(each, fetches=True) for each in kernels]
    for each in kernels:
        loop = _innermost(assembly(each.emit(X86.triple), X86))
        assert ("prefetch" in loop) == each.fetches
        assert len(re.findall("vfmadd", loop)) == pixels * nv
        assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), f"the loop spills:\n{loop}"


@pytest.mark.parametrize(("rows", "side"), [(8, 3), (7, 3), (3, 5)])
def test_depthwise_tiles_do_not_spill(rows: int, side: int) -> None:
    loop = _innermost(assembly(depthwise(X86, "float32", rows, side).emit(X86.triple), X86))
    assert len(re.findall("vfmadd", loop)) == rows * side * side
    assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), f"the loop touches the stack:\n{loop}"


@pytest.mark.parametrize(("rows", "vectors", "side"), [(4, 2, 3), (4, 2, 5), (2, 4, 3), (2, 4, 7), (2, 3, 5)])
def test_tiles_of_several_vectors_do_not_spill(rows: int, vectors: int, side: int) -> None:
    """16 registers: but for the weights that are held, which stay where they are."""
    target = TARGETS["avx2"]
    kernel = depthwise(target, "float32", rows, side, vectors)
    loop = _innermost(assembly(kernel.emit(target.triple), target))
    assert len(re.findall("vfmadd", loop)) == rows * vectors * side * side
    assert len(re.findall("vbroadcastss", loop)) <= rows * side * side
    stored = re.findall(r"vmovup?a?s\s+%[xyz]mm\d+, -?\d*\(%rsp\)", loop)
    # Of 392 multiply-adds two wait for a vector of the input, stored once.
    assert len(stored) <= (2 if side == 7 else 0), f"the loop spills:\n{loop}"


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copied_rows_are_loaded_once_and_never_shuffled_across_halves(step: int, dtype: str) -> None:
    target = TARGETS["avx2"]
    lanes = target.vector_bytes // ELEMENTS[dtype].compute_bytes
    kernel = depthwise(target, dtype, 4, vectors=2, copy=RowCopy(step, lanes, 3))
    text = assembly(kernel.emit(target.triple), target)
    assert not re.search(r"vperm(2f128|ps|pd|d|q)", text)
    copied = next(block for block in _blocks(text) if "vfmadd" not in block and block.count("vmovup") > 5)
    reads = len(re.findall(r"v(movup|insertf128).*\), ", copied))
    writes = len(re.findall(r"vmovup.*mm\d+, .*\(", copied))
    assert (reads, writes) == ((3, 3) if step == 1 else (12, 6))


def _blocks(text: str) -> list[str]:
    return re.split(r"^\.L\w+:", text, flags=re.MULTILINE)


@pytest.mark.parametrize(("rows", "side", "step"), [(8, 3, 1), (7, 5, 1), (8, 7, 1), (4, 5, 2)])
def test_depthwise_rows_do_not_spill(rows: int, side: int, step: int) -> None:
    """Weights beyond the registers are operands in memory."""
    taps = tuple((0, i, j) for i in range(side) for j in range(side))
    kernel = DepthwiseRowsKernel(
        ELEMENTS["float32"], 16, rows, 1, 26 - rows, True, taps, step, step, True, True, "relu"
    )
    loop = _innermost(assembly(kernel.emit(X86.triple), X86))
    assert len(re.findall("vfmadd", loop)) == rows * side * side
    assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), f"the loop touches the stack:\n{loop}"


@pytest.mark.parametrize(("side", "step"), [(3, 1), (5, 2)])
def test_staged_rows_load_under_no_mask(side: int, step: int) -> None:
    taps = tuple((0, i, j - 1) for i in range(side) for j in range(side))
    staged, masked = (
        DepthwiseRowsKernel(
            ELEMENTS["float32"], 8, 4, 1, 9, True, taps, step, step, True, True, "none", staged=staged
        )
        for staged in (True, False)
    )
    target = TARGETS["avx2"]
    assert not _masked_loads(assembly(staged.emit(target.triple), target))
    assert _masked_loads(assembly(masked.emit(target.triple), target))


@pytest.mark.parametrize(("size", "side"), [(14, 3), (7, 5)])
def test_copied_maps_load_under_one_mask_at_most(size: int, side: int) -> None:
    """That of the last row, behind which another array may begin."""
    taps = tuple((i - side // 2, j - side // 2) for i in range(side) for j in range(side))
    kernel = DepthwiseMapKernel(
        ELEMENTS["float32"], 8, 7, 1, 5, True, taps, (1, 1), (size, size), (size, size), size, size, True,
        "none", "copied",
    )  # fmt: skip
    target = TARGETS["avx2"]
    assert len(_masked_loads(assembly(kernel.emit(target.triple), target))) == (size < 8)


def _masked_loads(text: str) -> list[str]:
    return re.findall(r"vmaskmovps\s+[-\w]*\([^)]*\), %[xy]mm\d+, %[xy]mm\d+", text)


@pytest.mark.parametrize(("size", "side"), [(7, 3), (14, 3), (14, 5)])
def test_depthwise_maps_do_not_spill_and_leave_out_padding(size: int, side: int) -> None:
    taps = tuple((i - side // 2, j - side // 2) for i in range(side) for j in range(side))
    kernel = DepthwiseMapKernel(
        ELEMENTS["float32"], 8 if size < 9 else 16, 7, 1, 22, True, taps, (1, 1), (size, size), (size, size),
        size, size, True, "none",
    )  # fmt: skip
    loop = _innermost(assembly(kernel.emit(X86.triple), X86))
    rows = sum(0 <= r + i < size for r in range(size) for i, j in taps if j == 0)
    assert len(re.findall("vfmadd", loop)) == rows * side
    assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), f"the loop touches the stack:\n{loop}"


def test_large_depthwise_tiles_do_not_spill() -> None:
    kernel = DepthwiseLargeKernel(
        ELEMENTS["float32"], 16, 8, 2, False, "early", True, (1, 31, 31), 96, 9600, "unit", None, True,
        "relu",
    )  # fmt: skip
    loop = _innermost(assembly(kernel.emit(X86.triple), X86))
    assert len(re.findall("vfmadd", loop)) == 16
    assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), f"the loop touches the stack:\n{loop}"


@pytest.mark.parametrize(("rows", "nv"), [(6, 4), (8, 3), (8, 2), (4, 4)])
def test_grad_weight_tiles_do_not_spill(rows: int, nv: int) -> None:
    for kernel in grad_weights(X86, "float32", rows, nv):
        text = assembly(kernel.emit(X86.triple), X86)
        loop = _innermost(text[text.index("products:") :] if "products:" in text else text)
        assert len(re.findall("vfmadd", loop)) == rows * nv
        assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), f"{kernel.name} spills:\n{loop}"


@pytest.mark.parametrize("name", ["avx2", "avx512"])
def test_depthwise_grad_weight_reads_each_vector_once(name: str) -> None:
    target = TARGETS[name]
    text = assembly(depthwise_grad_weight(target, rest=0).emit(target.triple), target)
    loops = [block for block in _blocks(text) if block.count("vfmadd") == 36]
    assert len(loops) == 1
    # 4 vectors of grad-output, 6 rows of 3 of the input.
    assert len(re.findall(r"\(%r\w+,%r\w+,4\)", loops[0])) == 4 + 18
    assert "rsp" not in loops[0]


def winograd_channels(
    target: Target, dtype: str, tiling: Tiling, rows: int = 4, nv: int = 2, stride: int = 1
) -> WinogradChannelsKernel:
    element = ELEMENTS[dtype]
    steps = (1, stride, stride)
    windows = tuple(step * taps for step, taps in zip(steps, tiling.taps))
    return WinogradChannelsKernel(
        element=element,
        lanes=target.vector_bytes // element.compute_bytes,
        rows=rows,
        nv=nv,
        fused=target.fused,
        tiling=tiling,
        spacing=(1, 1, 1 + rows // 5 if stride == 1 else 1),
        steps=steps,
        windows=(windows[0], windows[1], windows[2]),
        point=4104,
        side="unit",
        scatters=tiling.outputs[0] == 1,
        way="strided" if stride > 1 else "unit" if rows % 2 else "channels",
        has_bias=True,
        activation="hardswish",
    )


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize(("name", "rows", "nv"), [("avx2", 6, 2), ("avx2", 5, 2), ("avx512", 9, 3)])
def test_products_of_winograd_along_channels_do_not_spill(name: str, rows: int, nv: int, side: int) -> None:
    target, tiling = TARGETS[name], Tiling((1, side, side), (1, 3, 3))
    text = assembly(winograd_channels(target, "float32", tiling, rows, nv).emit(target.triple), target)
    loop = _innermost(text[text.index("products:") : text.index("outputs:")])
    assert len(re.findall("vfmadd", loop)) == rows * nv
    assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), f"the loop touches the stack:\n{loop}"


@pytest.mark.parametrize(("name", "rows", "nv"), [("avx2", 6, 2), ("avx512", 9, 3)])
def test_products_at_a_stride_do_not_spill(name: str, rows: int, nv: int) -> None:
    target, tiling = TARGETS[name], Tiling((1, 2, 2), (1, 2, 2))
    kernel = winograd_channels(target, "float32", tiling, rows, nv, stride=2)
    text = assembly(kernel.emit(target.triple), target)
    loop = _innermost(text[text.index("products:") : text.index("outputs:")])
    assert len(re.findall("vfmadd", loop)) == rows * nv
    assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), f"the loop touches the stack:\n{loop}"


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize(("rows", "nv"), [(6, 2), (3, 3)])
def test_grad_weight_products_of_winograd_do_not_spill(rows: int, nv: int, side: int) -> None:
    """With 16 registers too: in one function with the transforms all sums of F(3x3, 4x4) were spilled."""
    target = TARGETS["avx2"]
    text = assembly(winograd_grad_weight(target, "float32", rows, nv, side).emit(target.triple), target)
    products = text[text.index("products:") : text.index("weights:")]
    loop = _innermost(products)
    assert len(re.findall("vfmadd", loop)) == rows * nv
    assert not re.search(r"[xyz]mm\d+.*%rsp|%rsp.*[xyz]mm\d+", loop), f"the loop touches the stack:\n{loop}"


def test_a_tile_that_would_spill_is_refused_with_its_reason() -> None:
    assert why_tile_illegal(X86, 24, 5) is None
    reason = why_tile_illegal(X86, 28, 8)
    assert reason is not None
    assert "36 live vectors" in reason


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_compile(activation: str) -> None:
    assert compile_object(gather(X86, activation=activation).emit(X86.triple), X86)


def _innermost(text: str, instruction: str = "vfmadd") -> str:
    """The block that holds the most multiply-adds."""
    blocks = re.split(r"\n\.LBB\d+_\d+:", text)
    return max(blocks, key=lambda block: block.count(instruction))
