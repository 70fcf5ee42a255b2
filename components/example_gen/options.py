"""Settings of CocoExampleGen: the config section `data`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components import features
from components.options import Options

SplitName = Literal["train", "eval"]


def _default_splits() -> dict[SplitName, float]:
    return {"train": 0.8, "eval": 0.2}


class ExampleGenOptions(Options):
    """Which images, labelled by which rule, in which splits.

    Attributes:
      annotations: path of a COCO instances file.
      images: folder that the annotations' `file_name` is relative to.
      category: COCO category that makes an image positive.
      label_rule: id of the rule in `components.example_gen.labeling`.
      splits: share of the images in each split; an image's split follows from its id alone.
      split_seed: another number draws other splits.
      max_quarantined_fraction: share of bad images, and of bad annotations, above which the run is refused.
    """

    annotations: str
    images: str
    category: str = "person"
    label_rule: Literal["slim"] = "slim"
    splits: dict[SplitName, float] = Field(default_factory=_default_splits)
    split_seed: int = 0
    max_quarantined_fraction: float = Field(default=0.01, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _splits_add_up(self) -> Self:
        if set(self.splits) != set(features.SPLITS):
            raise ValueError(f"splits: expected the keys {', '.join(features.SPLITS)}")
        if any(share <= 0 for share in self.splits.values()) or abs(sum(self.splits.values()) - 1.0) > 1e-6:
            raise ValueError(f"splits: expected positive shares that add up to 1, received {self.splits}")
        return self
