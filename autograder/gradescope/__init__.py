"""The assignment as a Gradescope autograder: what its zip holds, and what runs in its container.

`bundle.py` writes the zip on an instructor's machine. Gradescope unpacks it into `/autograder/source` and runs
`setup.sh` once, as root and with a network. For each submission it starts that image anew, puts the files into
`/autograder/submission` and runs `run_autograder`, as root; that is `run.py`. There the engine grades as everywhere
else, and what it says becomes `/autograder/results/results.json`.

Such containers refuse namespaces, so student code runs as a user of its own (`autograder/sandbox/uid.py`): the scripts
close `/autograder` to it and leave the Python in `/opt/fcoskit` open.
"""
