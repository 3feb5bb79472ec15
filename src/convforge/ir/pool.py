"""The machine code of the thread pool: how a job is offered, joined, drained and closed.

A worker is a Python thread that enters `work` and stays there. `run` offers a job by making `job` odd;
workers that see it join by raising `active`, look again that the same job is still open, and draw task
numbers. The caller draws too, so a job is done even if nobody joins: a worker that sleeps, or waits for
the interpreter's lock, costs nothing. To close, the caller makes `job` even and waits until `active` is 0.

    worker:  active += 1; job still the one seen?  yes: draw tasks   no: step back;   active -= 1
    caller:  job += 1 (open); draw tasks; job += 1 (closed); wait for active = 0

All of these are sequentially consistent: either the caller sees the worker's `active`, or the worker sees
the job closed. A worker that found nothing for `spin` rounds notes that it is `asleep` and returns, and
Python puts it to sleep. It notes so here and not in Python, where it would first have to wait for the
interpreter's lock: a caller that holds that lock would take it for awake and do the whole job alone.

Each notes the core that it takes for a job. A worker whose core is taken, or that wakes on the last caller's,
steps aside: it takes that core from those that it may use, which moves it at once, and then gives it back.
Systems that pack threads that sleep and wake onto few cores, as guests of a cloud do, leave a worker on its
caller's core for a second and longer: of 378 windows of 40 ms in the benchmark 54 were half as fast.
"""

from __future__ import annotations

from convforge.ir.emitter import Emitter, Module
from convforge.ir.layout_of_pool import (
    ACTIVE,
    ASLEEP,
    BUSY,
    CALL,
    CALL_POINTERS,
    CORE_OF,
    CORE_SET_BYTES,
    GET_CORES,
    JOB,
    LIMIT,
    MOST_CORES,
    NEXT,
    SCRATCH,
    SCRATCH_BYTES,
    SET_CORES,
    SPIN,
    SPREAD,
    STOP,
    TAKEN,
    TASK,
    TOTAL,
    YIELD,
)
from convforge.ir.text import I1, I32, I64, POINTER, VOID, Value

# Rounds of waiting for workers (about 100 µs) before the caller lets others have its core.
YIELD_AFTER = 3000
# Of a note in TAKEN: a thread's slot, below the job.
_SLOT_BITS = 11


def emit_pool(module: Module, pause: str | None) -> None:
    """Emit `work(pool, slot)` and `run(task, pool, total, scratch, scratch_bytes, five pointers)`.

    `work` returns 1 to stop and 0 to be put to sleep. `pause` is the processor's spin hint.
    """
    _emit_work(module, pause)
    _emit_run(module, pause)


def _field(e: Emitter, pool: Value, offset: int) -> Value:
    return e.at(pool, "i8", offset)


def _atomic_load(e: Emitter, at: Value) -> Value:
    return e.b.load_atomic(at, "seq_cst", 8, typ=I64)


def _pause(e: Emitter, pause: str | None) -> None:
    if pause:
        e.b.call(e.module.declare(pause, VOID, []), [])


def _spreads(e: Emitter, pool: Value) -> Value:
    """Whether the job's threads are to have a core each, and the system tells which they have."""
    known = e.b.icmp_signed("!=", e.load("i64", _field(e, pool, CORE_OF)), I64(0))
    threads, cores = (e.load("i64", _field(e, pool, at)) for at in (LIMIT, SPREAD))
    return e.b.and_(known, e.b.icmp_signed("<=", threads, cores))


def _core(e: Emitter, pool: Value) -> tuple[Value, Value]:
    """The number of this thread's core, and where it is noted who took that last, and for which job."""
    core = e.b.call_pointer(I32, e.load_pointer(_field(e, pool, CORE_OF)), [])
    core = e.b.and_(e.b.zext(core, I64), I64(MOST_CORES - 1))
    return core, e.at(_field(e, pool, TAKEN), "i64", core)


def _by(e: Emitter, job: Value, slot: Value) -> Value:
    """The note of a thread that takes a core for a job."""
    return e.b.add(e.b.shl(job, I64(_SLOT_BITS)), slot)


