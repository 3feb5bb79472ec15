"""What the diagrams of blocks say (blocks.py), in both languages."""

from __future__ import annotations

from convforge.explain.words import Words

GHOST = Words("Ghost module", "Ghost 模块")
SEPARABLE = Words("Depthwise-separable convolution", "深度可分离卷积")
TWO_FOR_FIVE = Words("Two 3×3 in place of a 5×5", "两个 3×3 代替一个 5×5")
BOTTLENECK = Words("Bottleneck", "瓶颈结构")
SEQUENTIAL = Words("Sequential", "Sequential 顺序容器")
GHOST_NOTE = Words(
    "The primary convolution makes {y} channels, the depthwise one makes {z} more from them; both are "
    "concatenated.",
    "主卷积产生 {y} 个通道，再用逐通道卷积由它们廉价地产生 {z} 个，最后拼接。",
)
SEPARABLE_NOTE = Words(
    "Depthwise looks at places, pointwise mixes channels. Fewer multiply-adds can be slower: measure.",
    "depthwise 看空间，pointwise 混合通道。乘加次数少不一定更快：请实测。",
)
FIVE_NOTE = Words("Both see {field}×{field} pixels of the input.", "两者的感受野都是 {field}×{field}。")
BOTTLENECK_NOTE = Words(
    "The 1×1 layers narrow and widen, so that the 3×3 works on few channels.",
    "1×1 卷积先降维再升维，使 3×3 卷积只在少量通道上计算。",
)
DENSE = Words("one dense convolution", "普通卷积")
DENSE_PAIR = Words("two dense 3×3", "两个普通 3×3")
INPUT, OUTPUT = Words("input", "输入"), Words("output", "输出")
CONCAT, ADD = Words("concatenate", "拼接 cat"), Words("add", "相加")
COSTS = Words(
    "{parameters} parameters · {multiply_adds} multiply-adds", "参数量 {parameters} · 乘加 {multiply_adds}"
)
ONLY_PARAMETERS = Words("{parameters} parameters", "参数量 {parameters}")
TOTAL = Words("Total: {costs}", "合计：{costs}")
RATIO = Words(
    "{parameters} × the parameters, {multiply_adds} × the multiply-adds of {other}",
    "与 {other} 相比：参数量 {parameters} 倍，乘加次数 {multiply_adds} 倍",
)
