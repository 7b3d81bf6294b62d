"""Writes files like torch.save, without torch: an archive of a pickle and of the tensors' numbers.
The pickle names the functions of torch that assemble them."""

from __future__ import annotations

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np


class _Tensor:
    def __init__(self, values: Any, key: str) -> None:
        self.values = np.ascontiguousarray(values, np.float32)
        self.key = key

    def __reduce__(self) -> Any:
        shape = self.values.shape
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
        storage = _Storage(self.key, self.values.size)
        return _stand_ins()[1], (storage, 0, shape, strides, False, OrderedDict())


class _Storage:
    def __init__(self, key: str, size: int) -> None:
        self.key, self.size = key, size


def _stand_ins() -> tuple[Any, Any]:
    """Objects with the names of torch's, so that a pickle can name them."""
    torch = sys.modules["torch"]
    return torch.FloatStorage, sys.modules["torch._utils"]._rebuild_tensor_v2


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, _Storage):
            return ("storage", _stand_ins()[0], value.key, "cpu", value.size)
        return None


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a dictionary of numbers and dictionaries of arrays."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    class FloatStorage:
        pass

    def _rebuild_tensor_v2() -> None:
        pass

    FloatStorage.__module__, FloatStorage.__qualname__ = "torch", "FloatStorage"
    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    torch.FloatStorage, torch._utils = FloatStorage, utils  # type: ignore[attr-defined]
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    tensors: list[_Tensor] = []

    def with_tensors(values: dict[str, Any]) -> Any:
        made = OrderedDict()
        for name, array in values.items():
            tensors.append(_Tensor(array, str(len(tensors))))
            made[name] = tensors[-1]
        return made

    replaced = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        data = io.BytesIO()
        _Pickler(data, protocol=2).dump(
            {key: with_tensors(value) if isinstance(value, dict) else value for key, value in state.items()}
        )
    finally:
        for name, module in replaced.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{path.stem}/data.pkl", data.getvalue())
        for tensor in tensors:
            archive.writestr(f"{path.stem}/data/{tensor.key}", tensor.values.tobytes())
        archive.writestr(f"{path.stem}/version", "3\n")


def random_state(dim: int, heads: int, layers: int, ff_dim: int, seed: int = 0) -> dict[str, Any]:
    """The state of a transformer with random weights."""
    random = np.random.default_rng(seed)

    def linear(outputs: int, inputs: int) -> dict[str, Any]:
        scale = inputs**-0.5
        return {
            "weight": random.normal(0, scale, (outputs, inputs)).astype(np.float32),
            "bias": random.normal(0, 0.1, outputs).astype(np.float32),
        }

    encoder: dict[str, Any] = {}
    for layer in range(layers):
        part = f"layers.{layer}."
        attention = linear(3 * dim, dim)
        encoder[part + "self_attn.in_proj_weight"] = attention["weight"]
        encoder[part + "self_attn.in_proj_bias"] = attention["bias"]
        for name, (outputs, inputs) in {
            "self_attn.out_proj": (dim, dim),
            "linear1": (ff_dim, dim),
            "linear2": (dim, ff_dim),
        }.items():
            encoder.update({f"{part}{name}.{key}": value for key, value in linear(outputs, inputs).items()})
        for norm in ("norm1", "norm2"):
            encoder[f"{part}{norm}.weight"] = random.normal(1, 0.1, dim).astype(np.float32)
            encoder[f"{part}{norm}.bias"] = random.normal(0, 0.1, dim).astype(np.float32)
    return {
        "embed_dim": dim,
        "num_heads": heads,
        "num_layers": layers,
        "ff_dim": ff_dim,
        "dropout": 0.1,
        "input_proj": linear(dim, dim),
        "encoder": encoder,
        "output_proj": linear(dim, dim),
    }


def reference(state: dict[str, Any], queries: Any) -> Any:
    """Computes the network's output in float64."""
    from math import erf

    def linear(part: dict[str, Any], name: str, x: Any, rows: slice = slice(None)) -> Any:
        joint = "_" if name.endswith("in_proj") else "."
        prefix = name + joint if name else ""
        return x @ part[prefix + "weight"][rows].astype(float).T + part[prefix + "bias"][rows]

    def norm(part: dict[str, Any], name: str, x: Any) -> Any:
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
        return x * part[name + ".weight"] + part[name + ".bias"]

    gelu = np.vectorize(lambda v: 0.5 * v * (1 + erf(v / 2**0.5)))
    dim, encoder = state["embed_dim"], state["encoder"]
    x = linear(state["input_proj"], "", np.asarray(queries, np.float64))
    for layer in range(state["num_layers"]):
        part = f"layers.{layer}."
        value = linear(encoder, part + "self_attn.in_proj", x, slice(2 * dim, None))
        x = norm(encoder, part + "norm1", x + linear(encoder, part + "self_attn.out_proj", value))
        hidden = gelu(linear(encoder, part + "linear1", x))
        x = norm(encoder, part + "norm2", x + linear(encoder, part + "linear2", hidden))
    return linear(state["output_proj"], "", x)