def _leave_callers_core(e: Emitter, pool: Value, cores: Value) -> None:
    """Step aside where the last job's caller has this core: a thread that only runs where the caller does not
    would never see a job open.
    """
    with e.when(_spreads(e, pool)):
        core, taken = _core(e, pool)
        last = e.b.or_(e.b.sub(e.load("i64", _field(e, pool, JOB)), I64(1)), I64(1))
        is_callers = e.b.icmp_signed("==", e.load("i64", taken), _by(e, last, I64(0)))
        with e.when(is_callers):
            _step_aside(e, pool, core, cores)


def _take_core(e: Emitter, pool: Value, job: Value, slot: Value, cores: Value | None = None) -> None:
    """Take this thread's core for a job; where another has, and given room for a set of cores, step aside."""
    with e.when(_spreads(e, pool)):
        core, taken = _core(e, pool)
        before = e.b.atomic_rmw("xchg", taken, _by(e, job, slot), "seq_cst")
        if cores is not None:
            with e.when(e.b.icmp_signed("==", e.b.lshr(before, I64(_SLOT_BITS)), job)):
                _step_aside(e, pool, core, cores)


def _step_aside(e: Emitter, pool: Value, core: Value, cores: Value) -> None:
    """Move this thread to another core that it may use, if there is one. cores: room for a set of them."""
    whose, size = I32(0), I64(CORE_SET_BYTES)
    get, put = (e.load_pointer(_field(e, pool, at)) for at in (GET_CORES, SET_CORES))
    with e.when(e.b.icmp_signed("==", e.b.call_pointer(I32, get, [whose, size, cores]), I32(0))):
        word = e.at(cores, "i64", e.b.lshr(core, I64(6)))
        before = e.load("i64", word)
        mine = e.b.shl(I64(1), e.b.and_(core, I64(63)))
        e.store(e.b.and_(before, e.b.xor(mine, I64(-1))), "i64", word)
        e.b.call_pointer(I32, put, [whose, size, cores])
        e.store(before, "i64", word)
        e.b.call_pointer(I32, put, [whose, size, cores])


def _drain(e: Emitter, pool: Value, task: Value, call: Value, scratch: Value, total: Value) -> None:
    """while (i = next++) < total: task(call, i, scratch)."""
    head, body, done = (e.function.block(n) for n in ("draw", "drawn", "drained"))
    e.b.branch(head)
    e.b.position_at_end(head)
    index = e.b.atomic_rmw("add", _field(e, pool, NEXT), e.i64(1), "monotonic")
    e.b.cbranch(e.less(index, total), body, done)
    e.b.position_at_end(body)
    e.b.call_pointer(VOID, task, [call, index, scratch])
    e.b.branch(head)
    e.b.position_at_end(done)


