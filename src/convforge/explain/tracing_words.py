"""What following a model by shape says, in both languages."""

from __future__ import annotations

from dataclasses import dataclass

from convforge.explain.words import Language, Words


@dataclass(frozen=True, slots=True)
class Said:
    """Words with their blanks filled, to be said in either language."""

    words: Words
    values: tuple[tuple[str, str], ...] = ()

    def __call__(self, language: Language) -> str:
        """The text."""
        return self.words(language, **dict(self.values))

    def __str__(self) -> str:
        return self("en")


def said(words: Words, **values: object) -> Said:
    """Words with their blanks filled."""
    return Said(words, tuple((name, str(value)) for name, value in values.items()))


READS_VALUES = Words("{name} reads values, which are not computed", "{name} 需要读取数值，而这里不做计算")
READS_ARRAY = Words(
    "values of a tensor are read, which are not computed", "代码读取了张量的数值，而这里不做计算"
)
LOST = Words("receptive fields are not followed through {name}", "{name} 之后的感受野无法继续推算")
TOO_LARGE = Words(
    "{name} has no rule for shapes, and the tensor is too large to try it on zeros",
    "{name} 没有形状规则，而张量太大，无法用零试算",
)
UNEVEN = Words(
    "{name} from {size} to {out} has windows of different sizes",
    "{name} 把 {size} 变为 {out}，各窗口大小不同",
)
SLIDES = Words("a window slides over axes that were flattened or joined", "窗口在展平或拼接后的轴上滑动")
OTHER_DIMS = Words("branches meet with an axis in different dimensions", "各分支相遇时同一轴处在不同的维度上")
OTHER_JUMPS = Words(
    "branches meet with jumps {jumps}: outputs of one index stand at different places",
    "各分支的步距（jump）不同（{jumps}）：同一下标的输出对应输入的不同位置",
)
NOT_COUNTED = Words("multiply-adds of {name} are not counted", "{name} 的乘加次数没有计入")
HOOKS = Words("its {n} forward hooks are not run", "它的 {n} 个前向钩子（hook）没有运行")
