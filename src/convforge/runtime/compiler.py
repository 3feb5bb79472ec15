"""Turns emitted IR into object code; nothing here runs it."""

from __future__ import annotations

import threading
from ctypes import string_at
from typing import Any

from llvmlite import binding as llvm
from llvmlite.binding import ffi

from convforge.target import Target


def compile_object(ir_text: str, target: Target) -> bytes:
    """Compile a module to an object file for a target.

    The IR comes as it should run: unrolled, vectorised and scheduled by the kernels. So only passes that
    clean up run on it; the loop optimisers would hoist broadcasts out of loops and spill them
    (llvm-project#120015).

    Raises RuntimeError where LLVM finds the IR malformed: a mistake of ours, never of the user's.
    """
    machine = _machine(target)
    module = llvm.parse_assembly(ir_text, llvm.create_context())
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(machine, options)
    passes = llvm.create_new_module_pass_manager()
    passes.add_simplify_cfg_pass()
    _unlocked(ffi.lib.LLVMPY_RunNewModulePassManager)(passes, module, builder)
    with ffi.OutputString() as error:
        buffer = _unlocked(ffi.lib.LLVMPY_TargetMachineEmitToMemory)(machine, module, 1, error)
        if not buffer:
            raise RuntimeError(str(error))
    try:
        return string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def _unlocked(function: Any) -> Any:
    """A function of llvmlite's without the lock that lets one thread call LLVM at a time.

    The two that take nearly all of a compile work on a module with a context of its own and on this
    thread's machine, which LLVM allows side by side. Where llvmlite wraps its functions otherwise, in turn.
    """
    return getattr(function, "_cfn", function)


def assembly(ir_text: str, target: Target) -> str:
    """The assembly of a module, to read: look for stack traffic in the inner loop."""
    return _machine(target).emit_assembly(llvm.parse_assembly(ir_text))


class _Machines(threading.local):
    """This thread's machines: no two threads may use one at the same time."""

    def __init__(self) -> None:
        self.of: dict[Target, llvm.TargetMachine] = {}


_machines = _Machines()


def _machine(target: Target) -> llvm.TargetMachine:
    found = _machines.of.get(target)
    if found is None:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        kind = llvm.Target.from_triple(target.triple)
        found = _machines.of[target] = kind.create_target_machine(
            cpu=target.cpu, features=target.feature_string, opt=2, reloc="pic", codemodel="small"
        )
    return found
