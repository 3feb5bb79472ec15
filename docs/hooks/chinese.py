"""Lines of Chinese text are joined without the space that HTML makes of a line's end."""

from __future__ import annotations

import re
from typing import Any

HAN = "\u3000-\u303f\u4e00-\u9fff\uff00-\uffef“”"
LINE_END = re.compile(f"(?<=[{HAN}])\n(?=[{HAN}])")
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Joins lines that end and begin with Chinese, blocks of code left alone."""
    if config.theme["language"] != "zh":
        return markdown
    parts = FENCED.split(markdown)
    return "".join(part if number % 2 else LINE_END.sub("", part) for number, part in enumerate(parts))
