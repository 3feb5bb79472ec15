"""MT19937 in plain Python, one number at a time: the oracle where PyTorch is absent.

Source: Matsumoto & Nishimura, Mersenne Twister, 1998; the seeding is Knuth's (init_genrand).
"""

from __future__ import annotations

import math


class Mersenne:
    """The same stream as `Generator().manual_seed(seed)`."""

    def __init__(self, seed: int) -> None:
        self.key = [seed & 0xFFFFFFFF]
        for i in range(1, 624):
            before = self.key[-1]
            self.key.append((1812433253 * (before ^ (before >> 30)) + i) & 0xFFFFFFFF)
        self.position = 624

    def draw32(self) -> int:
        if self.position == 624:
            self._twist()
        y = self.key[self.position]
        self.position += 1
        y ^= y >> 11
        y ^= (y << 7) & 0x9D2C5680
        y ^= (y << 15) & 0xEFC60000
        return y ^ (y >> 18)

    def draw64(self) -> int:
        high = self.draw32()
        return high << 32 | self.draw32()

    def uniform32(self) -> float:
        return (self.draw32() & (2**24 - 1)) * 2.0**-24

    def uniform64(self) -> float:
        return (self.draw64() & (2**53 - 1)) * 2.0**-53

    def normal_pair(self) -> tuple[float, float]:
        first, second = self.uniform64(), self.uniform64()
        radius = math.sqrt(-2 * math.log1p(-second))
        return radius * math.cos(2 * math.pi * first), radius * math.sin(2 * math.pi * first)

    def normal_block(self) -> list[float]:
        u = [self.uniform64() for _ in range(16)]
        radius = [math.sqrt(-2 * math.log(1 - x)) for x in u[:8]]
        cosines = [r * math.cos(2 * math.pi * x) for r, x in zip(radius, u[8:])]
        return cosines + [r * math.sin(2 * math.pi * x) for r, x in zip(radius, u[8:])]

    def _twist(self) -> None:
        key = self.key
        for i in range(624):
            y = (key[i] & 0x80000000) | (key[(i + 1) % 624] & 0x7FFFFFFF)
            key[i] = key[(i + 397) % 624] ^ (y >> 1) ^ (0x9908B0DF if y & 1 else 0)
        self.position = 0
