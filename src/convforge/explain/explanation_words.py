"""What the explanation of a layer says, in both languages."""

from __future__ import annotations

from convforge.explain.words import Words

SHAPES = Words("{layer}: {input} → {output}, {dtype}", "{layer}：{input} → {output}，{dtype}")

SIZE = Words("Output size", "输出尺寸")
ALL_READ = Words("every input element is read", "输入的每个元素都被用到")
DROPPED = Words(
    "{axis}: the floor drops {n} at the end that no window reaches: {which}",
    "{axis}：向下取整丢掉末尾 {n} 个元素，没有窗口能覆盖：{which}",
)
SKIPPED = Words(
    "{axis}: {n} input elements lie between the taps and are never read: {which}",
    "{axis}：有 {n} 个输入元素落在采样点之间，从未被读取：{which}",
)
UNSEEN = Words(
    "{axis}: {n} input elements only reach what padding cuts off: {which}",
    "{axis}：有 {n} 个输入元素只影响被 padding 裁掉的部分：{which}",
)
UNWRITTEN = Words(
    "{axis}: {n} outputs receive no product, only the bias: {which}",
    "{axis}：有 {n} 个输出位置没有任何乘积，只有偏置：{which}",
)

PADDING = Words("Padding", "填充（padding）")
ALONG = Words("{axis}: {what}", "{axis}：{what}")
NO_PADDING = Words("none", "无")
BEFORE = Words("{n} before: {what}", "前面 {n} 个：{what}")
AFTER = Words("{n} after: {what}", "后面 {n} 个：{what}")
ZEROS = Words("zeros", "补零")
CUT = Words("cut off the output", "从输出上裁掉")
COPIES = Words("{mode}, copied from {which}", "{mode}，依次复制自元素 {which}")
FOLDED = Words("{mode}, added onto {which}", "{mode}，依次加回到输出 {which}")

PARAMETERS = Words("Parameters", "参数量")
WEIGHTS = Words(
    "weight {shape} = {weight}, bias {bias}: {total} in all",
    "权重 {shape} = {weight}，偏置 {bias}：共 {total}",
)

COSTS = Words("Arithmetic", "运算量")
NOMINAL = Words("nominal", "名义值")
REAL = Words("on real data", "真实数据上")
MULTIPLY_ADDS = Words("multiply-adds", "乘加次数")
MULTIPLICATIONS = Words("multiplications", "乘法")
PRODUCT_ADDITIONS = Words("additions of products", "乘积的加法")
BIAS_ADDITIONS = Words("additions of the bias", "偏置的加法")

BYTES = Words("Bytes", "字节数")
INPUT_BYTES = Words("input", "输入")
WEIGHT_BYTES = Words("weight", "权重")
BIAS_BYTES = Words("bias", "偏置")
OUTPUT_BYTES = Words("output", "输出")
TOTAL = Words("moved, each once", "合计（各搬运一次）")
KEPT = Words("kept for backward (the input)", "为反向传播保留（输入）")
INTENSITY = Words("operations per byte", "每字节运算次数（算术强度）")

FIELD = Words("Receptive field", "感受野")
AXIS = Words("axis", "轴")
FIELD_SIZE = Words("size", "大小")
JUMP = Words("jump", "步距（jump）")
CENTRE = Words("centre of output 0", "输出 0 的中心")
FIRST_READS = Words("output 0 reads", "输出 0 读取")
NOTHING = Words("nothing", "无")
