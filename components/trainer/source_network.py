"""Reads the layers with weights out of a file of Keras 1, 2 or 3 or a SavedModel."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.errors import ModelError
from components.trainer.weights_file import WeightsFormat, detect_format

Array = npt.NDArray[np.float32]

# What a weight is, by the last part of its name in Keras 1 (W, b, running_*), 2 and 3.
_ROLES = {
    "kernel": "kernel",
    "depthwise_kernel": "kernel",
    "W": "kernel",
    "bias": "bias",
    "b": "bias",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "moving_mean",
    "running_mean": "moving_mean",
    "moving_variance": "moving_variance",
    "running_std": "moving_variance",  # Keras 1 named the variance so
}
NORM_ROLES = ("gamma", "beta", "moving_mean", "moving_variance")


@dataclass(frozen=True)
class SourceLayer:
    """One layer of the source.

    Attributes:
      name: its name there.
      arrays: float32, by what they are: `kernel` and `bias`, or `gamma`, `beta`, `moving_mean`, `moving_variance`.
    """

    name: str
    arrays: Mapping[str, Array]

    @property
    def is_norm(self) -> bool:
        """Whether it normalizes batches."""
        return "moving_mean" in self.arrays

    def describe(self) -> str:
        """Its name and shapes, for errors."""
        return f"{self.name} {', '.join(f'{role} {list(array.shape)}' for role, array in self.arrays.items())}"


@dataclass(frozen=True)
class SourceNetwork:
    """What a file holds.

    Attributes:
      layers: those with weights that a MobileNet can have, in order.
      activation: of its hidden layers, where the file tells and they agree; else None.
    """

    layers: tuple[SourceLayer, ...]
    activation: Literal["relu6", "relu"] | None = None


def read_network(path: Path, location: str) -> SourceNetwork:
    """Reads the layers with weights out of a file.

    Args:
      path: an HDF5 or `.keras` file, or the folder of a SavedModel.
      location: how the user named it, for errors.

    Raises:
      ModelError: if it is damaged, or holds no weights, or some that are no numbers.
    """
    kind = detect_format(path, location)
    try:
        match kind:
            case WeightsFormat.HDF5:
                with h5py.File(path) as file:
                    network = _read_hdf5(file)
            case WeightsFormat.KERAS:
                network = _read_keras(path)
            case WeightsFormat.SAVED_MODEL:
                network = _read_saved_model(path)
    # h5py, zipfile, JSON and TensorFlow's reader each fail in their own ways on a damaged file.
    except Exception as error:
        raise ModelError(
            f"trainer.initial_weights: {location} is damaged: {type(error).__name__}:"
            f" {' '.join(str(error).split())[:300]}",
            expected=f"a whole {kind} of Keras",
            hint="the file may be cut short; copy or download it again",
        ) from error
    if not any("kernel" in layer.arrays for layer in network.layers):
        raise ModelError(
            f"trainer.initial_weights: {location} holds no layer with a kernel",
            expected="the weights of a whole MobileNet",
            hint="save with model.save(...), and pass that file",
        )
    for layer in network.layers:
        for role, array in layer.arrays.items():
            if not np.isfinite(array).all():
                raise ModelError(
                    f"trainer.initial_weights: {location}: {role} of {layer.name} holds values that are no numbers",
                    expected="finite weights",
                    hint="that training diverged; take an earlier checkpoint",
                )
    return network


def _read_hdf5(file: Any) -> SourceNetwork:
    """Keras 1's and 2's layout, which Keras 3 still writes as `.h5`, or Keras 3's `.weights.h5`."""
    root = file.get("model_weights", file)
    if "layer_names" not in root.attrs and "layer_names0" not in root.attrs:
        return SourceNetwork(_layers_by_vars(root))
    named = []
    for group_name in _names(root, "layer_names"):
        group = root[group_name]
        for weight_name in _names(group, "weight_names"):
            *path, leaf = weight_name.split(":")[0].split("/")
            leaf = leaf.removeprefix(f"{group_name}_")  # Keras 1: conv2d_1_W
            named.append((path[-1] if path else group_name, leaf, group[weight_name][()]))
    config = file.attrs.get("model_config")
    return SourceNetwork(_group(named), None if config is None else _activation(json.loads(config)))


def _names(group: Any, key: str) -> list[str]:
    """A list of names in an attribute, which Keras cuts into `key0`, `key1`, … past 64 kB."""
    keys = [key] if key in group.attrs else []
    while f"{key}{len(keys)}" in group.attrs:
        keys.append(f"{key}{len(keys)}")
    names = [name for part in keys for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _read_keras(path: Path) -> SourceNetwork:
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            layers = {layer.name: layer for layer in _layers_by_vars(file)}
    order = [name for name, _, _ in _walk(config) if name in layers]
    return SourceNetwork(tuple(layers[name] for name in order), _activation(config))


def _layers_by_vars(root: Any) -> tuple[SourceLayer, ...]:
    """Keras 3: `layers/conv2d_1/vars/0`, the layer's own name as an attribute, not in the network's order."""
    named: list[tuple[str, str, Any]] = []

    def visit(path: str, item: Any) -> None:
        if path.endswith("/vars") and path.startswith("layers/") and "/seed_generator/" not in path:
            name = str(item.attrs.get("name", path.split("/")[-2]))
            roles = NORM_ROLES if len(item) == len(NORM_ROLES) else ("kernel", "bias")
            named.extend(
                (name, role, item[str(place)][()]) for place, role in zip(range(len(item)), roles, strict=False)
            )

    root.visititems(visit)
    return _group(named)


def _read_saved_model(path: Path) -> SourceNetwork:
    named = []
    for variable in tf.saved_model.load(str(path)).variables:
        *scopes, leaf = variable.name.split(":")[0].split("/")
        if scopes and leaf in _ROLES:
            named.append((scopes[-1], leaf, variable.numpy()))
    return SourceNetwork(_group(named))


def _group(named: Sequence[tuple[str, str, Any]]) -> tuple[SourceLayer, ...]:
    """(layer, weight, array) triples as layers, in order of first appearance; those without a kernel or mean left out.

    A weight that no MobileNet has keeps its name, so that its layer fits nowhere.
    """
    layers: dict[str, dict[str, Array]] = {}
    for layer, leaf, array in named:
        arrays = layers.setdefault(layer, {})
        role = _ROLES.get(leaf, leaf)
        if role in arrays:
            raise ValueError(f"layer {layer} has two weights named {leaf}")
        arrays[role] = np.asarray(array, np.float32)
    return tuple(SourceLayer(name, a) for name, a in layers.items() if "kernel" in a or "moving_mean" in a)


def _walk(config: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(name, class, config) of every layer of a serialized model, nested ones inside their model, in order."""
    for layer in config.get("config", {}).get("layers", []):
        settings = layer.get("config", {})
        yield settings.get("name", layer.get("name", "")), layer.get("class_name", ""), settings
        yield from _walk(layer)


def _activation(config: Any) -> Literal["relu6", "relu"] | None:
    found: set[Literal["relu6", "relu"]] = set()
    for _, kind, settings in _walk(config):
        if kind == "ReLU":
            found.add("relu" if settings.get("max_value") is None else "relu6")
        elif settings.get("activation") == "relu":
            found.add("relu")
        elif settings.get("activation") == "relu6":
            found.add("relu6")
    return found.pop() if len(found) == 1 else None
