"""Turns emitted IR into object code; nothing here runs it."""

from __future__ import annotations

from functools import lru_cache

from llvmlite import binding as llvm

from convforge.target import Target


def compile_object(ir_text: str, target: Target) -> bytes:
    """Compile a module to an object file for a target.

    The IR comes as it should run: unrolled, vectorised and scheduled by the kernels. So only passes that
    clean up run on it; the loop optimisers would hoist broadcasts out of loops and spill them
    (llvm-project#120015).

    Raises RuntimeError where LLVM finds the IR malformed: a mistake of ours, never of the user's.
    """
    machine = _machine(target)
    module = llvm.parse_assembly(ir_text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(machine, options)
    passes = llvm.create_new_module_pass_manager()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)
    return bytes(machine.emit_object(module))


def assembly(ir_text: str, target: Target) -> str:
    """The assembly of a module, to read: look for stack traffic in the inner loop."""
    return _machine(target).emit_assembly(llvm.parse_assembly(ir_text))


@lru_cache(maxsize=8)
def _machine(target: Target) -> llvm.TargetMachine:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    kind = llvm.Target.from_triple(target.triple)
    return kind.create_target_machine(
        cpu=target.cpu, features=target.feature_string, opt=2, reloc="pic", codemodel="small"
    )
