"""`submission_metadata.yml` of Gradescope's export: whose each folder is. Read as data, never as objects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import yaml

from autograder.course.origin import GRADESCOPE, Origin
from autograder.intake.platforms import Label

FILE = "submission_metadata.yml"
MAX_BYTES = 64 * 2**20
_MOST = 5000  # folders


def read_metadata(data: bytes) -> dict[str, tuple[Label, ...]]:
    """By folder or file of the export, whose it is: several students where they handed in together.

    Args:
        data: The file, of at most `MAX_BYTES`.

    Returns:
        Nothing for what is not of that form.
    """
    try:
        content = yaml.load(data, Loader=_LOADER)  # noqa: S506 (a safe loader: plain values alone)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    if not isinstance(content, Mapping):
        return {}
    entries = list(content.items())[:_MOST]
    return {str(name): labels for name, entry in entries if (labels := _labels(str(name), entry))}


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _labels(folder: str, entry: Any) -> tuple[Label, ...]:
    people = _get(entry, "submitters")
    if not isinstance(people, list):
        return ()
    history = _get(entry, "history")
    attempt = 1 + (len(history) if isinstance(history, list) else 0)
    time = _get(entry, "created_at")
    when = time.isoformat() if isinstance(time, datetime) else ""
    return tuple(_label(folder, person, attempt, when) for person in people[:20] if isinstance(person, Mapping))


def _label(folder: str, person: Any, attempt: int, time: str) -> Label:
    name, sid, email = (_text(_get(person, key)) for key in ("name", "sid", "email"))
    user = sid or email or folder
    origin = Origin(GRADESCOPE, user, name or user, folder, attempt, email=email, time=time)
    return Label(f"{name}_{user}" if name else user, origin)


def _get(entry: Any, key: str) -> Any:
    """A value under a key that Ruby wrote as a symbol, ":name", or as a text."""
    return entry.get(f":{key}", entry.get(key)) if isinstance(entry, Mapping) else None


def _text(value: Any) -> str:
    return str(value).strip()[:200] if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
