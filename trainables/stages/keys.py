"""The keys that name results and artifacts. Imports no torch."""

import hashlib
import json
from dataclasses import fields, is_dataclass
from typing import Any

from trainables.data import content_name

PROTOCOL = 2
"""Enters every key. Raised when the same configuration begins to mean another computation."""


def configuration_key(configuration: Any) -> str:
    """Twenty hexadecimal digits that name a configuration, a dataclass: equal exactly if every field is.

    Whole floats and integers are the same number, so the same key: 1 and 1.0. A field that was added later, which its
    metadata says (``added``), does not enter as long as it has its default: older keys stay as they are. The fields of
    one that is ``flat``, a dataclass itself, enter beside the others.
    """
    deciding = _deciding(configuration) | {"protocol": PROTOCOL}
    canonical = json.dumps(json.loads(json.dumps(deciding, allow_nan=False), parse_int=float), sort_keys=True)
    return hashlib.blake2b(canonical.encode(), digest_size=10).hexdigest()


def _deciding(configuration: Any) -> dict[str, Any]:
    """Fields as they enter a key."""
    deciding: dict[str, Any] = {}
    for field in fields(configuration):
        value = getattr(configuration, field.name)
        if field.metadata.get("added") and value == field.default:
            continue
        if is_dataclass(value):
            value = _deciding(value)
        if field.metadata.get("flat"):
            deciding |= value
            continue
        deciding[field.name] = content_name(value) if field.name == "data" else value
    return deciding
