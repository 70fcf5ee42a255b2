"""Staged unfreezing: which blocks a stage trains, and the names that blocks have."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import Field

from components.errors import ModelError
from components.options import Options

HEAD = "head"
ALL = "all"

# From the image upwards. Block 3 of v1 is conv_dw_3 and conv_pw_3; v2's have the names of their layers.
BLOCKS: dict[str, tuple[str, ...]] = {
    "mobilenet_v1": ("conv1", *(f"block_{n}" for n in range(1, 14)), HEAD),
    "mobilenet_v2": ("Conv1", "expanded_conv", *(f"block_{n}" for n in range(1, 17)), "Conv_1", HEAD),
}
_BLOCK_OF_LAYER = {
    "mobilenet_v1": re.compile(r"(?P<first>conv1)(_|$)|conv_(?:dw|pw)_(?P<number>\d+)(_|$)"),
    "mobilenet_v2": re.compile(
        r"(?:bn_)?(?P<first>Conv1)(_|$)|(?P<named>expanded_conv|Conv_1)(_|$)|block_(?P<number>\d+)_"
    ),
}


class Stage(Options):
    """One stage of a training.

    Attributes:
      train_from: `head`, a block of `BLOCKS`, or `all`: it and all above it learn. Below it kernels stay as they are,
        and BatchNorm neither learns nor moves its statistics: it normalizes by them, as in evaluation.
      epochs: passes over the train split, at most.
      learning_rate: its first, or after warm-up its highest, value in this stage.
    """

    train_from: str
    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0)


def check_stages(stages: tuple[Stage, ...], backbone: str) -> None:
    """Checks the names of blocks, and that every stage trains at least what the one before it did.

    Raises:
      ValueError: naming the stage.
    """
    blocks = BLOCKS[backbone]
    lowest = len(blocks)
    for number, stage in enumerate(stages):
        if stage.train_from not in {ALL, *blocks}:
            raise ValueError(
                f"stages: {backbone} has no block {stage.train_from!r} (stage {number}); from the top it has "
                f"{', '.join(reversed(blocks))}, and `{ALL}` trains every one"
            )
        place = _place(stage.train_from, backbone)
        if place > lowest:
            raise ValueError(
                f"stages: stage {number} trains from {stage.train_from}, above {stages[number - 1].train_from} of the "
                "stage before; stages unfreeze from the top, and freeze nothing again"
            )
        lowest = place


def block_of(layer: str, backbone: str) -> str:
    """The block of `BLOCKS` that a layer belongs to; what comes after the last one belongs to the head."""
    found = _BLOCK_OF_LAYER[backbone].match(layer)
    if found is None:
        return HEAD
    number = found["number"]
    return f"block_{number}" if number is not None else next(group for group in found.groups() if group)


def check_frozen_are_loaded(fresh: Iterable[str], stages: tuple[Stage, ...], backbone: str) -> None:
    """Checks that the first stage freezes no layer that the initial weights left random.

    Args:
      fresh: names of the layers that kept their random weights.
      stages: of the training.
      backbone: whose layers they are.

    Raises:
      ModelError: naming such layers.
    """
    first = stages[0].train_from
    frozen = [layer for layer in fresh if _place(block_of(layer, backbone), backbone) < _place(first, backbone)]
    if frozen:
        raise ModelError(
            f"trainer.stages: train_from={first} freezes {', '.join(frozen[:3])}{', …' if len(frozen) > 3 else ''}, "
            "for which trainer.initial_weights had nothing",
            expected="weights for every layer that the first stage freezes",
            hint=f"begin with train_from: {block_of(frozen[0], backbone)}, or take weights that fit",
        )


def freeze_below(model: Any, backbone: str, train_from: str) -> None:
    """Makes the layers from a block on upwards trainable, and those below it not."""
    lowest = _place(train_from, backbone)
    for layer in model.layers:
        layer.trainable = _place(block_of(layer.name, backbone), backbone) >= lowest


def _place(block: str, backbone: str) -> int:
    return 0 if block == ALL else BLOCKS[backbone].index(block)
