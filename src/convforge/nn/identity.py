"""Identity: a module that gives back its input, to stand where a layer was taken out."""

from __future__ import annotations

from typing import Any

from .module import Module


class Identity(Module):
    """Returns its input. Arguments of any kind are accepted and ignored, so that it can replace any layer."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """The input itself."""
        return input
