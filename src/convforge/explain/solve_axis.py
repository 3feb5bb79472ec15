"""Every choice of parameters that brings one axis to a wanted size, with what speaks for and against it.

    32 -> 16:  kernel 3, stride 2, padding 1     ⌊(32 + 2·1 − 3) / 2⌋ + 1 = 16, before kernel 2, stride 2

Penalties put the choices in the order of the learner's principles; only their order means anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from convforge.explain.sentence import Sentence, say
from convforge.explain.words import Words
from convforge.problem import sizes

# What is searched where a parameter is left open. Beyond these a choice is no one's practice, with the
# exceptions below: a stride that the sizes themselves ask for, and a kernel as large as that stride.
LARGEST_KERNEL = 11
LARGEST_STRIDE = 4
LARGEST_DILATION = 8
# Of all axes: a search that a slider may ask for must end at once.
LARGEST_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class Choice:
    """The parameters of one axis; padding as (before, after)."""

    kernel_size: int
    stride: int
    padding: tuple[int, int]
    dilation: int
    output_padding: int
    transposed: bool

    @property
    def span(self) -> int:
        """Elements that the dilated kernel covers."""
        return sizes.dilated_size(self.kernel_size, self.dilation)

    def output_size(self, size: int) -> int:
        """Elements that come out of `size`; below 1 where the kernel does not fit."""
        if self.transposed:
            whole = sizes.transposed_size(
                size, self.kernel_size, self.stride, self.dilation, self.output_padding
            )
            return whole - sum(self.padding)
        padded = size + sum(self.padding)
        if self.span > padded:
            return 0
        return sizes.conv_size(padded, self.kernel_size, self.stride, self.dilation)

    def unread_end(self, size: int) -> int:
        """Input elements at the end that no window reaches: 6, kernel 3, stride 2 -> 012, 234 -> 1."""
        if self.transposed:
            return 0
        reached = (self.output_size(size) - 1) * self.stride + self.span - self.padding[0]
        return max(0, size - reached)


@dataclass(frozen=True, slots=True)
class Open:
    """What is given of one axis; None is open. padding: (before, after)."""

    kernel_size: int | None
    stride: int | None
    padding: tuple[int, int] | None
    dilation: int | None
    output_padding: int | None
    transposed: bool

    def choices(self, size: int, wanted: int | None, receptive_field: int | None) -> Iterator[Choice]:
        """Every choice within the bounds that fits what is wanted; each once.

        wanted: output size; None: any, for an input of any size.
        receptive_field: elements that a window must span; None: any.
        """
        for bare in self._bare(size, wanted, receptive_field):
            for padding in self._paddings(bare, size, wanted):
                choice = replace(bare, padding=padding)
                if wanted is None or choice.output_size(size) == wanted:
                    yield choice

    def nearest_sizes(self, size: int, goal: int, receptive_field: int | None) -> tuple[int, ...]:
        """The reachable output sizes next below and above a goal that is not reached; each if there is one.

        Sizes grow and shrink steadily with the padding: its extremes are enough, and of a transposed layer,
        whose two sides are alike, the even paddings beside the one that would reach the goal.
        """
        reachable: set[int] = set()
        for bare in self._bare(size, None, receptive_field):
            most = 2 * bare.span - 2
            totals = {0, most}
            if self.padding is not None:
                totals = {sum(self.padding)}
            elif self.transposed:
                meant = bare.output_size(size) - goal
                totals |= {total for total in (meant - 1, meant + 1) if 0 <= total <= most}
            reachable |= {
                replace(bare, padding=(total // 2, total - total // 2)).output_size(size)
                for total in totals
                if self.padding is not None or total % (2 if self.transposed else 1) == 0
            }
        below = [n for n in reachable if 1 <= n < goal]
        above = [n for n in reachable if n > goal]
        return (*([max(below)] if below else []), *([min(above)] if above else []))

    def _bare(self, size: int, wanted: int | None, receptive_field: int | None) -> Iterator[Choice]:
        """Every choice but for its padding."""
        for stride, dilation in product(self._strides(size, wanted), self._dilations(receptive_field)):
            for kernel in self._kernels(size, stride, receptive_field, dilation):
                if dilation > 1 and kernel == 1 and self.dilation is None:
                    continue  # a lone tap knows no dilation
                for extra in self._output_paddings(stride, dilation):
                    yield Choice(kernel, stride, (0, 0), dilation, extra, self.transposed)

    def _strides(self, size: int, wanted: int | None) -> Iterator[int]:
        if self.stride is not None:
            yield self.stride
            return
        if (size if self.transposed else wanted) == 1:
            yield 1  # a lone window knows no stride
            return
        found = set(range(1, LARGEST_STRIDE + 1))
        if wanted:
            ratio = wanted // size if self.transposed else size // wanted
            found |= {max(1, ratio), ratio + 1}
        yield from sorted(found)

    def _dilations(self, receptive_field: int | None) -> Iterator[int]:
        if self.dilation is not None:
            yield self.dilation
        elif receptive_field is None:
            yield from range(1, LARGEST_DILATION + 1)
        else:
            yield from (d for d in range(1, max(receptive_field, 2)) if (receptive_field - 1) % d == 0)

    def _kernels(self, size: int, stride: int, receptive_field: int | None, dilation: int) -> Iterator[int]:
        if receptive_field is not None:
            taps, rest = divmod(receptive_field - 1, dilation)
            if rest == 0 and self.kernel_size in (None, taps + 1):
                yield taps + 1
            return
        if self.kernel_size is not None:
            yield self.kernel_size
            return
        found = set(range(1, LARGEST_KERNEL + 1)) | {stride, 2 * stride}
        if dilation == 1 and not self.transposed:
            found.add(size)  # one window over everything, as a classifier's last layer
        yield from sorted(found)

    def _paddings(self, bare: Choice, size: int, wanted: int | None) -> Iterator[tuple[int, int]]:
        """Symmetric ones, and for a plain layer those with one more at the end.

        With a whole span on a side a window would lie on padding alone.
        """
        if self.padding is not None:
            yield self.padding
            return
        step = 2 if self.transposed else 1
        least, most = 0, 2 * bare.span - 2
        if wanted is not None and self.transposed:
            least = bare.output_size(size) - wanted
            most = min(most, least)
        elif wanted is not None:
            least = (wanted - 1) * bare.stride + bare.span - size
            most = min(most, least + bare.stride - 1)
        for total in range(max(0, least), most + 1):
            if total % step == 0:
                yield total // 2, total - total // 2

    def _output_paddings(self, stride: int, dilation: int) -> Iterator[int]:
        if not self.transposed:
            yield 0
        elif self.output_padding is not None:
            if self.output_padding < max(stride, dilation):
                yield self.output_padding
        else:
            yield from range(stride)


SEES_NOTHING = Words("1×1 sees no neighbours", "1×1 看不到相邻元素")
THREE = Words("kernel 3: the first choice", "卷积核 3：首选")
ODD = Words("kernel {k} is odd, so it has a centre", "卷积核 {k} 是奇数，有中心")
LARGE = Words(
    "kernel {k} is large: {k} weights an axis where 3 has 3",
    "卷积核 {k} 较大：每轴 {k} 个权重，而 3 只有 3 个",
)
EVEN = Words("kernel {k} is even: it has no centre", "卷积核 {k} 是偶数：没有中心")
WHOLE = Words("kernel {k} covers the whole input", "卷积核 {k} 覆盖整个输入")
HALF = Words("padding {p} = ⌊kernel span / 2⌋", "padding {p} = ⌊核跨度 / 2⌋")
NONE = Words("no padding: every product meets data", "不填充：每次相乘都用到真实数据")
OTHER = Words(
    "padding {p} is not ⌊span / 2⌋ = {half}: windows do not sit over their outputs",
    "padding {p} 不是 ⌊跨度 / 2⌋ = {half}：窗口与输出位置不对齐",
)
UNEQUAL = Words(
    "padding {p} differs from side to side (PyTorch's layers cannot; convforge's can)",
    "padding {p} 两侧不同（PyTorch 的层做不到，convforge 可以）",
)
STRIDE = Words("stride {s} samples down by {s}", "stride {s} 下采样 {s} 倍")
GAPS = Words(
    "stride {s} is larger than the window ({k}): elements between windows are never read",
    "stride {s} 大于窗口（{k}）：窗口之间的元素从未被读取",
)
PATCHES = Words("kernel = stride: the input is cut into patches", "卷积核 = stride：把输入切成互不重叠的块")
DROPPED = Words("the last {n} elements are never read", "末尾 {n} 个元素从未被读取")
DILATED = Words("dilation {d}: {k} taps span {span} elements", "dilation {d}：{k} 个抽头跨越 {span} 个元素")
MULTIPLE = Words(
    "kernel {k} is a multiple of stride {s}: as many products in every output ({n})",
    "卷积核 {k} 是 stride {s} 的整数倍：每个输出都得到同样多的乘积（{n} 个）",
)
UNEVEN = Words(
    "kernel {k} at dilation {d} overlaps unevenly at stride {s}: {low} to {high} products an output "
    "(a checkerboard)",
    "卷积核 {k}（dilation {d}）在 stride {s} 下重叠不均：每个输出得到 {low} 到 {high} 个乘积（棋盘格）",
)
EXTRA = Words(
    "output_padding {n}: the last {n} outputs meet fewer products",
    "output_padding {n}：末尾 {n} 个输出得到的乘积较少",
)


def weigh(choice: Choice, size: int) -> tuple[float, tuple[Sentence, ...]]:
    """(penalty, reasons) of a choice for an input of `size`; the smaller the better."""
    parts = [*(_overlap if choice.transposed else _window)(choice), *_padding(choice)]
    if choice.dilation > 1 and choice.kernel_size > 1:
        parts.append(
            (
                1.0 + choice.dilation,
                say(DILATED, d=choice.dilation, k=choice.kernel_size, span=choice.span),
            )
        )
    if unread := choice.unread_end(size):
        parts.append((1.0 + unread, say(DROPPED, n=unread)))
    if choice.kernel_size == size > LARGEST_KERNEL:
        parts.append((0.0, say(WHOLE, k=size)))
    return sum(cost for cost, _ in parts), tuple(reason for _, reason in parts)


def overlap(kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Products of an inner output of a transposed convolution: the fewest and the most.

    kernel 3, stride 2: taps 0 2 fall on even outputs, tap 1 on odd ones -> (1, 2)
    """
    counts = Counter(tap * dilation % stride for tap in range(kernel))
    return min(counts[phase] for phase in range(stride)), max(counts.values())


