"""What a detector finds in an image, and what is in it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Detections:
    """What was found in one image, the best first; of equal scores, the lower label and then the lower anchor.

    Attributes:
      boxes_yxyx: float32 [n, 4], ymin, xmin, ymax, xmax in 0...1, clipped to the image.
      scores: float32 [n] in 0...1, falling.
      labels: int64 [n], 1...labels-1; 0 is the background.
    """

    boxes_yxyx: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def from_score(self, threshold: float) -> "Detections":
        """Those with this score or a higher one; the threshold counts as float32, as the scores do."""
        kept = self.scores >= np.float32(threshold)
        return Detections(self.boxes_yxyx[kept], self.scores[kept], self.labels[kept])


@dataclass(frozen=True)
class GroundTruth:
    """The labelled objects of one image.

    Attributes:
      boxes_yxyx: float32 [n, 4], likewise.
      labels: int64 [n], likewise.
      crowds: bool [n], whether the box is around many.
      areas_px: float32 [n], mask areas in square pixels, as COCO states them.
      height, width: of the image, in pixels.
    """

    boxes_yxyx: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    crowds: npt.NDArray[np.bool_]
    areas_px: npt.NDArray[np.float32]
    height: int
    width: int