def _emit_work(module: Module, pause: str | None) -> None:
    e = module.function("work", "pi", I64)
    pool, slot = e.arguments
    wait, look, rest, join, draw, leave, stop, sleep = (
        e.function.block(n) for n in ("wait", "look", "rest", "join", "draw", "leave", "stop", "sleep")
    )
    b, job_at, active_at = e.b, _field(e, pool, JOB), _field(e, pool, ACTIVE)
    cores = b.alloca(I64, CORE_SET_BYTES // 8)
    _leave_callers_core(e, pool, cores)
    entry = b.block
    b.branch(wait)
    b.position_at_end(wait)
    done = b.phi(I64)  # the last job that this worker has seen to the end
    done.add_incoming(I64(0), entry)
    b.branch(look)
    b.position_at_end(look)
    rounds = b.phi(I64)
    rounds.add_incoming(I64(0), wait)
    job = _atomic_load(e, job_at)
    is_open = b.trunc(job, I1)
    b.cbranch(b.and_(is_open, b.icmp_signed("!=", job, done)), join, rest)
    b.position_at_end(rest)
    _pause(e, pause)
    stopping = _atomic_load(e, _field(e, pool, STOP))
    more = b.add(rounds, I64(1))
    tired = b.icmp_signed(">", more, _atomic_load(e, _field(e, pool, SPIN)))
    check = e.function.block("check")
    b.cbranch(b.icmp_signed("!=", stopping, I64(0)), stop, check)
    b.position_at_end(check)
    b.cbranch(tired, sleep, look)
    rounds.add_incoming(more, check)
    b.position_at_end(join)
    b.atomic_rmw("add", active_at, I64(1), "seq_cst")
    again = _atomic_load(e, job_at)
    allowed = b.icmp_signed("<", slot, e.load("i64", _field(e, pool, LIMIT)))
    b.cbranch(b.and_(b.icmp_signed("==", again, job), allowed), draw, leave)
    b.position_at_end(draw)
    _take_core(e, pool, job, slot, cores)
    scratch = e.at(
        e.load_pointer(_field(e, pool, SCRATCH)),
        "i8",
        e.mul(slot, e.load("i64", _field(e, pool, SCRATCH_BYTES))),
    )
    e.store(e.i64(0), "i64", scratch)
    _drain(
        e,
        pool,
        e.load_pointer(_field(e, pool, TASK)),
        e.load_pointer(_field(e, pool, CALL)),
        scratch,
        e.load("i64", _field(e, pool, TOTAL)),
    )
    b.branch(leave)
    b.position_at_end(leave)
    b.atomic_rmw("sub", active_at, I64(1), "seq_cst")
    done.add_incoming(job, leave)
    b.branch(wait)
    b.position_at_end(stop)
    b.ret(I64(1))
    b.position_at_end(sleep)
    # Workers are counted from slot 1: slot 0 is the caller's.
    asleep = e.at(_field(e, pool, ASLEEP), "i64", b.sub(slot, I64(1)))
    b.atomic_rmw("xchg", asleep, I64(1), "seq_cst")
    b.ret(I64(0))


def _emit_run(module: Module, pause: str | None) -> None:
    e = module.function("run", "ppiipippppp")
    task, pool, total, threads, scratch, scratch_bytes, *pointers = e.arguments
    b = e.b
    call = b.alloca(POINTER, size=CALL_POINTERS)
    for i, pointer in enumerate(pointers):
        b.store(pointer, b.gep(call, [I64(i)], source_etype=POINTER), align=8)
    e.store(e.i64(0), "i64", scratch)
    alone, shared, offer, close, done = (
        e.function.block(n) for n in ("alone", "shared", "offer", "close", "done")
    )
    many = b.and_(b.icmp_signed(">", total, I64(1)), b.icmp_signed(">", threads, I64(1)))
    b.cbranch(many, shared, alone)
    b.position_at_end(shared)
    # One job at a time: a second Python thread that convolves meanwhile runs its own job alone.
    b.cbranch(b.compare_exchange(_field(e, pool, BUSY), I64(0), I64(1)), offer, alone)
    b.position_at_end(offer)
    b.store(task, _field(e, pool, TASK), align=8)
    b.store(call, _field(e, pool, CALL), align=8)
    b.store(scratch, _field(e, pool, SCRATCH), align=8)
    e.store(scratch_bytes, "i64", _field(e, pool, SCRATCH_BYTES))
    e.store(total, "i64", _field(e, pool, TOTAL))
    e.store(threads, "i64", _field(e, pool, LIMIT))
    _take_core(e, pool, b.add(e.load("i64", _field(e, pool, JOB)), I64(1)), I64(0))
    b.atomic_rmw("xchg", _field(e, pool, NEXT), I64(0), "seq_cst")
    b.atomic_rmw("add", _field(e, pool, JOB), I64(1), "seq_cst")
    _drain(e, pool, task, call, scratch, total)
    b.atomic_rmw("add", _field(e, pool, JOB), I64(1), "seq_cst")
    offered = b.block
    b.branch(close)
    b.position_at_end(close)
    rounds = b.phi(I64)
    rounds.add_incoming(I64(0), offered)
    _pause(e, pause)
    # A worker that the system took off its core in mid-task needs one to finish on: offer it ours.
    with e.when(b.icmp_signed(">", rounds, I64(YIELD_AFTER))):
        b.call_pointer(I32, e.load_pointer(_field(e, pool, YIELD)), [])
    left = _atomic_load(e, _field(e, pool, ACTIVE))
    free = e.function.block("free")
    rounds.add_incoming(b.add(rounds, I64(1)), b.block)
    b.cbranch(b.icmp_signed("==", left, I64(0)), free, close)
    b.position_at_end(free)
    b.atomic_rmw("xchg", _field(e, pool, BUSY), I64(0), "seq_cst")
    b.branch(done)
    b.position_at_end(alone)
    with e.loop(0, total, name="task") as i:
        b.call_pointer(VOID, task, [call, i.index, scratch])
    b.branch(done)
    b.position_at_end(done)
    b.ret_void()
