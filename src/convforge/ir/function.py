"""A function as LLVM's text has it: blocks of instructions, each ended by a jump, and values that meet there.

    define i64 @next(i64 %a0) {
    entry.0:
      %v0 = add i64 %a0, 1
      ret i64 %v0
    }

Source: LLVM Language Reference Manual, chapters Functions and Phi Instruction.
"""

from __future__ import annotations

from collections.abc import Sequence

from convforge.ir.text import Type, Value


class Phi(Value):
    """A value that depends on where control came from; `incoming` can grow until the function is written."""

    __slots__ = ("incoming",)

    def __init__(self, kind: Type, text: str) -> None:
        super().__init__(kind, text)
        self.incoming: list[tuple[Value, Block]] = []

    def add_incoming(self, value: Value, block: Block) -> None:
        """Be `value` where control comes from `block`."""
        self.incoming.append((value, block))

    def line(self) -> str:
        """The instruction."""
        sources = ", ".join(f"[ {value.text}, %{block.name} ]" for value, block in self.incoming)
        return f"{self.text} = phi {self.type.text} {sources}"


class Block:
    """A run of instructions that ends in a jump."""

    __slots__ = ("closed", "lines", "name", "phis")

    def __init__(self, name: str) -> None:
        self.name = name
        self.phis: list[Phi] = []
        self.lines: list[str] = []
        self.closed = False


class Function:
    """A function: `arguments` are values %a0, %a1, …; one that has no blocks is only declared.

    callees: the functions that it calls, by name.
    """

    __slots__ = ("_blocks", "arguments", "callees", "name", "result")

    def __init__(self, name: str, result: Type, arguments: Sequence[Type]) -> None:
        self.name = name
        self.result = result
        self.arguments = [Value(kind, f"%a{i}") for i, kind in enumerate(arguments)]
        self.callees: dict[str, Function] = {}
        self._blocks: list[Block] = []

    def block(self, name: str) -> Block:
        """Append an empty block."""
        block = Block(f"{name}.{len(self._blocks)}")
        self._blocks.append(block)
        return block

    @property
    def declaration(self) -> str:
        """The line that lets other functions call it."""
        kinds = ", ".join(argument.type.text for argument in self.arguments)
        return f"declare {self.result.text} @{self.name}({kinds})\n"

    def __str__(self) -> str:
        if not self._blocks:
            return self.declaration
        parts = [f"define {self.result.text} @{self.name}({', '.join(map(str, self.arguments))}) {{\n"]
        for block in self._blocks:
            parts.append(f"{block.name}:\n")
            parts += [f"  {phi.line()}\n" for phi in block.phis]
            parts += [f"  {line}\n" for line in block.lines]
        parts.append("}\n")
        return "".join(parts)