Weighed = Iterator[tuple[float, Sentence]]


def _window(choice: Choice) -> Weighed:
    """Kernel and stride of a plain convolution."""
    kernel, stride = choice.kernel_size, choice.stride
    patches = kernel == stride > 1
    if kernel == 3:
        yield 0.0, say(THREE)
    elif kernel == 1:
        yield 2.5, say(SEES_NOTHING)
    elif patches:
        yield 3.0, say(PATCHES)
    elif kernel % 2 == 0:
        yield 3.0 + kernel / 2, say(EVEN, k=kernel)
    elif kernel >= 7:
        yield kernel / 2, say(LARGE, k=kernel)
    else:
        yield kernel / 2, say(ODD, k=kernel)
    if stride > choice.span:
        yield 4.0 * (stride - choice.span), say(GAPS, s=stride, k=choice.span)
    elif stride > 1:
        yield 0.5 * (stride - 1), say(STRIDE, s=stride)


def _overlap(choice: Choice) -> Weighed:
    """Kernel and stride of a transposed convolution."""
    kernel, stride = choice.kernel_size, choice.stride
    low, high = overlap(kernel, stride, choice.dilation)
    if stride == 1:
        yield from _window(choice)
    elif low == high:
        # Twice the stride blends neighbours; the stride itself writes blocks side by side.
        yield abs(low - 2) * 0.75, say(MULTIPLE, k=kernel, s=stride, n=low)
    else:
        yield 4.0 + (high - low), say(UNEVEN, k=kernel, d=choice.dilation, s=stride, low=low, high=high)
    if choice.output_padding:
        yield 1.0 + choice.output_padding, say(EXTRA, n=choice.output_padding)


def _padding(choice: Choice) -> Weighed:
    before, after = choice.padding
    half = (choice.span - 1) // 2
    if choice.transposed and choice.stride > 1:
        if after > (choice.span - 1) // 2:
            yield 1.0 + after, say(OTHER, p=after, half=half)
        return
    if before != after:
        yield 3.0, say(UNEQUAL, p=choice.padding)
    if choice.span == 1 and not after:
        return
    if not after:
        # Windows laid side by side need none.
        yield (0.0 if choice.span == choice.stride else 0.75), say(NONE)
    elif before == half:
        yield 0.0, say(HALF, p=before)
    else:
        yield 1.5 + abs(before - half), say(OTHER, p=before, half=half)
