"""What a model's summary says, in both languages."""

from __future__ import annotations

from convforge.explain.words import Words

TITLE = Words("{model}: {inputs}, {dtype}", "{model}：输入 {inputs}，{dtype}")
LAYER = Words("layer", "层")
KIND = Words("type", "类型")
AGAIN = Words("(again)", "（再次调用）")
SHARED = Words("shared", "共享")
ROWS = Words("each row includes the rows below it that are indented", "每一行都包含其下方缩进的各行")

COLUMNS: dict[str, Words] = {
    "kernel": Words("kernel", "卷积核"),
    "input": Words("input", "输入"),
    "output": Words("output", "输出"),
    "parameters": Words("parameters", "参数量"),
    "frozen": Words("frozen", "冻结参数"),
    "multiply_adds": Words("multiply-adds", "乘加次数"),
    "real": Words("on real data", "真实数据上"),
    "share": Words("share", "占比"),
    "additions": Words("additions", "加法"),
    "bias_additions": Words("bias additions", "偏置加法"),
    "bytes": Words("output bytes", "输出字节"),
    "kept": Words("kept for backward", "反向保留"),
    "field": Words("receptive field", "感受野"),
    "jump": Words("jump", "步距（jump）"),
}
"""The columns that can be asked for."""

TOTALS = Words("Totals", "合计")
PARAMETERS = Words("parameters", "参数量")
PARAMETER_COUNT = Words(
    "{total}: {trained} trained, {frozen} frozen", "{total}：可训练 {trained}，冻结 {frozen}"
)
PARAMETER_BYTES = Words("bytes of parameters and buffers", "参数与缓冲区字节")
BYTES_AND = Words("{parameters} and {buffers}", "{parameters} 与 {buffers}")
MULTIPLY_ADDS = Words("multiply-adds", "乘加次数")
ON_REAL = Words(
    "{nominal}, {real} of them on real data ({share})", "{nominal}，其中真实数据上 {real}（{share}）"
)
ADDITIONS = Words("additions of products, of biases", "乘积的加法、偏置的加法")
INPUT_BYTES = Words("input", "输入")
PEAK = Words("activations alive at most, inference", "推理时激活值峰值")
KEPT = Words("activations kept for backward, training", "训练时为反向传播保留的激活值")

NOTES = Words("Notes", "说明")
NOTE = Words("{path}: {text}", "{path}：{text}")
STOPPED = Words(
    "followed up to {path}, and no further: {reason}", "推算到 {path} 为止，之后无法继续：{reason}"
)
UNUSED = Words(
    "never called, its parameters count in the total alone: {path}", "从未被调用，其参数只计入合计：{path}"
)
THE_MODEL = Words("the model", "整个模型")
