"""The methods of MicroMutableOpResolver that register a model's operators."""

from collections.abc import Sequence

from components.errors import ReleaseError
from components.micro_operators import ADD_METHODS
from components.quantization.records import OpUse


def add_methods(ops: Sequence[OpUse]) -> tuple[str, ...]:
    """The methods that register these operators, each once, in alphabetical order.

    Raises:
      ReleaseError: naming every operator that has none.
    """
    unknown = sorted({op.name + (" (custom)" if op.custom else "") for op in ops if _method(op) is None})
    if unknown:
        raise ReleaseError(
            f"TFLite Micro cannot register an operator of the model: received {', '.join(unknown)}",
            expected="operators that MicroMutableOpResolver can register",
            hint="change the architecture; vww budget CONFIG names a model's operators before it is trained",
        )
    return tuple(sorted({method for op in ops if (method := _method(op)) is not None}))


def _method(op: OpUse) -> str | None:
    return None if op.custom else ADD_METHODS.get(op.name)
