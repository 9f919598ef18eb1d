"""Which tests stay together when workers share them: those of a file, or of a part of it where the file is too long.

pytest-xdist has marks for that (`--dist loadgroup`), but with pytest 9.2 it does not see them: it writes them into
what a test is called, and pytest does not look there any more. Then each test goes to whoever is free, and what a file
prepares once is prepared by every worker. So a scheduler of ours asks here.
"""

from __future__ import annotations

import functools
import re

from xdist.scheduler import LoadFileScheduling

from tests.attacks.cases import load_attacks

_GIVEN = re.compile(r"\[(\w[\w-]*)")


class ByParts(LoadFileScheduling):
    """One worker runs the tests of a part, one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return part_of(nodeid)


def part_of(test: str) -> str:
    """The part that a test belongs to: its file, but for two of them.

    Parts of the attacks each have a slot of their own, and attacks on one honest notebook stay together as long as they
    are not too many. Of the runtimes each is a part.

    Args:
        test: Its path, `::`, its name, and in brackets what it is given.
    """
    path, _, rest = test.partition("::")
    given = found[1] if (found := _GIVEN.search(rest)) else ""
    if path.endswith("/test_attacks.py") and given in _bases():
        return f"{path} on zeros {len(given) % 2}" if _bases()[given] == "zeros" else f"{path} on others"
    if path.endswith("/test_runtimes.py") and given:
        return f"{path} {given}"
    return path


@functools.cache
def _bases() -> dict[str, str]:
    """By the name of each attack the notebook that it is put into."""
    return {attack.name: attack.base.name for attack in load_attacks()}
