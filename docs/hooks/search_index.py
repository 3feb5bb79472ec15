"""The search index: Chinese cut into words, and the whole once more as a script.

Chinese puts no spaces between words. The theme asks for U+200B there, and cuts what is searched for by the
words that it finds in the index. Here are the words of this site's subject; what is between them is one
piece.

A page that was opened as a file may not fetch the index, but may run a script: the theme looks for one on
such pages. Its own plugin `offline` writes it before all languages are in it. The other half is
docs/scripts/iframe-worker.js.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority

WORDS = (
    "卷积核 卷积 转置 分组 逐通道 逐点 深度可分离 通道数 通道 输入 输出 步幅 填充 膨胀 空洞 偏置 感受野 "
    "参数量 参数 特征图 尺寸 公式 向下取整 矩阵 棋盘格 网格 歧义 互相关 权重 批量归一化 归一化 激活 "
    "池化 融合 并入 推理 训练 损失 优化器 梯度 量化 缩放 零点 舍入 精度 误差 线程 调优 缓存 编译 内存 "
    "速度 实测 用时 乘法 加法 乘加 计算量 上下文 语义分割 下采样 上采样 照片 图像 灰度 随机 种子 张量 "
    "数组 模型 模块 网络 命令行 浏览器 探索器 图示 动画 配色 语言 键盘 安装 原则 依据 建议 规则 设计 "
    "函数 参考 教程 保存 读取 一维 二维 三维 视图 类型 设备 处理器 报错 默认"
)
# Longer words first, so that 卷积核 is not cut into 卷积 and 核.
WORD = re.compile(f"({'|'.join(sorted(WORDS.split(), key=len, reverse=True))})")


@event_priority(-200)
def on_post_build(config: Any) -> None:
    """Writes search_index.json anew, and search_index.js. Languages end one by one: the last call has all."""
    path = Path(config.site_dir, "search", "search_index.json")
    if not path.is_file():
        return
    index = json.loads(path.read_text("utf-8"))
    for page in index["docs"]:
        for field in ("title", "text"):
            page[field] = WORD.sub("\u200b\\1\u200b", page[field])
    text = json.dumps(index, ensure_ascii=False)
    path.write_text(text, "utf-8")
    path.with_suffix(".js").write_text(f"var __index = {text}", "utf-8")
