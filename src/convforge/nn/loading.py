"""Loading of state dicts: values from Tensors, arrays or other libraries, with PyTorch's messages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..autograd.grad_mode import no_grad
from ..autograd.tensor import Tensor
from .foreign import to_tensor
from .parameter import Parameter, is_lazy
from .state import EXTRA_STATE_KEY_SUFFIX, ModuleState


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` returns: the keys that were wanted and not there, and there and not wanted."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys!r}, unexpected_keys={self.unexpected_keys!r})"
        )

    __str__ = __repr__


class ModuleLoading(ModuleState):
    """The part of `Module` that reads state dicts."""

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy the values of `state_dict` into this module and all below it.

        Values may be Tensors, NumPy arrays, or tensors of other libraries (PyTorch's among them).
        strict: the keys must be exactly the module's. assign: take the values in place of the module's own
        tensors, with their dtype, rather than copying.

        Raises TypeError if `state_dict` is not a mapping, RuntimeError that lists every missing key,
        unexpected key and size mismatch.
        """
        given: Any = state_dict
        if not isinstance(given, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(given)}.")
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        metadata: Any = getattr(state_dict, "_metadata", None)
        # A copy, so that hooks and `_load_from_state_dict` may change it.
        own: Any = OrderedDict(given)
        if metadata is not None:
            own._metadata = metadata

        def load(module: ModuleLoading, local: Mapping[str, Any], prefix: str = "") -> None:
            local_metadata: dict[str, Any] = dict(metadata.get(prefix[:-1], {})) if metadata else {}
            if assign:
                local_metadata["assign_to_params_buffers"] = assign
            module._load_from_state_dict(local, prefix, local_metadata, True, missing, unexpected, errors)
            for name, child in module._modules.items():
                if child is not None:
                    path = prefix + name + "."
                    load(child, {k: v for k, v in local.items() if k.startswith(path)}, path)
            incompatible = IncompatibleKeys(missing, unexpected)
            for hook in module._load_state_dict_post_hooks.values():
                if hook(module, incompatible) is not None:
                    raise AssertionError(
                        "Hooks registered with ``register_load_state_dict_post_hook`` are not "
                        "expected to return new values, if incompatible_keys need to be modified, "
                        "it should be done inplace."
                    )

        load(self, own)
        if strict:
            if unexpected:
                errors.insert(0, f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
            if missing:
                errors.insert(0, f"Missing key(s) in state_dict: {_quoted(missing)}. ")
        if errors:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(errors)
            )
        return IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own state, not that of the modules below; add what went wrong to the lists.

        A subclass may override this to read old state dicts: `local_metadata.get("version")` tells which.
        """
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        persistent = {k: v for k, v in self._buffers.items() if k not in self._non_persistent_buffers_set}
        local_state: dict[str, Tensor] = {
            k: v for k, v in (*self._parameters.items(), *persistent.items()) if v is not None
        }
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, own in local_state.items():
            key = prefix + name
            if key in state_dict:
                self._load_value(name, own, key, state_dict[key], assign, error_msgs)
            elif strict:
                missing_keys.append(key)

        extra_state_key = prefix + EXTRA_STATE_KEY_SUFFIX
        if type(self).set_extra_state is not ModuleState.set_extra_state:
            if extra_state_key in state_dict:
                self.set_extra_state(state_dict[extra_state_key])
            elif strict:
                missing_keys.append(extra_state_key)
        elif strict and extra_state_key in state_dict:
            unexpected_keys.append(extra_state_key)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra_state_key:
                    head, dot, _ = key[len(prefix) :].partition(".")
                    if head not in (self._modules if dot else local_state):
                        unexpected_keys.append(key)

    def _load_value(
        self, name: str, own: Tensor, key: str, given: Any, assign: bool, errors: list[str]
    ) -> None:
        value = to_tensor(given)
        if value is None:
            errors.append(
                f'While copying the parameter named "{key}", '
                f"expected torch.Tensor or Tensor-like object from checkpoint but received {type(given)}"
            )
            return
        lazy = is_lazy(own)
        # State dicts from before 0-d tensors existed.
        if not lazy and own.dim() == 0 and value.dim() == 1 and value.shape[0] == 1:
            value = value[0]
        if not lazy and value.shape != own.shape:
            errors.append(
                f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, "
                f"the shape in current model is {own.shape}."
            )
            return
        try:
            with no_grad():
                if not assign:
                    own.copy_(value)
                    return
                if isinstance(own, Parameter):
                    if isinstance(value, Parameter):
                        value.requires_grad_(own.requires_grad)
                    else:
                        value = Parameter(value, requires_grad=own.requires_grad)
                setattr(self, name, value)
        except Exception as error:
            errors.append(
                f'While copying the parameter named "{key}", '
                f"whose dimensions in the model are {own.size()} and "
                f"whose dimensions in the checkpoint are {value.size()}, "
                f"an exception occurred : {error.args}."
            )


def _quoted(keys: list[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys)
