"""Writes the instructions of one function, block by block. Names and meaning are LLVM's.

    b = Builder(function)
    b.position_at_end(function.block("entry"))
    b.ret(b.add(x, I64(1)))            %v1 = add i64 %a0, 1 / ret i64 %v1

Source: LLVM Language Reference Manual, chapter Instruction Reference.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from convforge.ir.function import Block, Function, Phi
from convforge.ir.text import I1, I32, POINTER, VOID, Type, Value, splat, vector

# Metadata that says of a store: what is written is not used soon.
STREAMED = "!0"
_SIGNED = {"==": "eq", "!=": "ne", "<": "slt", "<=": "sle", ">": "sgt", ">=": "sge"}
_UNSIGNED = {"==": "eq", "!=": "ne", "<": "ult", "<=": "ule", ">": "ugt", ">=": "uge"}
_ORDERED = {"==": "oeq", "!=": "one", "<": "olt", "<=": "ole", ">": "ogt", ">=": "oge"}


class Builder:
    """Appends instructions to a block of a function."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.block = function.block("entry")
        self._count = 0

    def position_at_end(self, block: Block) -> None:
        """Write to another block from here on."""
        self.block = block

    def _name(self) -> str:
        self._count += 1
        return f"%v{self._count}"

    def _value(self, kind: Type, text: str) -> Value:
        self._count += 1
        name = f"%v{self._count}"
        self.block.lines.append(f"{name} = {text}")
        return Value(kind, name)

    def _line(self, text: str) -> None:
        self.block.lines.append(text)

    # Arithmetic, lane by lane.

    def _same(self, operation: str, a: Value, b: Value) -> Value:
        return self._value(a.type, f"{operation} {a.type.text} {a.text}, {b.text}")

    def add(self, a: Value, b: Value) -> Value:
        """a + b of integers."""
        return self._same("add", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        """a - b of integers."""
        return self._same("sub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        """a * b of integers."""
        return self._same("mul", a, b)

    def udiv(self, a: Value, b: Value) -> Value:
        """a / b of unsigned integers, towards 0."""
        return self._same("udiv", a, b)

    def urem(self, a: Value, b: Value) -> Value:
        """a mod b of unsigned integers."""
        return self._same("urem", a, b)

    def and_(self, a: Value, b: Value) -> Value:
        """a & b."""
        return self._same("and", a, b)

    def or_(self, a: Value, b: Value) -> Value:
        """a | b."""
        return self._same("or", a, b)

    def xor(self, a: Value, b: Value) -> Value:
        """a ^ b."""
        return self._same("xor", a, b)

    def shl(self, a: Value, b: Value) -> Value:
        """a << b."""
        return self._same("shl", a, b)

    def lshr(self, a: Value, b: Value) -> Value:
        """a >> b of unsigned integers."""
        return self._same("lshr", a, b)

    def ashr(self, a: Value, b: Value) -> Value:
        """a >> b of signed integers."""
        return self._same("ashr", a, b)

    def not_(self, a: Value) -> Value:
        """~a."""
        return self._same("xor", a, splat(a.type, -1))

    def fadd(self, a: Value, b: Value) -> Value:
        """a + b of floats."""
        return self._same("fadd", a, b)

    def fsub(self, a: Value, b: Value) -> Value:
        """a - b of floats."""
        return self._same("fsub", a, b)

    def fmul(self, a: Value, b: Value) -> Value:
        """a * b of floats."""
        return self._same("fmul", a, b)

    def fneg(self, a: Value) -> Value:
        """-a of floats."""
        return self._value(a.type, f"fneg {a}")

    # Comparing.

    def _compare(self, operation: str, a: Value, b: Value) -> Value:
        kind = vector(I1, a.type.count) if a.type.is_vector else I1
        return self._value(kind, f"{operation} {a.type.text} {a.text}, {b.text}")

    def icmp_signed(self, relation: str, a: Value, b: Value) -> Value:
        """Compare signed integers: "==", "<", …"""
        return self._compare(f"icmp {_SIGNED[relation]}", a, b)

    def icmp_unsigned(self, relation: str, a: Value, b: Value) -> Value:
        """Compare unsigned integers."""
        return self._compare(f"icmp {_UNSIGNED[relation]}", a, b)

    def fcmp_ordered(self, relation: str, a: Value, b: Value) -> Value:
        """Compare floats; false where one is NaN."""
        return self._compare(f"fcmp {_ORDERED[relation]}", a, b)

    def fcmp_unordered(self, relation: str, a: Value, b: Value) -> Value:
        """Compare floats by LLVM's word: "uno" is true where one is NaN."""
        return self._compare(f"fcmp {relation}", a, b)

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """a where a bit is set, else b."""
        return self._value(a.type, f"select {condition}, {a}, {b}")

    # Converting.

    def _cast(self, operation: str, a: Value, kind: Type) -> Value:
        return self._value(kind, f"{operation} {a} to {kind.text}")

    def trunc(self, a: Value, kind: Type) -> Value:
        """The low bits."""
        return self._cast("trunc", a, kind)

    def zext(self, a: Value, kind: Type) -> Value:
        """Widen unsigned integers."""
        return self._cast("zext", a, kind)

    def sext(self, a: Value, kind: Type) -> Value:
        """Widen signed integers."""
        return self._cast("sext", a, kind)

    def fptrunc(self, a: Value, kind: Type) -> Value:
        """Round floats to narrower ones."""
        return self._cast("fptrunc", a, kind)

    def fpext(self, a: Value, kind: Type) -> Value:
        """Widen floats."""
        return self._cast("fpext", a, kind)

    def sitofp(self, a: Value, kind: Type) -> Value:
        """Signed integers to floats."""
        return self._cast("sitofp", a, kind)

    def fptosi(self, a: Value, kind: Type) -> Value:
        """Floats to signed integers, towards 0."""
        return self._cast("fptosi", a, kind)

    def bitcast(self, a: Value, kind: Type) -> Value:
        """The same bits as another type."""
        return a if a.type is kind else self._cast("bitcast", a, kind)

    def inttoptr(self, a: Value, kind: Type) -> Value:
        """An address."""
        return self._cast("inttoptr", a, kind)

    def ptrtoint(self, a: Value, kind: Type) -> Value:
        """An address, as a number."""
        return self._cast("ptrtoint", a, kind)

    # Vectors and aggregates.

    def shuffle_vector(self, a: Value, b: Value, picks: Value) -> Value:
        """Lanes of a and b, by number."""
        assert a.type.element is not None
        kind = vector(a.type.element, picks.type.count)
        return self._value(kind, f"shufflevector {a}, {b}, {picks}")

    def insert_element(self, a: Value, element: Value, lane: Value) -> Value:
        """a with one lane replaced."""
        return self._value(a.type, f"insertelement {a}, {element}, {lane}")

    def extract_element(self, a: Value, lane: Value) -> Value:
        """One lane."""
        assert a.type.element is not None
        return self._value(a.type.element, f"extractelement {a}, {lane}")

    # Memory. Offsets count elements of `source_etype`; alignment is bytes.

    def gep(self, pointer: Value, indices: Sequence[Value], *, source_etype: Type) -> Value:
        """The address of an element; those of many, where an index is a vector."""
        places = ", ".join(map(str, indices))
        many = next((index.type.count for index in indices if index.type.is_vector), 0)
        kind = vector(POINTER, many) if many else POINTER
        return self._value(kind, f"getelementptr {source_etype.text}, ptr {pointer.text}, {places}")

    def load(self, pointer: Value, *, typ: Type, align: int) -> Value:
        """What lies at an address."""
        return self._value(typ, f"load {typ.text}, ptr {pointer.text}, align {align}")

    def store(self, value: Value, pointer: Value, *, align: int, streamed: bool = False) -> None:
        """Write to an address. streamed: past the caches; `align` is then all that is written."""
        past = f", !nontemporal {STREAMED}" if streamed else ""
        self._line(f"store {value}, ptr {pointer.text}, align {align}{past}")

    def alloca(self, kind: Type, size: int) -> Value:
        """Room on the stack for `size` elements."""
        return self._value(POINTER, f"alloca {kind.text}, {I32(size)}")

    def load_atomic(self, pointer: Value, ordering: str, align: int, *, typ: Type) -> Value:
        """What lies at an address, in one piece."""
        return self._value(typ, f"load atomic {typ.text}, ptr {pointer.text} {ordering}, align {align}")

    def atomic_rmw(self, operation: str, pointer: Value, value: Value, ordering: str) -> Value:
        """Read, change and write back in one piece; the value before."""
        return self._value(value.type, f"atomicrmw {operation} ptr {pointer.text}, {value} {ordering}")

    def compare_exchange(self, pointer: Value, expected: Value, new: Value) -> Value:
        """Write `new` where `expected` lies, in one piece; whether it lay there."""
        kind = f"{{ {expected.type.text}, i1 }}"
        both = self._value(Type(kind), f"cmpxchg ptr {pointer.text}, {expected}, {new} seq_cst seq_cst")
        return self._value(I1, f"extractvalue {kind} {both.text}, 1")

    def fence(self, ordering: str, scope: str) -> None:
        """Let no access move across."""
        self._line(f'fence syncscope("{scope}") {ordering}')

    # Control.

    def phi(self, kind: Type) -> Phi:
        """A value that depends on where control came from."""
        assert not self.block.lines, "phis begin a block"
        phi = Phi(kind, self._name())
        self.block.phis.append(phi)
        return phi

    def call(self, function: Function, arguments: Sequence[Value]) -> Value:
        """Call a function of this module."""
        self.function.callees[function.name] = function
        return self._call(function.result, f"@{function.name}", arguments)

    def call_pointer(self, result: Type, pointer: Value, arguments: Sequence[Value]) -> Value:
        """Call what lies at an address."""
        return self._call(result, pointer.text, arguments)

    def _call(self, result: Type, name: str, arguments: Sequence[Value]) -> Value:
        text = f"call {result.text} {name}({', '.join(map(str, arguments))})"
        if result is not VOID:
            return self._value(result, text)
        self._line(text)
        return Value(VOID, "")

    def branch(self, block: Block) -> None:
        """Go on in another block."""
        self._line(f"br label %{block.name}")
        self.block.closed = True

    def cbranch(self, condition: Value, yes: Block, no: Block) -> None:
        """Go on in one of two blocks."""
        self._line(f"br i1 {condition.text}, label %{yes.name}, label %{no.name}")
        self.block.closed = True

    def ret(self, value: Value) -> None:
        """Return a value."""
        self._line(f"ret {value}")
        self.block.closed = True

    def ret_void(self) -> None:
        """Return."""
        self._line("ret void")
        self.block.closed = True

    @contextmanager
    def if_then(self, condition: Value) -> Generator[None]:
        """Write what runs where the bit is set."""
        then, after = self.function.block("then"), self.function.block("after")
        self.cbranch(condition, then, after)
        with self._inside(then, after):
            yield
        self.block = after

    @contextmanager
    def if_else(self, condition: Value) -> Generator[tuple[Branch, Branch]]:
        """Write two alternatives, each in a `with` of its own.

        with b.if_else(bit) as (yes, no):
            with yes: …
            with no: …
        """
        then, otherwise, after = (self.function.block(name) for name in ("then", "else", "after"))
        self.cbranch(condition, then, otherwise)
        yield Branch(self, then, after), Branch(self, otherwise, after)
        self.block = after

    @contextmanager
    def _inside(self, block: Block, after: Block) -> Generator[None]:
        self.block = block
        yield
        if not self.block.closed:
            self.branch(after)


class Branch:
    """One of two alternatives."""

    def __init__(self, builder: Builder, block: Block, after: Block) -> None:
        self._inside = builder._inside(block, after)

    def __enter__(self) -> None:
        self._inside.__enter__()

    def __exit__(self, *error: object) -> None:
        self._inside.__exit__(*error)  # type: ignore[arg-type]
