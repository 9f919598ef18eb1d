"""Downloads: each is a line in the file `STAND_IN_DOWNLOADS`."""

import os
from pathlib import Path


def download(filename):
    """Let the browser download a file, which has to be there."""
    assert Path(filename).is_file()
    with Path(os.environ["STAND_IN_DOWNLOADS"]).open("a", encoding="utf-8") as stream:
        stream.write(f"{filename}\n")
