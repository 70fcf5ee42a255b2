"""What a C bundle is a function of, and what of it no bundle can be made of."""

from dataclasses import dataclass

from components.detection.anchors import AnchorMap
from components.detection.fixed_decoder import FixedDecoder
from components.detection.options import DecoderOptions
from components.errors import ModelError, ReleaseError
from components.pixels import HALF_RANGE, INT8_OFFSET
from components.pusher.c_bundle.c_names import camel_case, check_bundle_name, index_names
from components.quantization.contracts import TensorContract
from components.quantization.golden import Golden
from components.quantization.outputs import boxes_and_scores
from components.quantization.records import OperatingPoint, OpUse

ARENA_ALIGNMENT = 16


@dataclass(frozen=True)
class DetectorSpec:
    """How a detector's outputs become detections.

    Attributes:
      maps: its anchors.
      options: of the decoder, as the model was judged with them.
      threshold: score from which on a detection is reported, 0...1; None where it was not chosen.
    """

    maps: tuple[AnchorMap, ...]
    options: DecoderOptions
    threshold: float | None


@dataclass(frozen=True)
class BundleSpec:
    """Everything that the bundle's files are a function of.

    Attributes:
      name: part of the C identifiers and file names, such as `person_detect`.
      flatbuffer: the file that the C array holds.
      ops: its operators.
      labels: by id, such as `("not-person", "person")`; of a detector the background first.
      positive: the label that the other one is the rest of, such as `person`; None where no label is special.
      operating_point: from which output code on the positive label is reported; None where it was not chosen.
      input: contract of the image input, int8 [1, rows, columns, channels].
      outputs: contract of the scores, int8 [1, labels]; of a detector, those of its boxes and scores in turn.
      golden: what the flatbuffer answered to real images.
      arena_bytes: what TFLite Micro used of the tensor arena on the 64-bit host.
      arena_margin_bytes: what is added to it.
      model: the model's name, for the provenance lines.
      vww_version: version of the code that renders.
      detector: how the outputs are decoded; None of a classifier.
    """

    name: str
    flatbuffer: bytes
    ops: tuple[OpUse, ...]
    labels: tuple[str, ...]
    positive: str | None
    operating_point: OperatingPoint | None
    input: TensorContract
    outputs: tuple[TensorContract, ...]
    golden: Golden
    arena_bytes: int
    arena_margin_bytes: int
    model: str
    vww_version: str
    detector: DetectorSpec | None = None

    @property
    def tensor_arena_size(self) -> int:
        """Measured bytes and margin, rounded up to the alignment that TFLite Micro asks for."""
        return -(-(self.arena_bytes + self.arena_margin_bytes) // ARENA_ALIGNMENT) * ARENA_ALIGNMENT

    @property
    def index_names(self) -> dict[str, int]:
        """C constant to index into `answers`, such as `kPersonIndex`."""
        return index_names(self.answers, self.positive)

    @property
    def answers(self) -> tuple[str, ...]:
        """The labels that the model gives a score to, in that order."""
        return self.labels if self.detector is None else self.labels[1:]

    @property
    def decoder(self) -> FixedDecoder:
        """What a detector's detections are found by; raises ModelError if its outputs are not those of its anchors."""
        assert self.detector is not None
        return FixedDecoder.of(self.detector.maps, self.detector.options, *boxes_and_scores(self.outputs))

    @property
    def threshold_names(self) -> tuple[str, str]:
        """C constants of the operating point and of the category it is about, such as `kPersonThreshold` and
        `kPersonIndex`; raises ValueError where none was chosen.
        """
        if self.operating_point is None:
            raise ValueError("no operating point was chosen")
        name = camel_case(self.operating_point.label)
        return f"k{name}Threshold", f"k{name}Index"


def check_spec(spec: BundleSpec) -> None:
    """Raises ReleaseError if the name or a label cannot be written in C, or if labels, contracts and golden vectors
    are not those of one int8 model that takes an image as `pixel - 128`.
    """
    check_bundle_name(spec.name)
    if spec.detector is None:
        _check_classes(spec)
    else:
        _check_detector(spec)
    _check_pixel_contract(spec.input)
    golden = tuple(codes.shape[1:] for codes in (spec.golden.inputs, *spec.golden.outputs))
    expected = tuple(contract.shape[1:] for contract in (spec.input, *spec.outputs))
    if golden != expected:
        raise ReleaseError(
            f"the golden vectors are not those of this model: received inputs and outputs of shapes {golden}",
            expected=" and ".join(str(shape) for shape in expected),
        )


def _check_classes(spec: BundleSpec) -> None:
    is_known = spec.positive is None or spec.positive in spec.labels
    if len(spec.labels) < 2 or not is_known:
        raise ReleaseError(
            f"the bundle holds a classifier: received labels={spec.labels}, positive={spec.positive!r}",
            expected="at least two labels, and a positive label that is one of them",
        )
    index_names(spec.labels, spec.positive)
    if [output.shape for output in spec.outputs] != [(1, len(spec.labels))] or not _is_full_integer(spec.outputs[0]):
        raise ReleaseError(
            f"the model's output does not fit its labels: received outputs={spec.outputs!r}",
            expected=f"int8 [1, {len(spec.labels)}] with scale and zero point",
        )


def _check_detector(spec: BundleSpec) -> None:
    columns = {output.shape[-1] for output in spec.outputs[1::2]}
    if spec.positive is not None or not spec.answers or columns != {len(spec.answers)}:
        raise ReleaseError(
            f"the bundle holds a detector: received labels={spec.labels}, positive={spec.positive!r}, scores for"
            f" {', '.join(map(str, sorted(columns))) or 'no'} labels",
            expected="the background, then a label for each score, and no positive one",
        )
    index_names(spec.answers, None)
    try:
        _ = spec.decoder
    except ModelError as error:
        raise ReleaseError(error.message, expected=error.expected, hint=error.hint) from error


def _is_full_integer(contract: TensorContract) -> bool:
    return contract.dtype == "int8" and contract.scale is not None and contract.zero_point is not None


def _check_pixel_contract(contract: TensorContract) -> None:
    """Raises ReleaseError if `pixel - 128` is more than one code away from what the float model was trained on."""
    if len(contract.shape) != 4 or contract.shape[0] != 1 or not _is_full_integer(contract):
        raise ReleaseError(
            f"the model's input is no full-integer image: received input={contract!r}",
            expected="int8 [1, rows, columns, channels] with scale and zero point",
        )
    if contract.shape[3] not in (1, 3):
        raise ReleaseError(
            f"the model's image has neither one channel nor three: received input={contract!r}",
            expected="gray or RGB",
        )
    scale, zero_point = contract.scale or 0.0, contract.zero_point or 0
    distances = (
        (pixel / HALF_RANGE - 1.0) - (pixel - INT8_OFFSET - zero_point) * scale for pixel in (0, INT8_OFFSET, 255)
    )
    if scale <= 0.0 or any(abs(distance) > scale for distance in distances):
        raise ReleaseError(
            f"pixel - {INT8_OFFSET} does not feed this model what it was trained on:"
            f" received scale={scale}, zero_point={zero_point}",
            expected="about scale=2/255 with zero_point -1 or 0 (docs/decisions/0003-pixel-contract.md)",
            hint="calibrate with a black and a white image among the others, so that the range is [-1, 1]",
        )
