"""The sum of one output element written out: 0×0.1 + 1×0.2 + 2×0.3 = 0.8."""

from __future__ import annotations

from dataclasses import dataclass

from convforge.draw.grid import Position
from convforge.draw.layout import Box, column, line, run_lines
from convforge.draw.numbers import is_short, short
from convforge.draw.shapes import Run
from convforge.draw.subject import CHANNEL, Subject
from convforge.explain.trace import Term
from convforge.explain.words import Words

# Products that are written out; the rest is said to be there.
MOST_TERMS = 36
BIAS = Words("bias", "偏置")
_MORE = Words("{n} more products", "还有 {n} 个乘积")
_NONE = Words("no products", "没有乘积")


@dataclass(frozen=True)
class Equation:
    """An output element, its terms and its value."""

    subject: Subject
    out_channel: int
    position: Position

    @property
    def terms(self) -> list[Term]:
        """All its products."""
        return list(self.subject.trace.terms(self.out_channel, self.position))

    @property
    def value(self) -> float:
        """What the reference computed."""
        return float(self.subject.numbers.y[(self.out_channel, *self.position)])

    def box(self, width: float) -> Box:
        """The equation in as many lines as needed; of several input channels, each on lines of its own."""
        subject = self.subject
        channels: dict[int, list[Term]] = {}
        for term in self.terms:
            channels.setdefault(in_channel(subject, term, self.out_channel), []).append(term)
        left = MOST_TERMS
        lines: list[Box] = []
        first = True
        for channel, terms in channels.items():
            written = terms[:left]
            left -= len(written)
            pieces = [
                self._product(term, plus=not (first and number == 0)) for number, term in enumerate(written)
            ]
            if not written:
                continue
            first = False
            if len(channels) > 1:
                lines.append(line((subject.say(CHANNEL, c=channel), "t-input"), size=12))
            lines.append(run_lines(pieces, width, name=f"equation-{channel}"))
        more = len(self.terms) - (MOST_TERMS - left)
        if more:
            lines.append(line((f"+ … {subject.say(_MORE, n=more)}", "muted"), size=13))
        lines.append(self._result())
        return column(*lines, gap=6)

    def _product(self, term: Term, *, plus: bool) -> tuple[Run, ...]:
        numbers = self.subject.numbers
        weight = short(numbers.weight[term.weight])
        if weight.startswith("−"):
            weight = f"({weight})"
        lead: tuple[Run, ...] = ((" + ", "muted"),) if plus else ()
        if term.source is None:
            return (*lead, (f"0×{weight}", "faint"))
        return (*lead, (short(numbers.x[term.source]), "t-input"), ("×", "muted"), (weight, "t-kernel"))

    def _result(self) -> Box:
        numbers = self.subject.numbers
        runs: list[Run] = []
        if not self.terms:
            runs.append((f"0 ({self.subject.say(_NONE)})", "faint"))
        if numbers.bias is not None:
            bias = short(numbers.bias[self.out_channel])
            runs.append((f" + {bias} ({self.subject.say(BIAS)})", "muted"))
        sign = "=" if self._is_exact() else "≈"
        runs += [(f" {sign} ", "muted"), (short(self.value), "t-output")]
        return line(*((text.lstrip() if i == 0 else text, role) for i, (text, role) in enumerate(runs)),
                    size=17, name="result")  # fmt: skip

    def _is_exact(self) -> bool:
        numbers = self.subject.numbers
        parts = [numbers.weight[term.weight] for term in self.terms]
        parts += [numbers.x[term.source] for term in self.terms if term.source is not None]
        parts += [] if numbers.bias is None else [numbers.bias[self.out_channel]]
        return all(map(is_short, (*parts, self.value)))


def in_channel(subject: Subject, term: Term, out_channel: int) -> int:
    """The input channel of a term, also of one that reads a zero."""
    spec = subject.spec
    if spec.transposed:
        return term.weight[0]
    inputs, outputs = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    return out_channel // outputs * inputs + term.weight[1]
