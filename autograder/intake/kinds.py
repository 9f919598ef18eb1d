"""What a file is that is no notebook, in words: by its name, and by how it begins."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from autograder.parsing.cells import SUFFIXES

HEAD = 2048  # bytes that are looked at
_LFS = b"version https://git-lfs.github.com/spec/"
_SHORTCUTS = {".gdoc", ".gsheet", ".gslides", ".gdraw", ".gform", ".gshortcut", ".glink", ".gcolab", ".gnote", ".gmap"}
_NAMES = {
    "a PDF": {".pdf"},
    "a text document": {".doc", ".docx", ".odt", ".rtf", ".pages"},
    "a picture": {".png", ".jpg", ".jpeg", ".gif", ".heic", ".webp", ".bmp", ".svg"},
    "an archive that is not opened": {".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"},
    "a web page": {".html", ".htm", ".mhtml"},
    "a link": {".url", ".webloc", ".lnk", ".desktop"},
    "a shortcut of Google Drive, not the file": _SHORTCUTS,
    "weights": {".pt", ".pth", ".safetensors", ".ckpt"},
}
TYPED_IN = "blackboard.txt"  # our name for what Blackboard writes of each attempt
_TYPED = {"text.html", "onlinetext.html", TYPED_IN}


def kind_by_name(name: str) -> str:
    """What a file is, by its name: "a PDF", say; "a file of another kind" where that is not known."""
    path = PurePosixPath(name.lower())
    inner = PurePosixPath(path.stem).suffix
    if path.name in _TYPED:
        return "text that was typed into the form"
    if path.name == "link.html":
        return "a link"
    if inner in (*SUFFIXES, ".zip") and path.suffix not in _SHORTCUTS:
        return f"perhaps a {inner} whose name ends in {path.suffix}: it has to end in {inner}"
    return next((kind for kind, suffixes in _NAMES.items() if path.suffix in suffixes), "a file of another kind")


def kind_by_content(head: bytes, name: str) -> str:
    """What a file is that is called a notebook and begins like something else; "" if it may be one.

    Args:
        head: Its first `HEAD` bytes.
        name: Its name.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(_LFS):
        return "a pointer of Git LFS, not the file itself: `git lfs pull` in the clone fetches it"
    if start.startswith(b"%PDF-"):
        return "a PDF by another name"
    if start.startswith(b"PK\x03\x04"):
        return "a zip by another name"
    if not name.lower().endswith(".ipynb"):
        return ""
    if start[:9].lower().startswith((b"<!doctype", b"<html")):
        return "a web page, not the notebook: it was saved from the browser's window, and has to be downloaded"
    if len(head) < HEAD and _is_shortcut(start):
        return "a shortcut of Google Drive, not the notebook: it has to be downloaded as .ipynb"
    return ""


def is_lfs_pointer(head: bytes) -> bool:
    """Whether a file is what Git leaves in place of a large one."""
    return head.startswith(_LFS)


def _is_shortcut(text: bytes) -> bool:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(content, dict) and "cells" not in content and bool({"doc_id", "url", "resource_id"} & set(content))
    )
