"""Checks of the options that the surrogates take. Each message says what was expected and what came."""

import math


def positive(name: str, value: object) -> float:
    """The value as a float.

    Raises:
        ValueError: when it is not a finite number above zero.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a finite number above 0; got {value!r}.")
    return float(value)


def count(name: str, value: object) -> int:
    """The value as an int.

    Raises:
        ValueError: when it is not a whole number above zero.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number above 0; got {value!r}.")
    return value


def part(name: str, value: object) -> float:
    """The value as a float.

    Raises:
        ValueError: when it is not a number from 0 up to, but not, 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{name} must be a number from 0 up to, but not, 1; got {value!r}.")
    return float(value)


def switch(name: str, value: object) -> bool:
    """The value, which must be True or False.

    Raises:
        ValueError: when it is not.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False; got {value!r}.")
    return value


def class_weighting(value: object) -> str | None:
    """``"balanced"`` or None.

    Raises:
        ValueError: when it is something else.
    """
    if value is None or value == "balanced":
        return value  # type: ignore[return-value]
    raise ValueError(f"class_weight must be 'balanced' or None; got {value!r}.")
