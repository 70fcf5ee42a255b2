import pytest
from pydantic import ValidationError

from components.detection.fixed_point import to_q15
from components.detection.options import LEAST_SCORE, DecoderOptions, DetectorNetwork, DetectorOptions


def test_decoder_options_postprocess_op_takes_no_overlap_of_0():
    assert DecoderOptions(max_iou=0).max_iou == 0
    with pytest.raises(ValidationError, match="max_iou: expected above 0 with postprocess_op"):
        DecoderOptions(max_iou=0, postprocess_op=True)


def test_decoder_options_least_score_is_what_the_fixed_point_decoder_takes_for_more_than_nothing():
    assert to_q15(DecoderOptions(min_score=LEAST_SCORE).min_score) == 1
    below = 0.999 * LEAST_SCORE
    assert to_q15(below) == 0
    with pytest.raises(ValidationError, match=r"min_score: expected at least 1\.5e-05, below which"):
        DecoderOptions(min_score=below)


def test_detector_options_match_iou_of_0_which_every_anchor_has_is_refused():
    with pytest.raises(ValidationError, match="greater than 0"):
        DetectorOptions(match_iou=0)


@pytest.mark.parametrize("changes", [{"extra_filters": (10**8,)}, {"shares_heads": True, "head_filters": 10**8}])
def test_detector_network_filters_that_no_memory_holds_are_refused(changes):
    with pytest.raises(ValidationError, match="less than or equal to 4096"):
        DetectorNetwork(**changes)
