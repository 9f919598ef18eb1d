"""Fetches one large file: goes on where a connection was cut, and keeps the file whole and verified or not at all."""

import hashlib
import itertools
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from time import sleep
from typing import Any

from ps7_helpers.progress import byte_bar

_TIMEOUT_S = 60
_BLOCK = 1 << 18
_ATTEMPTS = 5  # in a row that bring nothing new; between them 1, 2, 4 and 8 seconds pass


def fetch_file(url: str, path: Path, md5: str, attempts: int = _ATTEMPTS) -> None:
    """Store what a URL answers with, if its checksum is right.

    What has come lies in ``<name>.part`` beside the file. If the connection is cut, the rest is asked for; if it
    stays away, the part is kept and the next call goes on from it.

    Args:
        url: http, https or file.
        path: Where the file goes; it is there when this returns, and never before it is verified.
        md5: Its checksum, in hexadecimal.
        attempts: How often in a row nothing new may come.

    Raises:
        ConnectionError: It could not be fetched.
        ValueError: What came is another file, or a web page; it is deleted. A page leaves the part as it was.
    """
    part = path.with_name(path.name + ".part")
    left, why = attempts, "it ended early"
    while left:
        before = _size(part)
        try:
            if _more(url, part):
                break
        except (urllib.error.URLError, HTTPException, OSError) as error:
            why = str(error) or type(error).__name__
            if isinstance(error, urllib.error.HTTPError) and error.code == 416:  # nothing behind what is there
                break
            if isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500:
                left = 1
        left = attempts if _size(part) > before else left - 1
        if 0 < left < attempts:
            sleep(2.0 ** (attempts - left - 1))
    if not left:
        raise ConnectionError(f"{url} could not be fetched: {why}.{_kept(part)}")
    verify_file(part, md5, url)
    part.replace(path)


def verify_file(path: Path, md5: str, source: str) -> None:
    """Check what was fetched; deletes it if it is not what it should be.

    Raises:
        ValueError: It is a web page, or another file.
    """
    found = md5_of(path)
    if found == md5:
        return
    with path.open("rb") as file:
        page = _page(file.read(_BLOCK))
    path.unlink()
    if page is not None:
        raise ValueError(_of_page(source, page))
    raise ValueError(
        f"What {source} answered with is not the archive: its MD5 is {found}, the published one {md5}. "
        "It was deleted; it was probably damaged on the way, or the file there was replaced. Try again."
    )


def md5_of(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):  # `hashlib.file_digest` came with Python 3.11
            digest.update(block)
    return digest.hexdigest()


def refuse_page(path: Path, have: int, source: str) -> None:
    """Where a web page was appended to the first ``have`` bytes of a file, take it off again.

    Raises:
        ValueError: There was one; says what it means.
    """
    with path.open("rb+") as file:
        file.seek(have)
        page = _page(file.read(_BLOCK))
        if page is not None:
            file.truncate(have)
            raise ValueError(_of_page(source, page))


def _more(url: str, part: Path) -> bool:
    """Fetch what is still missing, as far as it comes; whether all of it came.

    Raises:
        ValueError: A web page came in its place; what came before is left alone.
    """
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310  ours
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310  the URL is ours
        resumed = getattr(response, "status", None) == 206 and _start(response) == have
        length = response.headers.get("Content-Length")
        total = (have if resumed else 0) + int(length) if length else None
        blocks = _blocks(response)
        first = next(blocks, b"")
        if not first:
            return False
        if not resumed and (page := _page(first)) is not None:
            raise ValueError(_of_page(url, page) + _kept(part))
        with part.open("ab" if resumed else "wb") as file, byte_bar(total, have if resumed else 0) as bar:
            for block in itertools.chain([first], blocks):
                file.write(block)
                bar.update(len(block))
    return total is None or _size(part) >= total


def _blocks(response: Any) -> Iterator[bytes]:
    while block := response.read(_BLOCK):
        yield block


def _start(response: Any) -> int | None:
    """Where in the file a partial answer begins."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _kept(part: Path) -> str:
    """A sentence about what has come so far, if anything has."""
    return f" {_size(part) / 1e6:.1f} MB are kept; the same call goes on from there." if _size(part) else ""


def _page(beginning: bytes) -> str | None:
    """The text of a web page at the beginning of a file; None if it is none."""
    text = beginning[:20000].decode("utf-8", errors="replace")
    return text if re.match(r"\s*(<!doctype html|<html|<head)", text, re.IGNORECASE) else None


def _of_page(source: str, page: str) -> str:
    """What a web page in place of a file means."""
    if is_quota(page):
        return f"{source}: {QUOTA}"
    title = re.search(r"<title[^>]*>(.*?)</title>", page, re.IGNORECASE | re.DOTALL)
    named = f" ({' '.join(title[1].split())[:80]!r})" if title else ""
    return (
        f"{source} answered with a web page{named}, not with the archive. It is not kept. A login or a proxy stands "
        "between, or the link is not to the file itself: open it in a browser and look."
    )


QUOTA = (
    "Google Drive's quota for this file is used up: too many people fetched it today. It works again within 24 "
    "hours; until then, 'Add shortcut to Drive' and a copy of your own help, or another source."
)


def is_quota(text: str) -> bool:
    """Whether a page or an error says that too many have fetched a file of Google Drive."""
    return bool(re.search(r"quota.{0,40}exceeded|exceeded.{0,40}quota|too many users have viewed", text, re.I | re.S))


@contextmanager
def unpacked_beside(folder: Path) -> Iterator[Path]:
    """A scratch folder on the same disk, so that what is finished in it can be moved; gone afterwards."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as scratch:
        yield Path(scratch)
