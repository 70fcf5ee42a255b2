"""Options: the typed settings of one component, and their way through one JSON exec property."""

from typing import Self

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Base of every component's settings: frozen, unknown keys refused, no silent conversions.

    A component receives its options as one JSON string (`to_json`), which is what ML Metadata
    records and what decides whether a cached result still holds; the executor's first line turns
    it back (`from_json`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    def to_json(self) -> str:
        """JSON with a stable key order, so that equal options are equal strings."""
        return self.model_dump_json(by_alias=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parses and validates what `to_json` wrote.

        Raises:
          pydantic.ValidationError: on unknown keys, missing keys or wrong types.
        """
        return cls.model_validate_json(text)
