"""The operating point: from which score on a device should report the positive label.

It is chosen on the eval split, on the codes that the int8 file itself gave: the lowest code whose false alarms keep to
the rate that was asked for. On the same images that rate flatters a little; a test split says by how much.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from components.intervals import allowed_false_alarms, wilson_interval
from components.quantization.contracts import TensorContract
from components.quantization.records import OperatingRates, Rate

DEFAULT_PROBABILITY = 0.5  # of two labels, the more probable one has more


def choose_code(
    codes: npt.NDArray[np.int8], is_positive: npt.NDArray[np.bool_], max_false_alarm_rate: float | None, half: int
) -> int | None:
    """The lowest code from which on false alarms keep to a rate; None where not even the highest does, or none shows.

    Args:
      codes: int8 [n], what the positive label got.
      is_positive: bool [n], whether the image has it.
      max_false_alarm_rate: share of the images without it that may be reported, below 1; None asks for `half`.
      half: the lowest code above a probability of a half.
    """
    if max_false_alarm_rate is None:
        return half
    negatives = np.sort(codes[~is_positive])
    if len(negatives) == 0:  # no image could be a false alarm: that every code keeps to the rate says nothing
        return None
    # Below 1, a rate never lets all of them be reported, however near it is.
    allowed = min(allowed_false_alarms(max_false_alarm_rate, len(negatives)), len(negatives) - 1)
    # One above the highest of those that must not be reported.
    code = int(negatives[len(negatives) - allowed - 1]) + 1
    return None if code > np.iinfo(np.int8).max else code


def code_above_half(contract: TensorContract) -> int:
    """The lowest code of a quantized output whose probability is above a half."""
    assert contract.scale is not None
    assert contract.zero_point is not None
    return int(np.floor(DEFAULT_PROBABILITY / contract.scale)) + contract.zero_point + 1


def probability_of(code: int, contract: TensorContract) -> float:
    """(code - zero point) * scale."""
    assert contract.scale is not None
    assert contract.zero_point is not None
    return (code - contract.zero_point) * contract.scale


def measure_rates(codes: npt.NDArray[np.int8], is_positive: npt.NDArray[np.bool_], code: int) -> OperatingRates:
    """What a code comes to on one split; arguments as for `choose_code`."""
    is_reported = codes >= code
    return OperatingRates(false_alarms=rate(is_reported[~is_positive]), recall=rate(is_reported[is_positive]))


def rate(is_so: npt.NDArray[Any]) -> Rate | None:
    """The share of true ones, bool [n]; None of none."""
    images, count = len(is_so), int(np.count_nonzero(is_so))
    if images == 0:
        return None
    return Rate(count=count, images=images, value=count / images, interval=wilson_interval(count / images, images))
