"""Fetches Pascal VOC 2007 (train and val) from its home and makes the two lists.

Nothing half done is left behind: the archive is checked before it is unpacked, it is unpacked beside its
place, and moved there only when whole.
"""

import hashlib
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath

from ps7_helpers.voc import list_name, make_list, write_list

VOC2007_URL = "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtrainval_06-Nov-2007.tar"
VOC2007_MD5 = "c52e279531787c972589f7e41ab4ae64"
_VOC_DIR = PurePosixPath("VOCdevkit/VOC2007")
_FOLDERS = ("Annotations", "ImageSets", "JPEGImages")
_TIMEOUT_S = 60


def download_voc2007(
    dataset_dir: str | Path, url: str = VOC2007_URL, md5: str = VOC2007_MD5, *, drive_id: str = ""
) -> None:
    """Put Pascal VOC 2007 and its two lists into a folder; does nothing where they are.

    Args:
        dataset_dir: The folder that gets ``VOCdevkit/VOC2007``, ``voc07_train.json`` and ``voc07_val.json``.
        url: Where the archive is.
        md5: Its published checksum, in hexadecimal.
        drive_id: Id of a copy of the same archive on Google Drive, tried before ``url`` where it is given.

    Raises:
        ConnectionError: The archive could not be fetched.
        ValueError: What was fetched is not the archive.
    """
    dataset_dir = Path(dataset_dir)
    dataset_dir.mkdir(parents=True, exist_ok=True)
    voc_dir = dataset_dir / _VOC_DIR
    if not voc_dir.is_dir():
        with tempfile.TemporaryDirectory(prefix=".voc07-", dir=dataset_dir) as scratch:
            archive = Path(scratch) / "archive.tar"
            if not (drive_id and _fetch_from_drive(drive_id, archive, md5)):
                _fetch(url, archive)
                _check(archive, md5, url)
            _extract(archive, Path(scratch))
            voc_dir.parent.mkdir(exist_ok=True)
            (Path(scratch) / _VOC_DIR).replace(voc_dir)
    for split in ("train", "val"):
        path = dataset_dir / list_name(split)
        if not path.is_file():
            write_list(make_list(voc_dir, split, relative_to=dataset_dir), path)


def _fetch_from_drive(drive_id: str, path: Path, md5: str) -> bool:
    """Store a file of Google Drive; says so and returns False where it cannot be had or is another one."""
    try:
        import gdown

        gdown.download(id=drive_id, output=str(path), quiet=True)
        _check(path, md5, "Google Drive")
    except Exception as error:  # gdown's own errors derive from nothing narrower
        path.unlink(missing_ok=True)
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        print(f"The copy on Google Drive cannot be had ({why}). Trying the data set's home instead.")
        return False
    return True


def _fetch(url: str, path: Path) -> None:
    """Store what the URL answers with."""
    try:
        request = urllib.request.urlopen(url, timeout=_TIMEOUT_S)  # noqa: S310  the URL is ours
        with request as response, path.open("wb") as file:
            shutil.copyfileobj(response, file, length=1 << 20)
    except (urllib.error.URLError, OSError) as error:
        raise ConnectionError(
            f"Pascal VOC 2007 could not be fetched from {url}: {error}. Check the network connection and "
            "try again; or unpack the archive by hand, so that dataset_dir holds VOCdevkit/VOC2007, and "
            "repeat this call; or go on with the built-in ShapesDetection(split)."
        ) from error


def _check(path: Path, md5: str, url: str) -> None:
    """Refuse an archive that is not the published one."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != md5:
        raise ValueError(
            f"What {url} answered with is not the archive: its MD5 is {found}, the published one {md5}. "
            "It was deleted; the download was probably cut short or redirected (a login page?), so try again."
        )


def _extract(archive: Path, target: Path) -> None:
    """Unpack the three folders that are used; nothing can land outside ``target``."""
    wanted = tuple(f"{_VOC_DIR}/{folder}/" for folder in _FOLDERS)
    with tarfile.open(archive) as tar:
        members = [m for m in tar.getmembers() if m.isfile() and m.name.startswith(wanted)]
        tar.extractall(target, members=members, filter="data")  # refuses absolute paths, "..", links and devices
