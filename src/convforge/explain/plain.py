"""Explain's values as JSON can hold them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from convforge.explain.sentence import Sentence
from convforge.explain.words import LANGUAGES, Words


def as_plain(value: Any) -> Any:
    """The value as JSON can hold it: dataclasses as objects, sentences as {"en": …, "zh": …}."""
    if isinstance(value, Sentence | Words):
        return {language: value(language) for language in LANGUAGES}
    if dataclasses.is_dataclass(value):
        fields: dict[str, Any] = {
            field.name: getattr(value, field.name) for field in dataclasses.fields(value)
        }
        text = getattr(value, "text", None)
        if isinstance(text, str):
            fields["text"] = text
        return {name: as_plain(item) for name, item in fields.items()}
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset | set):
        return [as_plain(item) for item in value]
    if isinstance(value, np.dtype):
        return value.name
    return value
