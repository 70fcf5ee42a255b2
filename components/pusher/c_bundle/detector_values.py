"""What the templates of a detector's bundle are filled with, beside what every bundle's are."""

from itertools import accumulate
from typing import Any

import numpy as np

from components.detection.fixed_decoder import FixedDecoder
from components.detection.fixed_point import to_q15
from components.pusher.c_bundle.c_names import camel_name
from components.pusher.c_bundle.spec import BundleSpec

_CANDIDATE_BYTES, _BOX_BYTES, _LOGIT_BYTES = 8, 8, 4


def detector_values(spec: BundleSpec) -> dict[str, Any]:
    """The constants of `<name>_detect.c`, and what it finds in the golden vectors.

    Raises:
      ModelError: if the outputs are not those of the anchors.
    """
    assert spec.detector is not None
    decoder, options, threshold = spec.decoder, spec.detector.options, spec.detector.threshold
    anchors = sum(output.anchors for output in decoder.outputs)
    max_candidates = min(options.max_candidates, anchors)
    max_detections = min(options.max_detections, max_candidates * len(spec.answers))
    is_per_map = len(decoder.outputs) > 1
    pointer = "const int8_t* const*" if is_per_map else "const int8_t*"
    camel = camel_name(spec.name)
    return {
        "camel": camel,
        "options": options,
        "min_score": to_q15(options.min_score),
        "max_iou": to_q15(options.max_iou),
        "threshold": None if threshold is None else to_q15(threshold),
        "max_candidates": max_candidates,
        "max_detections": max_detections,
        "workspace_bytes": max_candidates * (_CANDIDATE_BYTES + _BOX_BYTES) + max_detections * _LOGIT_BYTES,
        "is_per_map": is_per_map,
        "parameters": (
            f"{pointer} boxes",
            f"{pointer} scores",
            "uint16_t min_score",
            "VwwDetection* detections",
            "int capacity",
            f"{camel}Workspace* workspace",
        ),
        "golden_outputs": _rows(spec),
        "golden_found": _find_golden(spec, decoder),
        **_tables(decoder),
    }


def _tables(decoder: FixedDecoder) -> dict[str, Any]:
    """Maps and outputs, each with the index of what stands first in it."""
    maps = [(number, each) for number, output in enumerate(decoder.outputs) for each in output.maps]
    first_shapes = accumulate((len(each.shapes) for _, each in maps), initial=0)
    first_anchors = accumulate((output.anchors for output in decoder.outputs), initial=0)
    return {
        "maps": [(number, each, first) for (number, each), first in zip(maps, first_shapes, strict=False)],
        "outputs": list(zip(decoder.outputs, first_anchors, strict=False)),
    }


def _rows(spec: BundleSpec) -> list[list[int]]:
    """The codes of all outputs, one after the other, for each golden vector."""
    rows: list[list[int]] = np.concatenate(
        [codes.reshape(len(codes), -1) for codes in spec.golden.outputs], axis=1
    ).tolist()
    return rows


def _find_golden(spec: BundleSpec, decoder: FixedDecoder) -> list[list[tuple[list[int], int, int]]]:
    """Box, score and index of the label of each detection, for each golden vector."""
    found = [decoder.decode_to_integers(each[::2], each[1::2]) for each in zip(*spec.golden.outputs, strict=True)]
    return [
        list(zip(each.boxes_yxyx.tolist(), each.scores.tolist(), (each.labels - 1).tolist(), strict=True))
        for each in found
    ]
