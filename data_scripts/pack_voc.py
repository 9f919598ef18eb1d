"""Packs Pascal VOC 2007 at the assignment's image size: one small file for a course to put on Google Drive.

    python data_scripts/pack_voc.py DATA_DIR [--archive VOCtrainval_06-Nov-2007.tar] [--out voc2007-224.tar]

DATA_DIR holds VOCdevkit/VOC2007, or gets it: from the official archive, given or fetched, whose checksum is verified.
What is printed at the end goes into the notebook.
"""

import argparse
import sys
from pathlib import Path

from ps7_helpers.download import VOC2007_MD5, VOC2007_URL, download_voc2007
from ps7_helpers.fetch import md5_of
from ps7_helpers.packed import lists_of, refuse_packed, write_packed
from ps7_helpers.progress import progress


def main(arguments: list[str] | None = None) -> None:
    """Read the arguments, pack, say what goes where."""
    parser = argparse.ArgumentParser(description="Pack Pascal VOC 2007 at the assignment's image size.")
    parser.add_argument("data_dir", type=Path, help="folder that holds VOCdevkit/VOC2007, or gets it")
    parser.add_argument("--archive", type=Path, help="the official archive, if it is on this machine already")
    parser.add_argument("--md5", default=VOC2007_MD5, help="its checksum (default: the published one)")
    parser.add_argument("--image-size", type=int, default=224, help="shorter edge in pixels (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="the packed file (default: voc2007-<size>.tar)")
    options = parser.parse_args(arguments)
    out = options.out or Path(f"voc2007-{options.image_size}.tar")
    url = options.archive.resolve().as_uri() if options.archive else VOC2007_URL
    try:
        refuse_packed(options.data_dir)
        download_voc2007(options.data_dir, url, options.md5)
        splits = lists_of(options.data_dir)
        total = sum(map(len, splits.values()))
        for _ in progress(write_packed(options.data_dir, splits, out, options.image_size), total, "packing"):
            pass
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    counted = ", ".join(
        f"{split} {len(listed)} images, {sum(len(o) for _, o in listed)} boxes" for split, listed in splits.items()
    )
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB; {counted}")
    print("Put it on Google Drive, share it with everybody who has the link, and write into the notebook:")
    print(f'PACKED_MD5 = "{md5_of(out)}"')


if __name__ == "__main__":
    sys.exit(main())
