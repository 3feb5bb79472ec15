"""A builder for one LLVM function, in which a loop is a `with` and an index is an expression.

    with e.loop(0, rows, name="row") as row:
        e.store(e.load(e.f32, source, row), target, row)

A Python `for` is unrolled; a `with e.loop(...)` is emitted. Integers may be Python ints or emitted values
everywhere: what is known when a kernel is forged folds into the code, what is not is loaded at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from convforge.ir.builder import STREAMED, Builder
from convforge.ir.function import Function, Phi
from convforge.ir.text import DOUBLE, FLOAT, HALF, I8, I16, I32, I64, POINTER, VOID, Type, Value

Int = int | Value  # an emitted one is an i64

TYPES: dict[str, Type] = {
    "f16": HALF,
    "f32": FLOAT,
    "f64": DOUBLE,
    "bf16": I16,
    "i8": I8,
    "i16": I16,
    "i32": I32,
    "i64": I64,
}
BYTES = {"f16": 2, "f32": 4, "f64": 8, "bf16": 2, "i8": 1, "i16": 2, "i32": 4, "i64": 8}


Deliver = Callable[[str], None]


class Module:
    """One LLVM module under construction: the functions that are linked and cached together.

    deliver: is given every part (`Emitter.part`) as a module of its own as soon as it is written, so that it
    can be compiled while the rest is emitted. What is left is the module's text.
    """

    def __init__(self, triple: str, deliver: Deliver | None = None) -> None:
        self._head = f'target triple = "{triple}"\n{STREAMED} = !{{i32 1}}\n'
        self._deliver = deliver
        self._functions: dict[str, Function] = {}
        self._delivered: set[Function] = set()

    def declare(self, name: str, result: Type, arguments: Sequence[Type]) -> Function:
        """Declare an intrinsic once and return it."""
        if name not in self._functions:
            self._functions[name] = Function(name, result, arguments)
        return self._functions[name]

    def function(self, name: str, arguments: str, result: Type = VOID) -> Emitter:
        """Open a function; `arguments` is one letter each: p pointer, i 64-bit integer, w 32-bit integer."""
        kinds = {"p": POINTER, "i": I64, "w": I32}
        return Emitter(self, self.declare(name, result, [kinds[a] for a in arguments]))

    def part_done(self, part: Function) -> None:
        """Have a part compiled, if somebody waits for it."""
        if self._deliver is not None:
            self._delivered.add(part)
            others = (other.declaration for other in part.callees.values())
            self._deliver("\n".join((self._head, *others, str(part))))

    def __str__(self) -> str:
        gone = self._delivered
        texts = (f.declaration if f in gone else str(f) for f in self._functions.values())
        return "\n".join((self._head, *texts))


class Loop:
    """A loop being emitted: `index`, the carried values, and what they become in the next round."""

    def __init__(self, index: Value, carried: list[Value]) -> None:
        self.index = index
        self.carried = carried
        self.next: list[Value] = []
        self.results: list[Value] = []


class Emitter:
    """Emits one function. Offsets count elements of the type that is loaded or stored."""

    def __init__(self, module: Module, function: Function, *, is_part: bool = False) -> None:
        self._is_part = is_part
        self.module = module
        self.function = function
        self.arguments = function.arguments
        self.b = Builder(function)

    def part(self, name: str, values: Sequence[Int]) -> tuple[Emitter, list[Value]]:
        """Go on in a function of its own, called here with `values`: its emitter, and the values as it sees
        them. It ends with its one `done`.

        LLVM's time grows faster than a function's length: Winograd's kernels in three parts compile in two
        thirds of the time, and side by side.
        """
        given = [self.i64(value) for value in values]
        function = self.module.declare(name, VOID, [value.type for value in given])
        self.b.call(function, given)
        return Emitter(self.module, function, is_part=True), function.arguments

    # Integers: fold what is known now.

    def i64(self, value: Int) -> Value:
        """Return an emitted 64-bit integer for a Python int; leave an emitted value as it is."""
        return I64(value) if isinstance(value, int) else value

    def add(self, *terms: Int) -> Int:
        """Sum of integers, constants folded together."""
        known = sum(t for t in terms if isinstance(t, int))
        total = None
        for t in terms:
            if not isinstance(t, int):
                total = t if total is None else self.b.add(total, t)
        if total is None:
            return known
        return self.b.add(total, I64(known)) if known else total

    def sub(self, a: Int, b: Int) -> Int:
        """a - b."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if isinstance(b, int) and b == 0 else self.b.sub(self.i64(a), self.i64(b))

    def mul(self, *factors: Int) -> Int:
        """Product of integers, constants folded together."""
        known = 1
        product = None
        for f in factors:
            if isinstance(f, int):
                known *= f
            else:
                product = f if product is None else self.b.mul(product, f)
        if product is None or known == 0:
            return known
        return product if known == 1 else self.b.mul(product, I64(known))

    def div(self, a: Int, b: Int) -> Int:
        """a // b of non-negative integers."""
        if isinstance(a, int) and isinstance(b, int):
            return a // b
        return a if isinstance(b, int) and b == 1 else self.b.udiv(self.i64(a), self.i64(b))

    def rem(self, a: Int, b: Int) -> Int:
        """a % b of non-negative integers."""
        if isinstance(a, int) and isinstance(b, int):
            return a % b
        return 0 if isinstance(b, int) and b == 1 else self.b.urem(self.i64(a), self.i64(b))

    def less(self, a: Int, b: Int) -> Value:
        """a < b, signed, as one bit."""
        return self.b.icmp_signed("<", self.i64(a), self.i64(b))

    def equal(self, a: Int, b: Int) -> Value:
        """a == b, as one bit."""
        return self.b.icmp_signed("==", self.i64(a), self.i64(b))

    def differ(self, a: Int, b: Int) -> Value:
        """a != b, as one bit."""
        return self.b.icmp_signed("!=", self.i64(a), self.i64(b))

    def no_less(self, a: Int, b: Int) -> Value:
        """a >= b, signed, as one bit."""
        return self.b.icmp_signed(">=", self.i64(a), self.i64(b))

    def below(self, a: Int, b: Int) -> Value:
        """0 <= a < b where b is positive, as one bit: one unsigned comparison."""
        return self.b.icmp_unsigned("<", self.i64(a), self.i64(b))

    def minimum(self, a: Int, b: Int) -> Int:
        """The smaller of two signed integers."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.b.select(self.less(a, b), self.i64(a), self.i64(b))

    def maximum(self, a: Int, b: Int) -> Int:
        """The larger of two signed integers."""
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.b.select(self.less(a, b), self.i64(b), self.i64(a))

    def select(self, condition: Value, a: Int, b: Int) -> Value:
        """a where the bit is set, else b."""
        return self.b.select(condition, self.i64(a), self.i64(b))

    # Memory.

    def at(self, pointer: Value, kind: str, offset: Int) -> Value:
        """Address of element `offset` of an array of `kind`."""
        if isinstance(offset, int) and offset == 0:
            return pointer
        return self.b.gep(pointer, [self.i64(offset)], source_etype=TYPES[kind])

    def load(self, kind: str, pointer: Value, offset: Int = 0) -> Value:
        """Load one element."""
        return self.b.load(self.at(pointer, kind, offset), typ=TYPES[kind], align=BYTES[kind])

    def store(self, value: Value, kind: str, pointer: Value, offset: Int = 0) -> None:
        """Store one element."""
        self.b.store(value, self.at(pointer, kind, offset), align=BYTES[kind])

    def load_pointer(self, pointer: Value, offset: Int = 0) -> Value:
        """Load a pointer from an array of pointers."""
        return self.b.load(self.at(pointer, "i64", offset), typ=POINTER, align=8)

    def store_pointer(self, value: Value, pointer: Value, offset: Int = 0) -> None:
        """Store a pointer into an array of pointers."""
        self.b.store(value, self.at(pointer, "i64", offset), align=8)

    def prefetch(self, pointer: Value, kind: str, offset: Int, level: int = 1) -> None:
        """Have the cache line of element `offset` fetched into this level; where there is no memory, nothing
        happens.
        """
        fetch = self.module.declare("llvm.prefetch.p0", VOID, [POINTER, I32, I32, I32])
        self.b.call(fetch, [self.at(pointer, kind, offset), I32(0), I32(4 - level), I32(1)])

    def forget_loads(self) -> None:
        """Have the compiler load again what it loaded before, not keep it and spill it. No code."""
        self.b.fence("acq_rel", "singlethread")

    # Control.

    @contextmanager
    def loop(
        self,
        start: Int,
        stop: Int,
        step: Int = 1,
        *,
        carried: Sequence[Value] = (),
        settled: bool = False,
        name: str = "i",
    ) -> Generator[Loop]:
        """for index in range(start, stop, step), possibly empty.

        `carried` values enter as phis; set `loop.next` before the block ends, read `loop.results` after it.
        settled: the compiler does not trace addresses back to this index. Where many lie at run-time
        distances from each other it would try to step each of them, for no gain: half of the time that it
        takes to compile the values of Winograd's algorithm.
        """
        before = self.b.block
        head = self.function.block(name)
        body = self.function.block(f"{name}.body")
        done = self.function.block(f"{name}.end")
        self.b.branch(head)
        self.b.position_at_end(head)
        index = self.b.phi(I64)
        index.add_incoming(self.i64(start), before)
        phis: list[Phi] = []
        for value in carried:
            phi = self.b.phi(value.type)
            phi.add_incoming(value, before)
            phis.append(phi)
        self.b.cbranch(self.less(index, stop), body, done)
        self.b.position_at_end(body)
        loop = Loop(self._untraced(index) if settled else index, list(phis))
        yield loop
        assert len(loop.next) == len(phis), f"loop {name}: {len(phis)} carried, {len(loop.next)} passed on"
        latch = self.b.block
        index.add_incoming(self.b.add(index, self.i64(step)), latch)
        for phi, value in zip(phis, loop.next):
            phi.add_incoming(value, latch)
        self.b.branch(head)
        self.b.position_at_end(done)
        loop.results = list(phis)

    def _untraced(self, index: Value) -> Value:
        """The same number, of unknown origin. No code."""
        launder = self.module.declare("llvm.launder.invariant.group.p0", POINTER, [POINTER])
        return self.b.ptrtoint(self.b.call(launder, [self.b.inttoptr(index, POINTER)]), I64)

    @contextmanager
    def when(self, condition: Value) -> Generator[None]:
        """Emit the block to run only where the bit is set."""
        with self.b.if_then(condition):
            yield

    def done(self, value: Value | None = None) -> None:
        """Return from the function."""
        if value is None:
            self.b.ret_void()
        else:
            self.b.ret(value)
        if self._is_part:
            self.module.part_done(self.function)
