"""Student code runs here, apart from everything that grades it.

Theory of operation. Three kinds of process take part, and trust runs one way:

1. The *slot* (`autograder.slots`) is ours. It has collected the suites and knows the expected values.
2. *bubblewrap* (`bwrap.py`) makes new user, PID, network, mount, IPC, UTS and cgroup namespaces with no
   capabilities, an empty root that holds only the system's libraries, this Python and the few files of
   ours named in `bwrap.WORKER_FILES`, all read-only, and a small private tmpfs as the one place to write.
   No network, no suites, no reference tensors, no other submission: they are not hidden, they are absent.
3. The *worker* (`worker.py`), PID 1 in there, is the student's process. It imports torch, says that it is
   ready, loads one slice of one notebook, and answers requests about it. A new one for each exercise.

Slot and worker are joined by one socket pair. On it run frames (`wire.py`) of JSON and safetensors, never
pickle. Everything that comes back is treated as written by the student: sizes, depth and form are checked,
tensors are rebuilt from bytes. The worker's standard output goes to a pipe that is drained, cut off, and
shown to staff alone. A worker that dies, hangs or lies ends in a verdict for the checks at hand and never
in a pass. `client.py` is the slot's end: it starts workers, keeps the time, and kills.

Whose fault: `StudentError` is the student's; `SandboxFailed` is ours and never costs points.
"""
