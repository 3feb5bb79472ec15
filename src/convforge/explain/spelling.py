"""A layer in PyTorch's own spelling, read without being evaluated."""

from __future__ import annotations

import ast
import difflib
from dataclasses import dataclass
from typing import NoReturn

from convforge.errors import ConvValueError

LAYERS = (
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
)
PREFIXES = ("", "nn", "torch.nn", "convforge.nn")
LONGEST = 1000


class LayerTextError(ConvValueError):
    """A text that is no layer. Says in one line at which character, and what to write instead."""

    def __init__(self, text: str) -> None:
        line = " ".join(text.split())
        super().__init__("".join(letter if letter.isprintable() else "?" for letter in line))


@dataclass(frozen=True, slots=True)
class LayerText:
    """`Conv2d(3, 1, kernel_size=3)` -> name "Conv2d", arguments (3, 1), keywords {"kernel_size": 3}."""

    text: str
    name: str
    arguments: tuple[object, ...]
    keywords: dict[str, object]

    @property
    def is_lazy(self) -> bool:
        """Whether in_channels is left to the photograph."""
        return self.name.startswith("Lazy")

    @property
    def rank(self) -> int:
        """Spatial axes: 1, 2 or 3."""
        return int(self.name[-2])


def parse_layer(text: str) -> LayerText:
    """Reads one call of a layer of the family whose arguments are literals.

    "Conv2d(3, 1, 3)", "nn.ConvTranspose2d(3, 1, 3, stride=2)", "torch.nn.LazyConv2d(8, (3, 5))"

    Raises LayerTextError that points at the place: nothing in the text is ever run.
    """
    if len(text) > LONGEST:
        raise LayerTextError(f"{len(text)} characters, more than {LONGEST}: write one layer")
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = f" at character {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        what = error.msg if isinstance(error, SyntaxError) else "too deep or not text"
        raise LayerTextError(
            f'"{text}": not a layer{place}: {what}; write it as in PyTorch: "Conv2d(3, 1, 3)"'
        ) from None
    reader = Reader(text.strip())
    if not isinstance(call, ast.Call):
        reader.refuse(call, 'not a call: write the layer with its arguments, "Conv2d(3, 1, 3)"')
    name = reader.layer_name(call.func)
    arguments = tuple(reader.literal(node) for node in call.args)
    keywords: dict[str, object] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            reader.refuse(keyword.value, "** is not read: write name=value")
        keywords[keyword.arg] = reader.literal(keyword.value)
    return LayerText(reader.text, name, arguments, keywords)


class Reader:
    """Holds the text, so that a refusal can point into it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def layer_name(self, node: ast.expr) -> str:
        """The layer's name without `nn.` or `torch.nn.` before it."""
        prefix, _, name = ast.unparse(node).rpartition(".")
        if name not in LAYERS or prefix not in PREFIXES or not isinstance(node, ast.Name | ast.Attribute):
            close = difflib.get_close_matches(name, LAYERS, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(LAYERS[:6])}"
            self.refuse(node, f"not a convolution layer: {hint}")
        return name

    def literal(self, node: ast.expr) -> object:
        """The value of a number, string, True, False, None, tuple or list of these."""
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            self.refuse(
                node, "not a plain value: write a number, a tuple, True, False, None or a quoted word"
            )

    def refuse(self, node: ast.expr, why: str) -> NoReturn:
        """Raises LayerTextError with the node's text and where it stands."""
        # Columns of the syntax tree count UTF-8 bytes.
        line = self.text.splitlines()[node.lineno - 1]
        column = len(line.encode()[: node.col_offset].decode("utf-8", "replace")) + 1
        part = ast.get_source_segment(self.text, node) or self.text
        raise LayerTextError(f'"{self.text}": `{part}` at character {column}: {why}')
