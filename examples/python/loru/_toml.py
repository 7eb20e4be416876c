"""A configuration as TOML text."""

import json
import os
from collections.abc import Mapping


def value(item):
    """The TOML of a value; numpy's numbers and arrays, and paths, are taken as well."""
    if isinstance(item, Mapping):
        return "{" + ", ".join(f"{_string(key)} = {value(inner)}" for key, inner in item.items()) + "}"
    if isinstance(item, (list, tuple)):
        return "[" + ", ".join(value(inner) for inner in item) + "]"
    if isinstance(item, os.PathLike):
        return _string(os.fspath(item))
    if hasattr(item, "tolist"):
        return value(item.tolist())
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, (int, float)):
        return repr(item)
    if isinstance(item, str):
        return _string(item)
    raise TypeError(f"configuration: expected a string, number, list or dict, got {type(item).__name__}")


def document(config):
    """The text of a configuration: a dict of its tables, whose keys may also be written with dots."""
    if not isinstance(config, Mapping):
        raise TypeError(f"configuration: expected a dict or a path, got {type(config).__name__}")
    tree = {}
    _overlay(tree, config)
    return "".join(f"{_string(key)} = {value(item)}\n" for key, item in tree.items())


def assignments(settings):
    """What `federate --set` takes, of a dict {"key.path": value} or a list of "key.path=value"."""
    if settings is None:
        return []
    if isinstance(settings, Mapping):
        return [f"{key}={value(item)}" for key, item in _leaves(settings)]
    return [str(item) for item in settings]


def _leaves(settings, table=""):
    """The keys of a dict and of the dicts in it, with dots, and their values."""
    for key, item in settings.items():
        if isinstance(item, Mapping):
            yield from _leaves(item, f"{table}{key}.")
        else:
            yield f"{table}{key}", item


def _overlay(tree, config):
    for key, item in config.items():
        table = tree
        *parents, leaf = str(key).split(".")
        for parent in parents:
            table = table.setdefault(parent, {})
        if isinstance(item, Mapping) and isinstance(table.get(leaf, {}), dict):
            _overlay(table.setdefault(leaf, {}), item)
        else:
            table[leaf] = item


def _string(text):
    # JSON's escapes are TOML's, which also wants one for DEL.
    return json.dumps(str(text), ensure_ascii=False).replace("\x7f", "\\u007f")
