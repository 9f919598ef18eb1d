"""Memory gathered into large pages holds what it held."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

_PROGRAM = """
import hashlib
from pathlib import Path
from autograder.sandbox.inside.huge_pages import collapse

def huge():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))

data = bytearray(range(256)) * (64 * 2**20 // 256)
before, digest = huge(), hashlib.sha256(data).hexdigest()
done = collapse()
assert hashlib.sha256(data).hexdigest() == digest
print(done, huge() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux has it")
def test_collapsing_changes_no_byte_and_is_seen_by_the_kernel():
    """64 MB are as they were, and where it says that memory was gathered, the kernel says so, too."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.split()
    gathered, kilobytes = map(int, done)
    if gathered == 0:
        pytest.skip("this kernel does not gather pages on request")
    assert kilobytes >= 32 * 1024
