"""Settings of CocoExampleGen: the config section `data`."""

import dataclasses
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from components import features
from components.example_gen.coco_entries import composed
from components.example_gen.labeling import (
    BACKGROUND,
    BOXES_RULE,
    FOLDER_RULE,
    LABEL_RULES,
    LabelRule,
    RuleParameters,
    custom_rule,
)
from components.options import Options

SplitName = Literal["train", "eval", "test"]
RuleName = Literal["slim", "slim-download", "pyvww", "mlperf", "kenning", "paper"]


def _shape(value: object) -> str:
    """Which member of a union is meant, so that an error speaks of that one alone."""
    return "many" if isinstance(value, list | tuple) else "mapping" if isinstance(value, dict | Options) else "one"


_Shape = Discriminator(_shape)
_One = Annotated[str, Tag("one")]
_Many = Annotated[tuple[str, ...], Tag("many")]
Paths = Annotated[_One | _Many | Annotated[dict[SplitName, str], Tag("mapping")], _Shape]
Category = Annotated[_One | _Many, _Shape]
Rule = Annotated[Annotated[RuleName, Tag("one")] | Annotated[RuleParameters, Tag("mapping")], _Shape]

_DEFAULT_SHARES = {features.TRAIN: 0.8, features.EVAL: 0.2}


class BoxOptions(Options):
    """What becomes of boxes that a detector cannot learn from as they are.

    Those that are missing, not finite, without extent or wholly outside of their image are quarantined in any case.

    Attributes:
      outside: of a box that reaches beyond its image: `clip` ends it at the edge, and `quarantine` leaves it out if it
        does so by more than a pixel.
    """

    outside: Literal["clip", "quarantine"] = "clip"


@dataclasses.dataclass(frozen=True, slots=True)
class CocoSource:
    """One annotations file with its images.

    Attributes:
      annotations: a COCO instances file.
      images: the folder that its `file_name` is relative to.
      split: where all its images go; None if each image's id decides.
    """

    annotations: str
    images: str
    split: str | None


