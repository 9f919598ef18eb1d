"""Fetches Pascal VOC 2007 (train and val): the archive from its home, or the packed form that a course keeps.

Nothing half done is left in place: an archive is verified before it is unpacked, it is unpacked beside its place,
and moved there only when whole.
"""

import shutil
import tarfile
from pathlib import Path, PurePosixPath

from ps7_helpers.fetch import QUOTA, fetch_file, is_quota, md5_of, refuse_page, unpacked_beside, verify_file
from ps7_helpers.packed import PACKED_FOLDER
from ps7_helpers.progress import watched
from ps7_helpers.voc import list_name, make_list, write_list

VOC2007_URL = "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtrainval_06-Nov-2007.tar"
VOC2007_MD5 = "c52e279531787c972589f7e41ab4ae64"
_VOC_DIR = PurePosixPath("VOCdevkit/VOC2007")
_FOLDERS = ("Annotations", "ImageSets", "JPEGImages")
_SPLITS = ("train", "val")
_WAYS_ON = (
    "Check the network connection and try again; or {another}; or go on with the built-in ShapesDetection(split)."
)
_BY_HAND = "unpack the archive by hand, so that dataset_dir holds VOCdevkit/VOC2007, and repeat this call"
_IN_FULL = "fetch the full data set from its home, with download_voc2007(dataset_dir)"


