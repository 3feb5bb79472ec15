"""Holding every library to an instruction set, so that one machine can stand in for a lesser one.

    native    all that the processor has
    avx512    no AMX, no bf16 instructions
    avx2      256-bit vectors with FMA

convforge hides features from its planner. oneDNN (in PyTorch and OpenVINO) and ATen read environment
variables. ONNX Runtime has no such switch.
"""

from __future__ import annotations

from collections.abc import Iterable

# What is hidden, by the beginning of LLVM's names.
_HIDDEN = {
    "native": (),
    "avx512": ("amx", "avx512bf16", "avx512fp16", "avx10"),
    "avx2": ("amx", "avx512", "avx10"),
}
_NEEDS = {"native": None, "avx512": "avx512f", "avx2": "avx2"}
# MKL serves some of PyTorch's matrix products; it reads its own variable, on Intel's processors only.
_ENVIRONMENT = {
    "native": {},
    "avx512": {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "ATEN_CPU_CAPABILITY": "avx512",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    },
    "avx2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
}
ISAS = tuple(_HIDDEN)


def hidden(isa: str, features: Iterable[str]) -> list[str]:
    """Those of a processor's features that `isa` goes without."""
    return sorted(name for name in features if name.startswith(_HIDDEN[isa]))


def environment(isa: str) -> dict[str, str]:
    """Variables that hold oneDNN, ATen and MKL; to be set before they are loaded."""
    return _ENVIRONMENT[isa]


def why_impossible(isa: str, features: Iterable[str]) -> str | None:
    """Why a processor cannot be measured at `isa`, or None."""
    needed = _NEEDS[isa]
    if needed is None or needed in set(features):
        return None
    return f"--isa {isa}: this processor has no {needed}; use native"


def why_not_held(library: str, isa: str, features: Iterable[str]) -> str | None:
    """Why a library would use more than `isa` on a processor with these features, or None."""
    if isa != "avx2" or not hidden(isa, features):
        return None
    # In float32 ONNX Runtime and OpenVINO use neither AMX nor bf16 instructions, so avx512 holds for both.
    if library == "onnxruntime":
        return "no switch keeps it from AVX-512"
    if library == "openvino":
        return "held to AVX2 by ONEDNN_MAX_CPU_ISA, it fails to compile depthwise layers (2026.4)"
    return None
