"""A configuration as TOML text."""

import json
import os
from collections.abc import Mapping

from . import _check, _loru


def value(item, where):
    """The TOML of a value; numpy's numbers and arrays, and paths, are taken as well. Errors name where it stands."""
    if isinstance(item, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {value(inner, where)}" for key, inner in item.items()) + "}"
    if isinstance(item, (list, tuple)):
        return "[" + ", ".join(value(inner, where) for inner in item) + "]"
    if isinstance(item, os.PathLike):
        return _string(os.fsdecode(item), where)
    if hasattr(item, "tolist"):
        return value(item.tolist(), where)
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int) and not -2**63 <= item < 2**63:
        raise _loru.ConfigError(f"{where}: expected an integer of 64 bits, got {item}")
    if isinstance(item, (int, float)):
        return repr(item)
    if isinstance(item, str):
        return _string(item, where)
    raise TypeError(f"{where}: expected a string, number, list or dict, got {_check.name_of(item)}")


def document(config):
    """The text of a configuration: a dict of its tables, whose keys may also be written with dots."""
    if not isinstance(config, Mapping):
        raise TypeError(f"config: expected a dict or a path, got {_check.name_of(config)}")
    tree = {}
    _overlay(tree, config)
    return "".join(f"{_key(key)} = {_value_of(item, key)}\n" for key, item in tree.items())


def assignments(settings):
    """What `federate --set` takes, of a dict {"key.path": value} or a list of "key.path=value"."""
    if settings is None:
        return []
    if isinstance(settings, Mapping):
        return [f"{_plain(key)}={value(item, f'--set: {key}')}" for key, item in leaves(settings)]
    if isinstance(settings, (str, bytes)) or not hasattr(settings, "__iter__"):
        raise TypeError(f"set: expected a dict or a list of 'key=value', got {_check.name_of(settings)}")
    given = list(settings)
    for item in given:
        if not isinstance(item, str):
            raise TypeError(f"set: expected a list of 'key=value', got {_check.name_of(item)} in it")
    return [_plain(item) for item in given]


def leaves(settings, table=""):
    """The keys of a dict and of the dicts in it, with dots, and their values."""
    for key, item in settings.items():
        if isinstance(item, Mapping):
            yield from leaves(item, f"{table}{key}.")
        else:
            yield f"{table}{key}", item


def _overlay(tree, config):
    for key, item in config.items():
        table = tree
        *parents, leaf = str(key).split(".")
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise _loru.ConfigError(f"config: {key}: {parent} is a value, not a table")
        if isinstance(item, Mapping) and isinstance(table.get(leaf, {}), dict):
            _overlay(table.setdefault(leaf, {}), item)
        else:
            table[leaf] = item


def _value_of(item, table):
    """The TOML of what stands under a key, table by table, so that errors name the whole key."""
    if not isinstance(item, dict):
        return value(item, f"config: {table}")
    return "{" + ", ".join(f"{_key(key)} = {_value_of(inner, f'{table}.{key}')}" for key, inner in item.items()) + "}"


def _key(key):
    return _string(_plain(key), "config")


def _plain(key):
    """A key as text that errors can show."""
    text = str(key)
    if "\0" in text:
        raise _loru.ConfigError(f"config: expected keys without NUL, got {text!r}")
    return _check.text("config", text)


def _string(text, where):
    # JSON's escapes are TOML's, which also wants one for DEL.
    return json.dumps(_check.text(where, text), ensure_ascii=False).replace("\x7f", "\\u007f")
