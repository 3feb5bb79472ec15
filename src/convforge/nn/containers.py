"""Modules that hold modules: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import chain, groupby
from typing import Any, Self

from .module import Module, indent


class _Numbered(Module):
    """Modules named '0', '1', …: what Sequential and ModuleList share."""

    _modules: dict[str, Module]  # type: ignore[assignment]

    def _names(self, index: int | slice) -> list[str]:
        """The names at an index or a slice. Raises IndexError out of range."""
        names = list(self._modules)
        if isinstance(index, slice):
            return names[index]
        index = operator.index(index)
        if not -len(names) <= index < len(names):
            raise IndexError(f"index {index} is out of range")
        return [names[index]]

    def __setitem__(self, idx: int, module: Module) -> None:
        setattr(self, self._names(idx)[0], module)

    def __delitem__(self, idx: int | slice) -> None:
        for name in self._names(idx):
            delattr(self, name)
        # Number those that are left anew.
        rest = list(self._modules.values())
        self._modules.clear()
        self._modules.update((str(i), module) for i, module in enumerate(rest))

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key: int | slice) -> Any:
        """Take out the module at an index, or those of a slice, and return it."""
        module = self[key]
        del self[key]
        return module

    def __getitem__(self, idx: Any) -> Any:
        raise NotImplementedError

    def _insert(self, index: int, module: Module) -> None:
        for i in range(len(self), index, -1):
            self._modules[str(i)] = self._modules[str(i - 1)]
        self._modules[str(index)] = module


class Sequential(_Numbered):
    """Modules called one after the other, each on the output of the one before.

        Sequential(Conv2d(3, 8, 3), ReLU())
        Sequential(OrderedDict([("conv", Conv2d(3, 8, 3)), ("relu", ReLU())]))

    Without modules it returns its input.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], OrderedDict) else enumerate(args)
        for name, module in named:
            self.add_module(name if isinstance(name, str) else str(name), module)

    def __getitem__(self, idx: int | slice) -> Any:
        """The module at an index, or a Sequential of those in a slice (under their names)."""
        names = self._names(idx)
        if isinstance(idx, slice):
            return type(self)(OrderedDict((name, self._modules[name]) for name in names))
        return self._modules[names[0]]

    def forward(self, input: Any) -> Any:
        """The output of the last module."""
        for module in self._modules.values():
            input = module(input)
        return input

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before the one at `index`."""
        given: Any = module
        if not isinstance(given, Module):
            raise AssertionError(f"module should be of type: {Module}")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"Index out of range: {index}")
        self._insert(index + len(self) if index < 0 else index, module)
        return self

    def extend(self, sequential: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in list(sequential):
            self.append(module)
        return self

    def __add__(self, other: Any) -> Sequential:
        _require_sequential(other)
        return Sequential(*self, *other)

    def __iadd__(self, other: Any) -> Self:
        _require_sequential(other)
        return self.extend(other)

    def __mul__(self, other: int) -> Sequential:
        _require_count(self, other)
        return Sequential(*list(self) * other)

    def __rmul__(self, other: int) -> Sequential:
        return self.__mul__(other)

    def __imul__(self, other: int) -> Self:
        _require_count(self, other)
        return self.extend(list(self) * (other - 1))


def _require_sequential(other: Any) -> None:
    if not isinstance(other, Sequential):
        raise ValueError(
            f"add operator supports only objects of Sequential class, but {type(other)} is given."
        )


def _require_count(module: Sequential, count: Any) -> None:
    if not isinstance(count, int):
        raise TypeError(f"unsupported operand type(s) for *: {type(module)} and {type(count)}")
    if count <= 0:
        raise ValueError(f"Non-positive multiplication factor {count} for {type(module)}")


class ModuleList(_Numbered):
    """A list of modules, each registered under its index.

    modules: what to start with. A ModuleList is not called: call what it holds.
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, idx: int | slice) -> Any:
        """The module at an index, or a ModuleList of those in a slice."""
        modules = [self._modules[name] for name in self._names(idx)]
        return type(self)(modules) if isinstance(idx, slice) else modules[0]

    def insert(self, index: int, module: Module) -> None:
        """Put a module before the one at `index` (as in PyTorch, not negative)."""
        self._insert(index, module)

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end. Raises TypeError for what cannot be iterated."""
        given: Any = modules
        if not isinstance(given, Iterable):
            raise TypeError(
                f"ModuleList.extend should be called with an iterable, but got {type(given).__name__}"
            )
        for module in list(modules):
            self.append(module)
        return self

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList(chain(self, other))

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __repr__(self) -> str:
        """Equal neighbours are printed once: `(0-2): 3 x Linear(…)`."""
        if len(self) == 0:
            return f"{self._get_name()}()"
        lines: list[str] = []
        for text, group in groupby(enumerate(map(repr, self)), key=lambda item: item[1]):
            indices = [i for i, _ in group]
            line = f"({indices[0]}): {text}"
            if len(indices) > 1:
                line = f"({indices[0]}-{indices[-1]}): {len(indices)} x {text}"
            lines.append(indent(line, blank=True))
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


class ModuleDict(Module):
    """A dict of modules, each registered under its key, in the order of insertion.

    modules: a mapping, or pairs of a name and a module. A ModuleDict is not called: call what it holds.
    """

    _modules: dict[str, Module]  # type: ignore[assignment]

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Remove all modules."""
        self._modules.clear()

    def pop(self, key: str) -> Module:
        """Take out the module under `key` and return it. Raises KeyError if there is none."""
        return self._modules.pop(key)

    def keys(self) -> KeysView[str]:
        """The keys."""
        return self._modules.keys()

    def items(self) -> ItemsView[str, Module]:
        """(key, module) pairs."""
        return self._modules.items()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Put in the modules of a mapping, or of pairs of a name and a module.

        Raises TypeError for what cannot be iterated, ValueError for an element that is not a pair.
        """
        for key, module in pairs_of(modules, "ModuleDict.update", "ModuleDict update"):
            self[key] = module


def pairs_of(given: Any, method: str, label: str) -> Iterable[tuple[Any, Any]]:
    """(key, value) pairs of a mapping or an iterable of pairs; `method` and `label` stand in the messages."""
    if not isinstance(given, Iterable):
        raise TypeError(
            f"{method} should be called with an iterable of key/value pairs, but got {type(given).__name__}"
        )
    if isinstance(given, Mapping | ModuleDict):
        return given.items()
    pairs: list[tuple[Any, Any]] = []
    for j, pair in enumerate(given):
        if not isinstance(pair, Iterable):
            raise TypeError(f"{label} sequence element #{j} should be Iterable; is{type(pair).__name__}")
        items = list(pair)
        if len(items) != 2:
            raise ValueError(f"{label} sequence element #{j} has length {len(items)}; 2 is required")
        pairs.append((items[0], items[1]))
    return pairs
