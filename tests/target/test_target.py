"""The processor as data, and masks of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from convforge.errors import ConvValueError
from convforge.target import Target, detect, mask_features

FULL = Target(
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
            "avx512f",
            "avx512bw",
            "avx512dq",
            "avx512vl",
            "amx-tile",
            "amx-bf16",
        ]
    ),
)


def test_a_mask_takes_along_what_builds_on_it() -> None:
    assert FULL.vector_bytes == 64
    assert FULL.vector_registers == 32
    narrow = FULL.without("avx512f")
    assert narrow.vector_bytes == 32
    assert not any(f.startswith("avx512") for f in narrow.features)
    assert "amx-bf16" not in FULL.without("amx-tile").features
    plain = FULL.without("avx")
    assert (plain.vector_bytes, plain.fused, plain.has_half) == (16, False, False)


def test_features_are_passed_on_by_presence_and_absence() -> None:
    assert "+avx2" in FULL.feature_string
    assert "-avx2" in FULL.without("avx2").feature_string


def test_a_process_is_held_to_a_mask_and_let_go() -> None:
    host = Target.host()
    try:
        left = mask_features("amx-tile", "avx512f")
        assert left == Target.host() == host.without("amx-tile", "avx512f")
        assert mask_features("fma").features == host.without("fma").features, "a mask replaces the one before"
    finally:
        mask_features()
    assert Target.host() == host


def test_an_unknown_feature_is_refused_and_nothing_is_masked() -> None:
    host = Target.host()
    with pytest.raises(ConvValueError, match=r"feature \(='avx1024'\) is not known: use one of .*avx512f"):
        mask_features("avx2", "avx1024")
    assert Target.host() == host


def test_the_host_is_found() -> None:
    host = Target.host()
    assert host.triple.split("-")[0] in ("x86_64", "aarch64")
    assert host.l1_bytes >= 8 << 10
    assert host.l2_bytes > host.l1_bytes
    assert host.l3_bytes >= host.l2_bytes
    assert host.l3_sharers >= 1
    if host.is_x86:
        from llvmlite import binding

        known = binding.get_host_cpu_features()
        assert host.features <= {name for name, present in known.items() if present}


def test_caches_are_read_from_linux_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cache(number: int, level: int, kind: str, size: str, shared: str) -> None:
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        files = {"level": str(level), "type": kind, "size": size, "shared_cpu_list": shared}
        for name, text in files.items():
            (folder / name).write_text(f"{text}\n")

    monkeypatch.setattr(detect, "_CACHES", tmp_path)
    assert detect.caches() == {}
    cache(0, 1, "Data", "48K", "0,8")
    cache(1, 1, "Instruction", "32K", "0,8")
    cache(2, 2, "Unified", "2048K", "0,8")
    cache(3, 3, "Unified", "30720K", "0-3,8-11")
    assert detect.caches() == {1: (48 << 10, 2), 2: (2 << 20, 2), 3: (30 << 20, 8)}


def test_a_threads_share_of_the_last_level_cache() -> None:
    target = Target("x86_64-unknown-linux-gnu", frozenset(), l3_bytes=8 << 20, l3_sharers=4)
    assert [target.l3_share(threads) >> 10 for threads in (1, 2, 4, 16)] == [8192, 4096, 2048, 2048]
