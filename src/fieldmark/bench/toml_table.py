"""A table of a TOML file whose keys are taken one by one, each with its kind; mistakes are said with their place."""

from typing import Any

from fieldmark.errors import UserError


class TomlTable:
    """A table of the file, of which each key is taken once; what is left at the end is a mistake."""

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise UserError(f"{where} must be a table")
        self.left, self.where = dict(values), where

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        """The value of a key; one without a default (but for None) is needed."""
        if key not in self.left:
            if default is None:
                raise UserError(f"{self.where} lacks {key}")
            return default
        value = self.left.pop(key)
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            raise UserError(f"{self.where}: {key} is {value!r}; expected {kind.__name__}")
        return value

    def each(self, key: str, kind: type, default: tuple[Any, ...]) -> tuple[Any, ...]:
        """A list of values of one kind."""
        values = self.take(key, list, list(default))
        if wrong := [value for value in values if type(value) is not kind]:
            raise UserError(f"{self.where}: {key} holds {wrong[0]!r}; expected {kind.__name__}")
        if len({str(value) for value in values}) < len(values):
            raise UserError(f"{self.where}: {key} names one twice")
        return tuple(values)

    def words(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of names."""
        return self.each(key, str, default)

    def numbers(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list of seeds."""
        values = self.each(key, int, default)
        if not values or min(values) < 0:
            raise UserError(f"{self.where}: {key} must be one or more whole numbers from 0 on")
        return values

    def tables(self, key: str) -> dict[str, Any]:
        """A table of tables."""
        return self.take(key, dict, {})

    def splits(self) -> tuple[str, ...] | None:
        """``train_on``, as "train" or "train+val"; None where it is not said."""
        said = self.take("train_on", str, "")
        return tuple(said.split("+")) if said else None

    def refuse_rest(self) -> None:
        """Raises ``UserError`` for a key that nobody took."""
        if self.left:
            raise UserError(f"{self.where}: {next(iter(self.left))} means nothing here")