class ExampleGenOptions(Options):
    """Which images, labelled by which rule, in which splits.

    Attributes:
      format: `coco`, or `image_folder` for one folder per class.
      annotations: a COCO instances file; several as a list, or as one for each split.
      images: the folder that the annotations' `file_name` is relative to; of several annotations files, one folder
        for all or one for each. For `image_folder`, the folder that holds one folder per class.
      category: COCO category that makes an image positive, `person` if left out; several for a label each.
      label_rule: id of a rule in `components.example_gen.labeling`, or a rule's parameters; `slim` if left out.
      boxes: of task=detection: every object of the categories is learned, and no label rule is asked.
      splits: share of the images in each split, by a hash of the image id; 0.8 and 0.2 for train and eval if left
        out, or all of the rest to train where `split_ids` names images of eval.
      split_ids: for a split, a text file with the ids of its images, one in a line.
      split_seed: another number draws other splits, and another order in the files.
      group_near_duplicates: whether images that look the same go into the same split.
      max_quarantined_fraction: share of bad images, and of bad annotations, above which the run is refused.
      licenses: of the images and annotations, in words, for the model card; they decide nothing.
    """

    format: Literal["coco", "image_folder"] = "coco"
    annotations: Paths | None = None
    images: Paths | None = None
    category: Category | None = None
    label_rule: Rule | None = None
    boxes: BoxOptions | None = None
    splits: dict[SplitName, float] | None = None
    split_ids: dict[SplitName, str] = Field(default_factory=dict)
    split_seed: int = 0
    group_near_duplicates: bool = False
    max_quarantined_fraction: float = Field(default=0.01, ge=0.0, le=1.0)
    licenses: tuple[str, ...] = ()

    @property
    def categories(self) -> tuple[str, ...]:
        """The COCO categories that have a label; the first one's is 1."""
        if self.category is None:
            return ("person",)
        return (self.category,) if isinstance(self.category, str) else self.category

    @property
    def positive(self) -> str | None:
        """The COCO category that images have or have not; None where there are several, or boxes."""
        return self.categories[0] if len(self.categories) == 1 and self.boxes is None else None

    @property
    def category_labels(self) -> tuple[str, ...]:
        """The names of the labels of a COCO set, which follow from its categories alone."""
        one = self.positive
        return (BACKGROUND, *self.categories) if one is None else (f"not-{one}", one)

    @property
    def rule(self) -> LabelRule:
        """The rule that labels."""
        if self.format == "image_folder":
            return FOLDER_RULE
        if self.boxes is not None:
            return BOXES_RULE
        if isinstance(self.label_rule, RuleParameters):
            return custom_rule(self.label_rule)
        return LABEL_RULES["slim" if self.label_rule is None else self.label_rule]

    @property
    def shares(self) -> dict[str, float]:
        """The share of each split among the images whose split is not stated otherwise."""
        if self.splits is not None:
            return {str(split): share for split, share in self.splits.items()}
        return {features.TRAIN: 1.0} if features.EVAL in self.split_ids else dict(_DEFAULT_SHARES)

    @property
    def sources(self) -> tuple[CocoSource, ...]:
        """The annotations files with their images, in the order of the config."""
        if self.annotations is None:
            return ()
        if isinstance(self.annotations, dict):
            splits: list[str | None] = [*self.annotations]
            files = list(self.annotations.values())
        else:
            files = [self.annotations] if isinstance(self.annotations, str) else list(self.annotations)
            splits = [None] * len(files)
        match self.images:
            case str():
                folders = [self.images] * len(files)
            case tuple():
                folders = list(self.images)
            case None:
                raise AssertionError  # _sources_fit
            case _:
                by_split: dict[str | None, str] = dict(self.images.items())
                folders = [by_split[split] for split in splits]
        return tuple(CocoSource(*source) for source in zip(files, folders, splits, strict=True))

    @model_validator(mode="after")
    def _sources_fit(self) -> Self:
        wanted = ("images",) if self.format == "image_folder" else ("annotations", "images")
        if missing := [key for key in wanted if getattr(self, key) is None]:
            advice = " ".join(f"--set data.{key}=PATH" for key in missing)
            folders = "" if len(wanted) == 1 else "; data.format=image_folder reads a folder per class instead"
            raise ValueError(f"{', '.join(missing)}: missing; pass {advice} or write it into the file{folders}")
        if self.format == "image_folder":
            if self.boxes is not None:
                raise ValueError("format: received image_folder; a detector learns from boxes, as format=coco has them")
            for key in ("annotations", "category", "label_rule"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: has no meaning with format=image_folder, where folders are the labels")
            if not isinstance(self.images, str):
                raise ValueError("images: expected one folder, that holds one folder per class")
            return self
        if isinstance(self.images, str):
            fits = True
        elif isinstance(self.images, tuple):
            fits = isinstance(self.annotations, tuple) and len(self.images) == len(self.annotations)
        else:
            fits = isinstance(self.annotations, dict) and set(self.images or ()) == set(self.annotations)
        if not fits or self.annotations in ((), {}):
            raise ValueError(
                f"images: expected one folder for all annotations files, or one for each; received {self.images!r}"
                f" for {self.annotations!r}"
            )
        return self

    @model_validator(mode="after")
    def _categories_are_lines(self) -> Self:
        for name in self.categories:
            if name.splitlines() != [name]:
                raise ValueError(f"category: expected names of one line, as labels.txt has them; received {name!r}")
        return self

    @model_validator(mode="after")
    def _categories_differ(self) -> Self:
        is_alone = self.boxes is None and len(self.categories) == 1
        names = self.categories if is_alone else (BACKGROUND, *self.categories)
        if not self.categories or len(set(map(composed, names))) < len(names):
            raise ValueError(
                f"category: expected different names, at least one, and none {'' if self.boxes else 'of several '}named"
                f" {BACKGROUND!r};"
                f" received {self.category!r}"
            )
        return self

    @model_validator(mode="after")
    def _has_one_rule(self) -> Self:
        if self.boxes is not None and self.label_rule is not None:
            raise ValueError(
                "label_rule: has no meaning with task=detection, where every object of data.category is learned; leave"
                " it out"
            )
        return self

    @model_validator(mode="after")
    def _splits_fit(self) -> Self:
        if self.splits is not None:
            shares = list(self.splits.values())
            if any(share <= 0 for share in shares) or abs(sum(shares) - 1.0) > 1e-6:
                raise ValueError(f"splits: expected positive shares that add up to 1, received {self.splits}")
        if isinstance(self.annotations, dict):
            if self.splits is not None or self.split_ids:
                raise ValueError("splits, split_ids: nothing is left to split where annotations name one file a split")
            stated: set[str] = set(self.annotations)
        else:
            stated = set(self.shares) | set(self.split_ids)
        if missing := set(features.REQUIRED_SPLITS) - stated:
            raise ValueError(f"splits: expected {', '.join(features.REQUIRED_SPLITS)}; there is no {missing.pop()}")
        return self
