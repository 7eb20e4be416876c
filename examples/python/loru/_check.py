"""Arguments before they go to C++: what is wrong is said in one line."""

import operator
import os

import numpy as np

from . import _loru


def name_of(value):
    """The name of a value's type, as errors show it."""
    return type(value).__name__


def integer(name, value):
    """A whole number of 64 bits. C++ knows the range that makes sense."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {name_of(value)}") from None
    if not -2**63 <= number < 2**63:
        raise _loru.ConfigError(f"{name}: expected an integer of 64 bits, got {number}")
    return number


def integers(name, values):
    """A list of them."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name}: expected a list of integers, got {name_of(values)}")
    return [integer(f"{name}[{i}]", value) for i, value in enumerate(values)]


def numbers(name, values):
    """A list of numbers."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name}: expected a list of numbers, got {name_of(values)}")
    checked = []
    for i, value in enumerate(values):
        try:
            checked.append(float(value))
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"{name}[{i}]: expected a number, got {name_of(value)}") from None
    return checked


def count(name, value):
    """A whole number, or None."""
    return None if value is None else integer(name, value)


def text(name, value):
    """A string that TOML and the system can have."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _loru.ConfigError(f"{name}: expected text, got {ascii(value)}") from None
    return value


def name(where, value):
    """A name as a string that errors can show whole."""
    if not isinstance(value, str):
        raise TypeError(f"{where}: expected names, got {name_of(value)}")
    if "\0" in value:
        raise _loru.ConfigError(f"{where}: expected names without NUL, got {value!r}")
    return text(where, value)


def path(name, value):
    """The path as a string, neither empty nor with a NUL, where the system would cut it."""
    given = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(given, str):
        raise TypeError(f"{name}: expected a path, got {name_of(value)}")
    if not given:
        raise _loru.ConfigError(f"{name}: expected a path, got an empty one")
    if "\0" in given:
        raise _loru.ConfigError(f"{name}: expected a path without NUL, got {given!r}")
    return text(name, given)


def array(name, value):
    """An array; without a copy of what is one."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name}: expected an array, got {name_of(value)}") from None


def message(name, value):
    """Bytes."""
    if not isinstance(value, bytes):
        raise TypeError(f"{name}: expected bytes, got {name_of(value)}")
    return value
