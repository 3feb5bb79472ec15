"""Where a tensor lives. Here that is always the processor; the object exists for PyTorch's spelling."""

from __future__ import annotations

from typing import Any

_KNOWN = ("cpu", "cuda", "mps", "xpu", "meta", "mkldnn", "hip", "xla", "vulkan", "hpu")


class Device:
    """A device by type and index. device('cpu') is the only one on which tensors can be made."""

    __slots__ = ("index", "type")

    def __init__(self, type: str | Device = "cpu", index: int | None = None) -> None:
        if isinstance(type, Device):
            type, index = type.type, type.index
        name, colon, number = str(type).partition(":")
        if name not in _KNOWN:
            raise RuntimeError(
                f"Expected one of {', '.join(_KNOWN)} device type at start of device string: {name}"
            )
        if colon:
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}'")
            index = int(number)
        self.type = name
        self.index = index

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (")" if self.index is None else f", index={self.index})")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Device, (self.type, self.index))


Device.__name__ = Device.__qualname__ = "device"
# Pickles look a class up by its name.
device = Device
CPU = Device("cpu")


def require_cpu(device: Any) -> None:
    """Accept None and the processor; raise for every other device, as PyTorch built without it does."""
    if device is None:
        return
    given = device if isinstance(device, Device) else Device(device)
    if given.type == "cuda":
        raise AssertionError(
            "Torch not compiled with CUDA enabled: convforge runs on the CPU, use device='cpu'"
        )
    if given.type != "cpu":
        raise RuntimeError(f"device (={given}) must be cpu: convforge runs on the CPU, use device='cpu'")
