"""Our counts beside those of other tools, every difference explained to the last operation.

    Conv2d(3, 64, 3, padding=1) on 224x224
    ours               86,704,128 multiply-adds
    torchinfo          89,915,392  = ours + 3,211,264 bias additions
    FlopCounterMode   173,408,256  = ours + 86,704,128: an addition for each multiplication

The other tools are not needed: `conventions` has what each counts as a formula.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from convforge.errors import ConvValueError
from convforge.explain.chain import size_for
from convforge.explain.conventions import CONVENTIONS, UNITS, Convention, has_named_padding
from convforge.explain.costs import Costs, costs_of_spec
from convforge.explain.layers import as_layer
from convforge.explain.plain import as_plain
from convforge.explain.report import Reported, Section
from convforge.explain.sentence import Sentence, say
from convforge.explain.table import Table, count, shape_text
from convforge.explain.words import Language, Words, language_of
from convforge.problem import ConvLayer, ConvSpec


@dataclass(frozen=True, slots=True)
class Step:
    """One difference: what is added to our count, below 0 where something is left out."""

    why: Sentence
    change: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a tool prints for the layer; our nominal multiply-adds and the steps add up to it."""

    convention: Convention
    count: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Reconciliation(Reported):
    """Our costs of a layer and the readings of the others."""

    layer: ConvLayer
    input_size: tuple[int, ...]
    output_size: tuple[int, ...]
    batch: int
    costs: Costs
    readings: tuple[Reading, ...]
    remarks: tuple[Sentence, ...]
    language: Language | None

    def title(self, language: Language) -> str:
        """The layer and its sizes."""
        return TITLE(
            language,
            layer=self.layer.text,
            batch=self.batch,
            size=shape_text(self.input_size),
            out=shape_text(self.output_size),
        )

    def sections(self, language: Language) -> list[Section]:
        """Our columns, the others' numbers, and how one leads to the other."""
        colon = "：" if language == "zh" else ": "
        why = [
            f"{each.convention.tool}{colon}{step.change:+,}{colon}{step.why(language)}"
            for each in self.readings
            for step in each.steps
        ]
        formulas = [
            f"{each.convention.tool}{colon}{each.convention.formula(language)} ({each.convention.source})"
            for each in self.readings
        ]
        return [
            Section(table=self._ours(language)),
            *(Section(lines=(remark(language),)) for remark in self.remarks),
            Section(OTHERS(language), table=self._others(language)),
            Section(WHY_DIFFERENT(language), tuple(why) or (ALL_EQUAL(language),)),
            Section(FORMULAS(language), tuple(formulas)),
        ]

    def to_dict(self) -> dict[str, Any]:
        """All of it; sentences in both languages."""
        return as_plain(self)

    def _ours(self, language: Language) -> Table:
        costs = self.costs
        return Table(
            (COUNT(language), NOMINAL(language), REAL(language)),
            (
                (MULTIPLICATIONS(language), count(costs.multiply_adds), count(costs.real_multiply_adds)),
                (ADDITIONS(language), count(costs.additions), count(costs.real_additions)),
                (BIAS(language), count(costs.bias_additions), count(costs.bias_additions)),
            ),
            frozenset((1, 2)),
        )

    def _others(self, language: Language) -> Table:
        return Table(
            (TOOL(language), PRINTS(language), UNIT(language), DIFFERENCE(language)),
            tuple(
                (
                    f"{each.convention.tool} {each.convention.version}",
                    count(each.count),
                    UNITS[each.convention.unit](language),
                    f"{each.count - self.costs.multiply_adds:+,}" if each.steps else EQUAL(language),
                )
                for each in self.readings
            ),
            frozenset((1, 3)),
        )


