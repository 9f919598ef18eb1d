"""Builds voc07_train.json and voc07_val.json from Pascal VOC's annotations.

    python data_scripts/make_voc_lists.py DATA_DIR

DATA_DIR holds VOCdevkit/VOC2007 as the official archive unpacks it, and gets the two lists. What a list
holds is said at the top of helpers/ps7_helpers/voc.py.
"""

import argparse
from pathlib import Path

from ps7_helpers.voc import list_name, make_list, write_list


def main(arguments: list[str] | None = None) -> None:
    """Read the arguments, write the lists, say what they hold."""
    parser = argparse.ArgumentParser(description="Build voc07_<split>.json from the annotations of Pascal VOC 2007.")
    parser.add_argument("data_dir", type=Path, help="folder that holds VOCdevkit/VOC2007")
    parser.add_argument("--out", type=Path, help="where to write the lists instead of data_dir")
    parser.add_argument(
        "--splits", nargs="+", default=["train", "val"], help="files of ImageSets/Main (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    out = options.out or options.data_dir
    out.mkdir(parents=True, exist_ok=True)
    for split in options.splits:
        try:
            listed = make_list(options.data_dir / "VOCdevkit" / "VOC2007", split, relative_to=options.data_dir)
        except (FileNotFoundError, ValueError) as error:
            parser.exit(1, f"{error}\n")
        path = out / list_name(split)
        write_list(listed, path)
        print(f"{path}: {len(listed)} images, {sum(len(objects) for _, objects in listed)} boxes")


if __name__ == "__main__":
    main()
