"""What each library is held to, for processors that the tests need not run on."""

from __future__ import annotations

import pytest
from benchmarks.bandwidth import emit_triad

from benchmarks import isa

AMX = {"avx2", "fma", "avx512f", "avx512bw", "avx512bf16", "amx-tile", "amx-bf16"}
AVX2 = {"avx2", "fma"}


def test_what_is_hidden():
    assert isa.hidden("native", AMX) == []
    assert isa.hidden("avx512", AMX) == ["amx-bf16", "amx-tile", "avx512bf16"]
    assert set(AMX) - set(isa.hidden("avx2", AMX)) == AVX2


def test_what_a_processor_lacks_cannot_be_measured():
    assert isa.why_impossible("native", ()) is None
    assert isa.why_impossible("avx2", AVX2) is None
    assert isa.why_impossible("avx512", AVX2) == "--isa avx512: this processor has no avx512f; use native"


def test_a_library_is_left_out_only_where_it_would_use_more():
    for name in isa.ISAS:
        assert isa.why_not_held("torch", name, AMX) is None
    for library in ("onnxruntime", "openvino"):
        assert isa.why_not_held(library, "avx512", AMX) is None
        assert isa.why_not_held(library, "avx2", AVX2) is None
        assert "AVX" in isa.why_not_held(library, "avx2", AMX)


def test_onednn_is_held_by_its_variable():
    assert isa.environment("native") == {}
    assert isa.environment("avx2")["ONEDNN_MAX_CPU_ISA"] == "AVX2"


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_the_triad_is_valid(lanes):
    from llvmlite import binding

    binding.initialize_native_target()
    text = emit_triad("triad", lanes)
    binding.parse_assembly(text).verify()
    assert text.count("store") == 4
