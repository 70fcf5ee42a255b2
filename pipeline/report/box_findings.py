"""What a data report says of a detector's boxes: how many, how large, and how well the configured anchors fit them."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.numerals import show_percent
from pipeline.report.histograms import Histogram

# Pixels of the input. MobileNet's maps have a cell for every 8 pixels at best: smaller objects share one.
TINY_PX = 8


@dataclass(frozen=True, slots=True)
class SizeRow:
    """Boxes of one of COCO's sizes.

    Attributes:
      size: `small`, `medium` or `large`.
      boxes: how many.
      unmatched: those of them without an anchor that is matched to them.
    """

    size: str
    boxes: int
    unmatched: int


@dataclass(frozen=True, slots=True)
class LabelRow:
    """Boxes of one label.

    Attributes:
      label: its name.
      boxes, unmatched: as of `SizeRow`.
      mean_best_iou: with the anchor that fits each best.
      width_px, height_px: medians, in pixels of the input.
    """

    label: str
    boxes: int
    unmatched: int
    mean_best_iou: float
    width_px: float
    height_px: float


@dataclass(frozen=True, slots=True)
class ProposalFindings:
    """Anchors that would fit better, and by how much.

    Attributes:
      settings: as `--set` takes them.
      anchors, unmatched, mean_best_iou: with them, as of `BoxFindings`.
    """

    settings: tuple[str, ...]
    anchors: int
    unmatched: int
    mean_best_iou: float


@dataclass(frozen=True, slots=True)
class BoxFindings:
    """A detector's boxes; but for the counts, those of train alone, without crowds.

    Attributes:
      counts: boxes by split and label, crowds aside.
      crowds: by split.
      max_boxes: `transform.max_boxes`.
      labelled: boxes of all splits and labels, crowds included.
      clipped: those of them that reached beyond their image by more than a pixel.
      crowded_images, not_learned: train images with more than `max_boxes`, and how many boxes of them are taught as
        background.
      match_iou: `trainer.detector.match_iou`.
      anchors: how many the detector has.
      cell_px: pixels of the input between two cells of its largest feature map.
      boxes: how many there are in train.
      in_a_pixel: those of them of which no number is above 1: where all are, they may be normalised.
      tiny: those of them with a side below `TINY_PX` pixels of the input.
      unmatched: those of them whose best IoU is below `match_iou`.
      mean_best_iou: with the anchor that fits each best.
      histogram: of that IoU, by label.
      at_input, at_image: by COCO's sizes, in pixels of the input and of the images.
      by_label: in the order of the labels.
      width_px, height_px: medians, in pixels of the input.
      proposal: None where nothing better was found.
    """

    counts: Mapping[str, Mapping[str, int]]
    crowds: Mapping[str, int]
    max_boxes: int
    labelled: int
    clipped: int
    crowded_images: int
    not_learned: int
    match_iou: float
    anchors: int
    cell_px: float
    boxes: int
    in_a_pixel: int
    tiny: int
    unmatched: int
    mean_best_iou: float
    histogram: Histogram
    at_input: tuple[SizeRow, ...]
    at_image: tuple[SizeRow, ...]
    by_label: tuple[LabelRow, ...]
    width_px: float
    height_px: float
    proposal: ProposalFindings | None

    @property
    def in_words(self) -> tuple[str, ...]:
        """Why a detector with these anchors would be poor on these boxes, or not; a sentence each."""
        others = (
            f"; each of the other {self.unmatched:,} ({_percent(self.unmatched, self.boxes)}) is learned from one"
            " anchor, which fits it worse"
        )
        matched = (
            f"{self.boxes - self.unmatched:,} of {self.boxes:,} train boxes have an IoU of {self.match_iou:g} or more"
            f" with one of {self.anchors:,} anchors{others if self.unmatched else ''}."
        )
        seen = (
            f"The median box is {self.width_px:.0f} pixels wide and {self.height_px:.0f} high at the model's input,"
            f" whose finest feature map has a cell for every {self.cell_px:.0f} pixels;"
            f" {_percent(self.tiny, self.boxes)} of the boxes have a side below {TINY_PX} pixels."
        )
        sentences = [matched, seen]
        worst = max(self.at_input, key=lambda row: row.unmatched)
        if worst.unmatched:
            share = _percent(worst.unmatched, self.unmatched)
            sentences.append(
                f"Of the boxes without such an anchor, {worst.unmatched:,} ({share}) are {worst.size} at the model's"
                " input, by COCO's sizes."
            )
        sentences.append("No anchors were found that fit better." if self.proposal is None else self._compare())
        return tuple(sentences)

    def _compare(self) -> str:
        assert self.proposal is not None
        before, after = _percent(self.unmatched, self.boxes), _percent(self.proposal.unmatched, self.boxes)
        return (
            f"The proposed {self.proposal.anchors:,} anchors raise the mean best IoU from {self.mean_best_iou:.2f} to"
            f" {self.proposal.mean_best_iou:.2f}, and leave {after} without one that matches,"
            f" {'as before' if after == before else f'not {before}'}."
        )


def _percent(part: int, whole: int) -> str:
    return show_percent(part / whole)
