"""What processor kernels are forged for: its vector unit, caches and features, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from convforge.errors import ConvValueError
from convforge.target import detect

# Features that kernels and the compiler's instruction selection depend on, by LLVM's names. A feature that
# is not listed stays off, so that two machines with the same list share code.
X86_FEATURES = (
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
    "avx512vnni",
    "avx512bf16",
    "avx512vbmi2",
    "amx-tile",
    "amx-bf16",
    "amx-int8",
)
# What LLVM's models bring along and no kernel needs.
_NEVER_USED = ("lzcnt", "movbe")
# What each feature cannot do without: masking one off masks those that build on it.
_NEEDS = {
    "avx": ("sse4.2",),
    "avx2": ("avx",),
    "fma": ("avx",),
    "f16c": ("avx",),
    "avx512f": ("avx2", "fma", "f16c"),
    "avx512bw": ("avx512f",),
    "avx512dq": ("avx512f",),
    "avx512vl": ("avx512f",),
    "avx512cd": ("avx512f",),
    "avx512vnni": ("avx512f",),
    "avx512bf16": ("avx512bw",),
    "avx512vbmi2": ("avx512bw",),
    "amx-bf16": ("amx-tile",),
    "amx-int8": ("amx-tile",),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A processor. Sizes are bytes; `triple` is LLVM's.

    `vector_bytes` and `vector_registers` describe the widest vectors that kernels use; `fused` says
    whether a multiply-add is one rounding. `l3_bytes` are those of one last-level cache, which `l3_sharers`
    processors share.
    """

    triple: str
    features: frozenset[str]
    l1_bytes: int = 32 << 10
    l2_bytes: int = 1 << 20
    l3_bytes: int = 32 << 20
    l3_sharers: int = 8

    @property
    def is_x86(self) -> bool:
        """Whether this is 64-bit x86."""
        return self.triple.startswith("x86_64")

    @property
    def vector_bytes(self) -> int:
        """Bytes of one vector register."""
        if "avx512bw" in self.features and "avx512vl" in self.features and "avx512dq" in self.features:
            return 64
        return 32 if "avx2" in self.features else 16

    @property
    def vector_registers(self) -> int:
        """Vector registers that an instruction can name."""
        if self.is_x86:
            return 32 if self.vector_bytes == 64 else 16
        return 32

    @property
    def l3_is_far(self) -> bool:
        """Whether products cannot be fed from the last level of the caches.

        A core with more than 1 MB of its own has one behind a mesh (Xeons of the last years): 15 to 28 GB/s
        of it reach a core, where the second level has 100.
        """
        return self.l2_bytes > 1 << 20

    @property
    def near_bytes(self) -> int:
        """Bytes of the largest cache that products can be fed from."""
        return self.l2_bytes if self.l3_is_far else self.l3_bytes

    def far_cycles(self, size_bytes: int) -> float:
        """Cycles for one pass over so many bytes of weights, as far as they do not stay near: 0.06 a byte
        from memory, twice that through a mesh.
        """
        cycles = 0.12 if self.l3_is_far else 0.06
        return cycles * max(0, size_bytes - self.near_bytes)

    def l3_share(self, threads: int) -> int:
        """Bytes of a last-level cache that are one thread's, where so many work."""
        return self.l3_bytes // min(threads, self.l3_sharers)

    @property
    def fused(self) -> bool:
        """Whether the processor rounds a * b + c once."""
        return "fma" in self.features if self.is_x86 else True

    @property
    def has_half(self) -> bool:
        """Whether fp16 converts to and from fp32 in one instruction."""
        return "f16c" in self.features if self.is_x86 else True

    def masks_loads(self, element_bytes: int) -> bool:
        """Whether one instruction loads or stores a vector under a mask, for elements of this size."""
        return self.vector_bytes == 64 or ("avx2" in self.features and element_bytes >= 4)

    @property
    def feature_string(self) -> str:
        """The features for LLVM: present ones with +, absent ones with -."""
        if not self.is_x86:
            return ",".join(f"+{f}" for f in sorted(self.features))
        signed = [("+" if f in self.features else "-") + f for f in X86_FEATURES]
        return ",".join(signed + [f"-{f}" for f in _NEVER_USED])

    @property
    def cpu(self) -> str:
        """LLVM's processor model: a generic one, since its names for hosts are not to be trusted.

        Features are ours in any case; the model says how instructions are put in order. With 16 registers the
        oldest model's order spills a tile of 6x2, and the code of a 3x3 layer then runs at 24 GFLOP/s instead
        of 34 (Zen 1).
        """
        if not self.is_x86:
            return "generic"
        return "x86-64-v3" if self.vector_bytes == 32 and self.fused else "x86-64"

    def without(self, *features: str) -> Target:
        """Return this target with features, and all that build on them, masked off.

        Target.host().without("avx512f").vector_bytes  ->  32 on a machine with AVX2
        """
        gone = set(features)
        grown = True
        while grown:
            more = {f for f, needs in _NEEDS.items() if gone & set(needs)} - gone
            gone |= more
            grown = bool(more)
        return replace(self, features=self.features - gone)

    @staticmethod
    def host() -> Target:
        """The processor that this process runs on, without what `mask_features` hides."""
        return _masked_host(_hidden)


_hidden: frozenset[str] = frozenset()


def mask_features(*names: str) -> Target:
    """Hold this process to a processor without some features, by LLVM's names; no name lifts the mask.

    mask_features("amx-tile", "avx512bf16")     plain AVX-512 on a machine with AMX

    For tests and timings: plans are made for the masked processor from here on. A layer that has been called
    keeps the plan it has, so mask before the first call. Returns the target that is left.

    Raises ConvValueError where no processor has a feature of that name.
    """
    global _hidden  # noqa: PLW0603 - a processor is the process's
    known = {*X86_FEATURES, *_masked_host(frozenset()).features}
    for name in names:
        if name not in known:
            raise ConvValueError(f"feature (={name!r}) is not known: use one of {', '.join(sorted(known))}")
    _hidden = frozenset(names)
    return Target.host()


@lru_cache(maxsize=16)
def _masked_host(hidden: frozenset[str]) -> Target:
    return _host().without(*hidden)


@lru_cache(maxsize=1)
def _host() -> Target:
    read = detect.caches()
    caches: dict[str, int] = {f"l{level}_bytes": size for level, (size, _) in read.items() if level <= 3}
    if 3 in read:
        caches["l3_sharers"] = read[3][1]
    return Target(detect.triple(), detect.features(frozenset(X86_FEATURES)), **caches)
