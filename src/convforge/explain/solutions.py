"""The answers of `solve`, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convforge.explain.plain import as_plain
from convforge.explain.report import Reported, Section
from convforge.explain.sentence import Sentence
from convforge.explain.solve_axis import LARGEST_DILATION, LARGEST_KERNEL, LARGEST_STRIDE
from convforge.explain.solve_stack import KINDS, Stack
from convforge.explain.table import Table, shape_text
from convforge.explain.words import Language, Words
from convforge.problem import ConvLayer


@dataclass(frozen=True, slots=True)
class Solution:
    """One answer. penalty orders the answers, the smallest first, and means nothing else.

    receptive_field: input elements that one output sees, per axis; None of a transposed layer.
    """

    layer: ConvLayer
    input_size: tuple[int, ...]
    output_size: tuple[int, ...]
    receptive_field: tuple[int, ...] | None
    penalty: float
    reasons: tuple[Sentence, ...]

    @property
    def layer_text(self) -> str:
        """The layer as PyTorch spells it."""
        return self.layer.text


@dataclass(frozen=True, slots=True)
class Solutions(Reported):
    """Answers, the best first; or why there are none.

    found: how many choices an axis has in all; `answers` are the best of their combinations.
    nearest: per axis, the reachable output sizes next below and above the wanted one; empty if it is reached.
    stacks: per axis, layers one after the other that see as far, where a receptive field was wanted.
    """

    input_size: tuple[int, ...]
    output_size: tuple[int, ...] | None
    receptive_field: tuple[int, ...] | None
    answers: tuple[Solution, ...]
    found: tuple[int, ...]
    why_none: Sentence | None
    nearest: tuple[tuple[int, ...], ...]
    stacks: tuple[tuple[Stack, ...], ...]
    language: Language | None

    def title(self, language: Language) -> str:
        """What is given and what is wanted."""
        wanted: list[str] = []
        if self.output_size is not None:
            wanted.append(OUTPUT(language, size=shape_text(self.output_size)))
        if self.receptive_field is not None:
            wanted.append(FIELD(language, size=shape_text(self.receptive_field)))
        comma = "，" if language == "zh" else ", "
        return TITLE(language, size=shape_text(self.input_size), wanted=comma.join(wanted))

    def sections(self, language: Language) -> list[Section]:
        """The answers, the reasons for each, and the stacks."""
        found: list[Section] = []
        if self.why_none is not None:
            found.append(Section(lines=(self.why_none(language),)))
        if self.answers:
            found.append(Section(table=_answers(self.answers, language)))
            found.append(Section(WHY(language), _reasons(self.answers, language)))
            found.append(Section(lines=(SEARCHED(language, n=shape_text(self.found)),)))
        if self.stacks:
            found.append(
                Section(STACKS(language), table=_stacks(self.stacks, len(self.input_size), language))
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """All of it; reasons in both languages."""
        return as_plain(self)


TITLE = Words("Input {size}; wanted: {wanted}", "输入 {size}；目标：{wanted}")
OUTPUT = Words("output {size}", "输出 {size}")
FIELD = Words("receptive field {size}", "感受野 {size}")
LAYER, OUT, SEES = Words("layer", "层"), Words("output", "输出"), Words("sees", "感受野")
SEARCHED = Words(
    "{n} choices an axis reach it within kernel ≤ "
    f"{LARGEST_KERNEL}, stride ≤ {LARGEST_STRIDE}, dilation ≤ {LARGEST_DILATION} "
    "(more where the sizes ask for it).",
    "每轴共有 {n} 种取法可达到目标；搜索范围：卷积核 ≤ "
    f"{LARGEST_KERNEL}，stride ≤ {LARGEST_STRIDE}，dilation ≤ {LARGEST_DILATION}（尺寸需要时更大）。",
)
WHY = Words("Why", "理由")
STACKS = Words("Layers one after the other that see as far", "逐层堆叠达到同样的感受野")
STACK, LAYERS, STEP, WEIGHTS = (
    Words("stack", "堆叠方式"),
    Words("kernel × dilation, stride", "卷积核 × dilation，stride"),
    Words("output step", "输出步距"),
    Words("weights a channel pair", "每对通道的权重数"),
)


def _answers(answers: tuple[Solution, ...], language: Language) -> Table:
    sees = answers[0].receptive_field is not None
    head = ["", LAYER(language), OUT(language), *([SEES(language)] if sees else [])]
    rows = [
        (
            str(number),
            answer.layer_text,
            shape_text(answer.output_size),
            *([shape_text(answer.receptive_field)] if answer.receptive_field else []),
        )
        for number, answer in enumerate(answers, start=1)
    ]
    return Table(tuple(head), tuple(rows))


def _reasons(answers: tuple[Solution, ...], language: Language) -> tuple[str, ...]:
    semicolon = "；" if language == "zh" else "; "
    return tuple(
        f"{number}: {semicolon.join(reason(language) for reason in answer.reasons)}"
        for number, answer in enumerate(answers, start=1)
    )


def _stacks(stacks: tuple[tuple[Stack, ...], ...], rank: int, language: Language) -> Table:
    head = (STACK(language), LAYERS(language), SEES(language), STEP(language), WEIGHTS(language))
    rows = [
        (
            KINDS[stack.kind](language),
            " → ".join(
                f"{k}{f'×{d}' if d > 1 else ''}{f', {s}' if s > 1 else ''}"
                for k, s, d in zip(stack.kernels, stack.strides, stack.dilations, strict=True)
            ),
            str(stack.receptive_field),
            str(stack.step),
            str(stack.weights(rank)),
        )
        for each in stacks
        for stack in each
    ]
    return Table(head, tuple(rows), frozenset((2, 3, 4)))