TITLE = Words("{layer} on {batch} × {size} → {out}", "{layer}，输入 {batch} × {size} → {out}")
COUNT, NOMINAL, REAL = (
    Words("ours", "我们的计数"),
    Words("nominal", "名义"),
    Words("on real data", "落在真实数据上"),
)
MULTIPLICATIONS, ADDITIONS, BIAS = (
    Words("multiplications", "乘法"),
    Words("additions of products", "乘积相加"),
    Words("bias additions", "偏置加法"),
)
OTHERS = Words("Other tools", "其他工具")
TOOL, PRINTS, UNIT, DIFFERENCE = (
    Words("tool", "工具"),
    Words("prints", "输出"),
    Words("means", "含义"),
    Words("against our nominal multiplications", "与我们名义乘法数之差"),
)
EQUAL = Words("equal", "相同")
WHY_DIFFERENT = Words("Why they differ", "差异的来源")
FORMULAS = Words("What each counts", "各工具的计数公式")
ALL_EQUAL = Words("All agree.", "全部一致。")
IDLE = Words(
    "{n:,} of the multiplications ({share:.1%}) meet a zero of the padding: "
    "none of the tools leaves them out.",
    "其中 {n:,} 次乘法（{share:.1%}）只碰到填充的零：没有任何工具把它们排除。",
)
CUT_OFF = Words(
    "{n:,} of the products ({share:.1%}) land where padding cuts the output off: "
    "none of the tools leaves them out.",
    "其中 {n:,} 个乘积（{share:.1%}）落在被 padding 裁掉的位置：没有任何工具把它们排除。",
)
NOT_PYTORCH = Words(
    "PyTorch has no such layer ({why}): the numbers are what the tools' formulas would give.",
    "PyTorch 没有这样的层（{why}）：下面是按各工具公式得到的数。",
)
PAIRS = Words("padding differs from side to side", "两侧 padding 不同")
SAME_STRIDE = Words("'same' with a stride", "'same' 与 stride 并用")
CAUSAL = Words("'causal' padding", "'causal' 填充")
TRANSPOSED_MODE = Words("a padding mode on a transposed layer", "转置层上的 padding_mode")
STEP_OUTPUT = Words(
    "takes {weights:,} weights for each of {out:,} output positions; a transposed layer "
    "uses them once for each of {inputs:,} input positions",
    "按 {out:,} 个输出位置各用一遍 {weights:,} 个权重；而转置卷积按 {inputs:,} 个输入位置各用一遍",
)
STEP_BATCH = Words(
    "counts one input of the batch of {batch}, the rest is left out", "只计 batch {batch} 中的一个输入"
)
STEP_BIAS = Words(
    "counts a bias addition of each of {n:,} output elements as a multiply-add",
    "把 {n:,} 个输出元素的偏置加法也算作乘加",
)
STEP_DOUBLE = Words(
    "counts an addition for each multiplication (one more a sum than there are)",
    "每次乘法再计一次加法（每个求和比实际多一次）",
)
STEP_NAMED = Words(
    "counts nothing: padding={padding!r} is traced as _convolution_mode, which it does not know",
    "完全没有计数：padding={padding!r} 被记录为它不认识的算子 _convolution_mode",
)


def reconcile(layer: Any, input_size: Any, *, batch: int = 1, language: str | None = None) -> Reconciliation:
    """Our counts of a layer beside those of thop, ptflops, fvcore, torchinfo and FlopCounterMode.

    layer: a module, its spelling, or the value. input_size: spatial, an int or one an axis; or
    with in_channels before it.

        print(reconcile("ConvTranspose2d(64, 32, 4, stride=2, padding=1)", 28))

    Nothing is run and no other tool is imported. Raises what a call of the layer would raise.
    """
    if batch < 1:
        raise ConvValueError(f"batch (={batch}) must be at least 1: use batch=1")
    value = as_layer(layer)
    size = size_for(value, input_size)
    spec = value.spec(size, batch=batch)
    costs = costs_of_spec(spec, bias=value.bias)
    readings = tuple(
        Reading(each, each.count(value, spec), tuple(_steps(each, value, spec))) for each in CONVENTIONS
    )
    return Reconciliation(
        value,
        size,
        spec.output_size,
        batch,
        costs,
        readings,
        tuple(_remarks(value, costs)),
        language_of(language),
    )


def _steps(convention: Convention, layer: ConvLayer, spec: ConvSpec) -> list[Step]:
    """From our nominal multiply-adds to the tool's number, one cause at a time."""
    costs = costs_of_spec(spec, bias=layer.bias)
    running = costs.multiply_adds
    steps: list[Step] = []

    def add(change: int, why: Callable[[], Sentence]) -> None:
        nonlocal running
        running += change
        if change:
            steps.append(Step(why(), change))

    if convention.misses_named_padding and has_named_padding(layer):
        add(-running, lambda: say(STEP_NAMED, padding=layer.padding))
        return steps
    inputs, outputs, weights = prod(spec.input_size), prod(spec.output_size), prod(spec.weight_shape)
    if spec.transposed and convention.transposed_by_output:
        add(
            spec.batch * weights * (outputs - inputs),
            lambda: say(STEP_OUTPUT, weights=weights, out=outputs, inputs=inputs),
        )
    if convention.doubles:
        add(running, lambda: say(STEP_DOUBLE))
    if convention.counts_bias:
        add(costs.bias_additions, lambda: say(STEP_BIAS, n=costs.bias_additions))
    if convention.per_input:
        add(running // spec.batch - running, lambda: say(STEP_BATCH, batch=spec.batch))
    return steps


def _remarks(layer: ConvLayer, costs: Costs) -> list[Sentence]:
    remarks: list[Sentence] = []
    if costs.idle_multiply_adds:
        share = costs.idle_multiply_adds / costs.multiply_adds
        words = CUT_OFF if layer.transposed else IDLE
        remarks.append(say(words, n=costs.idle_multiply_adds, share=share))
    why: Words | None = None
    if layer.padding == "causal":
        why = CAUSAL
    elif layer.padding == "same" and any(step > 1 for step in layer.stride):
        why = SAME_STRIDE
    elif not isinstance(layer.padding, str) and any(isinstance(side, tuple) for side in layer.padding):
        why = PAIRS
    elif layer.transposed and layer.padding_mode != "zeros":
        why = TRANSPOSED_MODE
    if why is not None:
        remarks.append(say(NOT_PYTORCH, why=why))
    return remarks
