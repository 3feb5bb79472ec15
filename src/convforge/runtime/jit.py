"""LLVM's own loader, where this package does not link object files itself: macOS, Windows, Arm."""

from __future__ import annotations

from typing import Any

from llvmlite import binding as llvm

ENTRIES = ("task", "work", "run", "peak")


def start_object(object_file: bytes) -> tuple[dict[str, int], Any]:
    """Load an object file; return the addresses of its entries and the engine that owns the code."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(codemodel="jitdefault")
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(object_file))
    engine.finalize_object()
    addresses = {name: engine.get_function_address(name) for name in ENTRIES}
    return {name: at for name, at in addresses.items() if at}, engine
