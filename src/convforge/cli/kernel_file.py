"""Reads a layer's weight, and its bias if there is one, from .npy, .npz or .safetensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from convforge.cli.failure import CliError, readable, reason

Array = npt.NDArray[np.float32]
SUFFIXES = (".npy", ".npz", ".safetensors")


def is_kernel_file(text: str) -> bool:
    """Whether `--kernel TEXT` means a file and not a filter's name."""
    path = file_and_key(text)[0]
    return path.suffix.lower() in (*SUFFIXES, ".pt", ".pth") or path.is_file()


def file_and_key(text: str) -> tuple[Path, str | None]:
    """`weights.npz:layer1.conv` -> the file, and the key within it."""
    file, colon, key = text.rpartition(":")
    if colon and not Path(text).exists() and Path(file).suffix.lower() in SUFFIXES:
        return Path(file), key
    return Path(text), None


def read_kernel(text: str) -> dict[str, Array]:
    """The arrays of a file, by name, in float32.

    A .npy gives {"weight": array}. `FILE:KEY` keeps the entries that begin with KEY, and of these names drops
    it: `resnet.safetensors:layer1.0.conv1` -> {"weight": array}.

    Raises CliError for a file that is missing, damaged, of another kind, or holds no numbers.
    """
    path, key = file_and_key(text)
    name = readable(path)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise CliError(f"--kernel {name}: no such file: check the name")
    if suffix not in SUFFIXES:
        raise CliError(
            f"--kernel {name}: {suffix or 'a file without suffix'} is not read: "
            "save the weight with numpy.save, numpy.savez or safetensors"
        )
    try:
        arrays = load_safetensors(path) if suffix == ".safetensors" else load_numpy(path)
    except CliError:
        raise
    # The readers raise many types on damaged files (zipfile, JSON, struct, …).
    except Exception as error:
        raise CliError(f"--kernel {name}: damaged, or holds no plain arrays ({reason(error)})") from None
    if key is not None:
        arrays = {
            entry.removeprefix(key).lstrip(".") or "weight": array
            for entry, array in arrays.items()
            if entry == key or entry.startswith(f"{key}.")
        } or no_entry(name, key, list(arrays))
    return {entry: as_numbers(array, f"{name}, {entry}") for entry, array in arrays.items()}


def no_entry(name: str, key: str, entries: list[str]) -> dict[str, npt.NDArray[np.generic]]:
    """Refuses a key that the file does not hold."""
    listed = ", ".join(entries[:8]) + (", …" if len(entries) > 8 else "")
    raise CliError(f"--kernel {name}: no entry {key}: it holds {listed}")


def load_numpy(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of a .npy or .npz. Pickled objects are refused: they could run code."""
    with path.open("rb") as file:  # NumPy does not close what it cannot read
        loaded = np.load(file, allow_pickle=False)
        return {"weight": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)


def load_safetensors(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of a .safetensors."""
    try:
        from safetensors.numpy import load_file
    except ImportError:
        raise CliError(
            f"--kernel {readable(path)}: needs safetensors: pip install 'convforge[weights]'"
        ) from None
    return load_file(path)


def as_numbers(array: npt.NDArray[np.generic], name: str) -> Array:
    """The array in float32; CliError where it holds no real, finite numbers."""
    # ml_dtypes' bfloat16 has the kind V.
    if array.dtype.kind not in "fiubV" or array.dtype.names is not None:
        raise CliError(f"--kernel {name}: {array.dtype} is not a real number: save it as float32")
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise CliError(f"--kernel {name}: holds NaN or infinity: save finite float32")
    return numbers


def pick_weight(arrays: dict[str, Array], shape: tuple[int, ...], source: str) -> tuple[Array, Array | None]:
    """The entry that fits the layer's weight, and the bias beside it.

    A two-dimensional array is a filter for every channel pair, as the named filters are.

    Raises CliError that lists what the file holds where none fits, or several do.
    """
    fits = {entry: a for entry, a in arrays.items() if a.shape == shape or a.shape == shape[2:]}
    if "weight" in fits:
        fits = {"weight": fits["weight"]}
    if len(fits) != 1:
        listed = ", ".join(f"{entry} {a.shape}" for entry, a in list(arrays.items())[:8])
        rule = "no array has" if not fits else "several arrays have"
        raise CliError(
            f"--kernel {source}: {rule} the layer's weight shape {shape}: it holds {listed}; "
            "change --layer to match, or name one with FILE:KEY"
        )
    [(entry, weight)] = fits.items()
    return weight, arrays.get(entry.removesuffix("weight") + "bias")
