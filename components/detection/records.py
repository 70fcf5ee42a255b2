"""What is recorded of a detector's quality, apart from the code that computes it, which needs NumPy."""

from pydantic import FiniteFloat

from components.intervals import Interval
from components.options import Options

CategoryFigure = FiniteFloat | None


class CategoryQuality(Options):
    """COCO's figures of one label, None where the images have no box of it.

    Attributes:
      boxes: of ground truth, crowds left out.
      ap, ap50: as in `DetectionQuality`.
      ap50_interval: of `ap50`, by bootstrap.
    """

    boxes: int
    ap: CategoryFigure
    ap50: CategoryFigure
    ap50_interval: Interval | None


class DetectionQuality(Options):
    """COCO's figures of a detector on a set of images, each a mean over the labels that have one.

    None where no image has a box that it asks for, where pycocotools says -1.

    Attributes:
      images: how many there were.
      boxes: of ground truth, crowds left out.
      ap: mean over IoU 0.5 to 0.95.
      ap50, ap75: at that IoU alone.
      ap_small, ap_medium, ap_large: of objects below 32 x 32, between, and from 96 x 96 square pixels of the image on.
      ar_1, ar_10, ar_100: recall, the mean over IoU 0.5 to 0.95, with so many detections of a label and image at most.
      ap_interval, ap50_interval: 95 % of the bootstrap over images, as `coco_metrics` describes it.
      categories: by label name, the background left out.
    """

    images: int
    boxes: int
    ap: CategoryFigure
    ap50: CategoryFigure
    ap75: CategoryFigure
    ap_small: CategoryFigure
    ap_medium: CategoryFigure
    ap_large: CategoryFigure
    ar_1: CategoryFigure
    ar_10: CategoryFigure
    ar_100: CategoryFigure
    ap_interval: Interval | None
    ap50_interval: Interval | None
    categories: dict[str, CategoryQuality]


class DetectionLoss(Options):
    """What two detectors' AP differ by on the same images, from the first to the second.

    Attributes:
      drop, drop50: of AP and AP50; below 0 where it rose, None where it is undefined.
      drop_interval, drop50_interval: 95 % of the bootstrap over images, both detectors on the same draws.
    """

    drop: CategoryFigure
    drop50: CategoryFigure
    drop_interval: Interval | None
    drop50_interval: Interval | None


class DetectionCounts(Options):
    """Boxes at one score threshold and IoU 0.5, crowds left out.

    Attributes:
      right: detections that are matched to a box of their label.
      false: detections that are matched to none, nor to a crowd.
      missed: boxes that no detection is matched to.
    """

    right: int
    false: int
    missed: int

    @property
    def precision(self) -> float | None:
        """Share of the detections that are right; None of none."""
        found = self.right + self.false
        return self.right / found if found else None

    @property
    def recall(self) -> float | None:
        """Share of the boxes that were found; None of none."""
        boxes = self.right + self.missed
        return self.right / boxes if boxes else None


class DetectorRates(Options):
    """What a score threshold comes to on one split.

    Attributes:
      images: how many there are.
      counts: over all labels.
      labels: by label name, the background left out.
      confusion: boxes by true label (row) and detected label (column) at IoU 0.5, 0 being the background: its row holds
        the detections that are on no box, its column the boxes that were missed.
    """

    images: int
    counts: DetectionCounts
    labels: dict[str, DetectionCounts]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def false_detections_per_image(self) -> float:
        """False detections / images."""
        return self.counts.false / self.images


class DetectorOperatingPoint(Options):
    """From which score on a detection is reported, and what that means.

    Attributes:
      max_false_detections: of an image, that were asked for; None where the best F1 over all labels was.
      threshold: the score, in 0...1.
      codes: the lowest code of such a score, for each output that holds scores, in their order.
      rates: by split: eval, on which the score was chosen, and test where there is one.
    """

    max_false_detections: float | None
    threshold: float
    codes: tuple[int, ...]
    rates: dict[str, DetectorRates]
