"""Tensor contracts: what a caller has to know to feed a model and read its answer."""

from components.options import Options


class TensorContract(Options):
    """Shape, type and quantization of one input or output of a flatbuffer.

    Attributes:
      name: the tensor's name in the flatbuffer; empty where it was stripped.
      shape: its dimensions, the batch first.
      dtype: NumPy's name of its type, such as `int8`.
      scale: the real value of one code; None for a tensor that is not quantized.
      zero_point: the code of the real value 0; None for a tensor that is not quantized.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None