def download_voc2007(
    dataset_dir: str | Path, url: str = VOC2007_URL, md5: str = VOC2007_MD5, *, drive_id: str = ""
) -> None:
    """Put Pascal VOC 2007 and its two lists into a folder; does nothing where they are.

    A download that was cut goes on where it stopped, in this call or the next.

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
        archive = _fetched(dataset_dir / ".voc2007.tar", url, md5, drive_id, _WAYS_ON.format(another=_BY_HAND))
        with unpacked_beside(dataset_dir) as scratch:
            _extract(archive, scratch, tuple(f"{_VOC_DIR}/{folder}/" for folder in _FOLDERS))
            voc_dir.parent.mkdir(exist_ok=True)
            (scratch / _VOC_DIR).replace(voc_dir)
        archive.unlink()
    for split in _SPLITS:
        path = dataset_dir / list_name(split)
        if not path.is_file():
            write_list(make_list(voc_dir, split, relative_to=dataset_dir), path)


def download_packed_voc2007(dataset_dir: str | Path, md5: str, *, drive_id: str = "", url: str = "") -> None:
    """Put the packed data set, made by ``data_scripts/pack_voc.py``, into a folder; does nothing where it is.

    It is a third of the archive's size and quicker to read, and ``VOC2007Detection`` finds it by itself.

    Args:
        dataset_dir: The folder that gets the images and both lists.
        md5: Checksum of the packed file, as the script printed it.
        drive_id: Its id on Google Drive.
        url: Where else it is; tried if Drive fails.

    Raises:
        ConnectionError: The file could not be fetched.
        ValueError: What was fetched is another file, or neither source is given.
    """
    if not drive_id and not url:
        raise ValueError("Say where the packed data set is: its drive_id, its url, or both.")
    dataset_dir = Path(dataset_dir)
    dataset_dir.mkdir(parents=True, exist_ok=True)
    if (dataset_dir / PACKED_FOLDER).is_dir() and all((dataset_dir / list_name(s)).is_file() for s in _SPLITS):
        return
    archive = _fetched(dataset_dir / ".voc2007-packed.tar", url, md5, drive_id, _WAYS_ON.format(another=_IN_FULL))
    with unpacked_beside(dataset_dir) as scratch:
        _extract(archive, scratch, (f"{PACKED_FOLDER}/", *map(list_name, _SPLITS)))
        if not (dataset_dir / PACKED_FOLDER).is_dir():
            (scratch / PACKED_FOLDER).replace(dataset_dir / PACKED_FOLDER)
        for split in _SPLITS:  # last: where a list is, its images are
            (scratch / list_name(split)).replace(dataset_dir / list_name(split))
    archive.unlink()


def _fetched(archive: Path, url: str, md5: str, drive_id: str, ways_on: str) -> Path:
    """The archive, fetched and verified; what other tries left of it, or of the other form, is gone."""
    if not archive.exists() and not (drive_id and _fetch_from_drive(drive_id, archive, md5, ways_on, bool(url))):
        try:
            fetch_file(url, archive, md5)
        except ConnectionError as error:
            raise ConnectionError(f"Pascal VOC 2007: {error} {ways_on}") from error
    for part in archive.parent.glob(".voc2007*.tar.*"):
        part.unlink()
    return archive


def _fetch_from_drive(drive_id: str, path: Path, md5: str, ways_on: str, elsewhere: bool) -> bool:
    """Store a file of Google Drive; where it cannot be had, say so and return False, or raise if there is no other."""
    whole = path.with_name(path.name + ".drive")
    try:
        _with_gdown(drive_id, whole, md5)
        verify_file(whole, md5, "Google Drive")
    except Exception as error:  # gdown's own errors derive from nothing narrower
        why = QUOTA if is_quota(str(error)) else _reason(error)
        if not elsewhere:
            kept = "".join(f" What has come is kept in {part}." for part in _parts(whole) if part.stat().st_size)
            raise ConnectionError(
                f"Pascal VOC 2007 could not be fetched from Google Drive: {why}{kept} {ways_on}"
            ) from error
        print(f"The copy on Google Drive cannot be had ({why}). Trying the data set's home instead.")
        return False
    whole.replace(path)
    return True


def _with_gdown(drive_id: str, whole: Path, md5: str) -> None:
    """Let gdown fetch a file, again as long as that brings something.

    What has come lies in a part of gdown's own beside the file. It goes on from a part only if that is the only one.
    gdown 5 does not look at the answer that it appends: not whether the part was whole before, nor for a web page.

    Raises:
        ValueError: A web page came in place of the rest; the part is as it was.
    """
    import gdown

    while True:
        *others, part = _parts(whole) or [whole]
        for other in others:
            other.unlink()
        before = part.stat().st_size if part.exists() else 0
        if before and md5_of(part) == md5:  # all of it: there is nothing to go on with
            part.replace(whole)
            return
        try:
            gdown.download(id=drive_id, output=str(whole), quiet=not watched(), resume=True)
        except Exception:  # as above
            grown = (_parts(whole) or [whole])[-1]
            if not grown.exists() or grown.stat().st_size <= before:
                raise
            continue
        if before:
            try:
                refuse_page(whole, before, "Google Drive")
            except ValueError:
                whole.replace(part)
                raise
        return


def _reason(error: Exception) -> str:
    """What went wrong, in a line. gdown's own errors begin with a heading; those of the network name its innards."""
    if isinstance(error, OSError) and error.errno is None:  # of requests, which is what gdown fetches with
        return "the connection failed, or was cut"
    head, _, rest = str(error).strip().partition("\n")
    behind = " ".join(rest.strip().partition("\n\n")[0].split())
    return behind if behind and head.endswith(":") else head or type(error).__name__


def _parts(whole: Path) -> list[Path]:
    """What gdown has begun of a file, the largest last."""
    return sorted(whole.parent.glob(f"{whole.name}?*"), key=lambda part: part.stat().st_size)


def _extract(archive: Path, target: Path, wanted: tuple[str, ...]) -> None:
    """Unpack the plain files whose names begin so; links and devices are left out.

    By hand, since ``tarfile``'s own filters are missing from Python 3.11.0 to 3.11.3.

    Raises:
        ValueError: A name points out of ``target``.
    """
    target = target.resolve()
    with tarfile.open(archive) as tar:
        for member in tar:
            if not (member.isfile() and member.name.startswith(wanted)):
                continue
            path = (target / member.name).resolve()
            if not path.is_relative_to(target):
                raise ValueError(f"The archive is not to be trusted: {member.name!r} points out of its folder.")
            path.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            assert source is not None  # it is a plain file
            with source, path.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
