"""Two layers or stacks side by side: sizes, receptive field, costs, and the time here.

print(compare("Conv2d(64, 64, 5, padding=2)", ["Conv2d(64, 64, 3, padding=1)"] * 2, 56))
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from convforge.errors import ConvValueError
from convforge.explain.compare_sides import Side, contender_of
from convforge.explain.measure import LARGEST_BYTES, milliseconds
from convforge.explain.plain import as_plain
from convforge.explain.report import Reported, Section
from convforge.explain.sentence import Sentence, say
from convforge.explain.table import Table, count, shape_text, size_text
from convforge.explain.words import Language, Words, language_of
from convforge.runtime import get_num_threads


@dataclass(frozen=True, slots=True)
class Comparison(Reported):
    """Both sides, and what follows. threads: of the measured calls."""

    input_size: tuple[int, ...]
    batch: int
    a: Side
    b: Side
    threads: int | None
    follows: tuple[Sentence, ...]
    language: Language | None

    def title(self, language: Language) -> str:
        """What the two are called on."""
        return TITLE(language, batch=self.batch, size=shape_text(self.input_size))

    def sections(self, language: Language) -> list[Section]:
        """The table and what follows from it."""
        rows: list[tuple[Words, str, str, str]] = [
            (OUTPUT, shape_text(self.a.output_shape), shape_text(self.b.output_shape), "")
        ]
        rows.append((FIELD, _field(self.a), _field(self.b), ""))
        rows.append((JUMP, _jumps(self.a), _jumps(self.b), ""))
        for name, words in COUNTS.items():
            first, second = getattr(self.a, name), getattr(self.b, name)
            shown = size_text if name.endswith("bytes") else count
            rows.append((words, shown(first), shown(second), _ratio(first, second)))
        if self.a.milliseconds is not None and self.b.milliseconds is not None:
            times = (self.a.milliseconds, self.b.milliseconds)
            rows.append((TIME, f"{times[0]:.3g} ms", f"{times[1]:.3g} ms", _ratio(*times)))
        head = ("", "a", "b", "b / a")
        table = Table(head, tuple((words(language), *row) for words, *row in rows), frozenset((1, 2, 3)))
        names = tuple(f"{name} = {side.text}" for name, side in (("a", self.a), ("b", self.b)))
        return [
            Section(lines=names),
            Section(table=table),
            Section(FOLLOWS(language), tuple(sentence(language) for sentence in self.follows)),
        ]

    def to_dict(self) -> dict[str, Any]:
        """All of it; sentences in both languages."""
        return as_plain(self)


TITLE = Words("a and b on inputs {batch} × {size}", "a 与 b，输入 {batch} × {size}")
OUTPUT, FIELD, JUMP, TIME = (
    Words("output", "输出"),
    Words("receptive field", "感受野"),
    Words("input elements an output step", "输出每步对应的输入元素"),
    Words("measured here", "本机实测"),
)
COUNTS = {
    "parameters": Words("parameters", "参数量"),
    "multiply_adds": Words("multiplications", "乘法次数"),
    "real_multiply_adds": Words("… on real data", "……落在真实数据上"),
    "moved_bytes": Words("bytes moved at least", "至少搬运的字节"),
}
FOLLOWS = Words("What follows", "结论")
SAME_OUTPUT = Words("Both give the same output shape, {shape}.", "两者输出形状相同：{shape}。")
OTHER_OUTPUT = Words(
    "The output shapes differ, {a} and {b}: one cannot stand in for the other as it is.",
    "输出形状不同（{a} 与 {b}）：不能直接互换。",
)
SAME_FIELD = Words(
    "An output sees the same {field} input elements in both.", "两者每个输出看到的范围相同：{field}。"
)
OTHER_FIELD = Words("An output of a sees {a} input elements, of b {b}.", "a 的每个输出看到 {a}，b 看到 {b}。")
FEWER = Words(
    "b has {parameters} of the parameters and {products} of the multiplications of a.",
    "b 的参数量是 a 的 {parameters}，乘法次数是 a 的 {products}。",
)
DEEPER = Words(
    "b has {n} layers, so a nonlinearity fits between them: it can tell apart what a cannot.",
    "b 有 {n} 层，层间可以放非线性激活，表达能力更强。",
)
FASTER = Words("Measured here, b takes {share} of the time of a.", "本机实测，b 用时是 a 的 {share}。")
EVEN = Words(
    "Measured here, they take equally long (within 3 %).", "本机实测，两者用时相当（差距 3 % 以内）。"
)
AGAINST = Words(
    "The time does not follow the multiplications ({products}): memory traffic and how well the kernels fit "
    "count too.",
    "用时与乘法次数之比（{products}）并不一致：访存与内核适配程度同样重要。",
)
NOT_MEASURED = Words("The time was not measured.", "未测量用时。")
TOO_LARGE = Words(
    "The time was not measured: the arrays take {size}, more than {limit}.",
    "未测量用时：数组共需 {size}，超过 {limit}。",
)
# Below this two times are the same.
_EQUAL = 0.03


def compare(
    a: Any, b: Any, input_size: Any, *, batch: int = 1, measure: bool = True, language: str | None = None
) -> Comparison:
    """Two layers or stacks on the same input.

    a, b: a layer (module, spelling, value), several spellings with commas between them, a list, or a model.
    input_size: spatial, an int or one an axis; or with channels before it.
    measure: time real calls here; weights of spelled layers are drawn.

    Raises what calls of the layers raise, and ConvShapeError where layers of a stack do not fit.
    """
    if batch < 1:
        raise ConvValueError(f"batch (={batch}) must be at least 1: use batch=1")
    first, second = (contender_of(what, input_size, batch) for what in (a, b))
    held_bytes = max(first.side.moved_bytes, second.side.moved_bytes)
    sides = (first.side, second.side)
    measured = measure and held_bytes <= LARGEST_BYTES
    if measured:
        times = milliseconds((first.call(), second.call()))
        sides = tuple(replace(side, milliseconds=time) for side, time in zip(sides, times, strict=True))
    follows = _follows(sides[0], sides[1])
    if measure and not measured:
        follows.append(say(TOO_LARGE, size=size_text(held_bytes), limit=size_text(LARGEST_BYTES)))
    elif not measured:
        follows.append(say(NOT_MEASURED))
    threads = get_num_threads() if measured else None
    return Comparison(
        first.input_size, batch, sides[0], sides[1], threads, tuple(follows), language_of(language)
    )


def _follows(a: Side, b: Side) -> list[Sentence]:
    found: list[Sentence] = []
    if a.output_shape == b.output_shape:
        found.append(say(SAME_OUTPUT, shape=shape_text(a.output_shape)))
    else:
        found.append(say(OTHER_OUTPUT, a=shape_text(a.output_shape), b=shape_text(b.output_shape)))
    if a.receptive_field and a.receptive_field == b.receptive_field:
        found.append(say(SAME_FIELD, field=_field(a)))
    elif a.receptive_field and b.receptive_field:
        found.append(say(OTHER_FIELD, a=_field(a), b=_field(b)))
    products = _ratio(a.multiply_adds, b.multiply_adds)
    found.append(say(FEWER, parameters=_ratio(a.parameters, b.parameters), products=products))
    if len(b.layers) > len(a.layers):
        found.append(say(DEEPER, n=len(b.layers)))
    if a.milliseconds and b.milliseconds:
        share = b.milliseconds / a.milliseconds
        found.append(say(EVEN) if abs(share - 1) < _EQUAL else say(FASTER, share=f"{share:.0%}"))
        fewer = b.multiply_adds < a.multiply_adds
        if a.multiply_adds != b.multiply_adds and fewer != (share < 1):
            found.append(say(AGAINST, products=products))
    return found


def _ratio(a: float, b: float) -> str:
    return f"{b / a:.0%}" if a else "–"


def _field(side: Side) -> str:
    return shape_text(side.receptive_field) if side.receptive_field else "–"


def _jumps(side: Side) -> str:
    return "×".join(side.jump) or "–"
