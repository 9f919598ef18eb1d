"""Student code runs here, apart from everything that grades it.

Theory of operation. Three kinds of process take part, and trust runs one way:

1. The *slot* (`autograder.runs.slots`) is ours. It has collected the suites and knows the expected values.
2. What keeps apart, one of two kinds; `probe.py` tries them and says which it is and why. *bubblewrap* (`bwrap.py`)
   makes new user, PID, network, mount, IPC, UTS and cgroup namespaces with no capabilities, and an empty root that
   holds only the system's libraries, this Python and the few files of ours named in `launch.SEEN`, all
   read-only, and a small private tmpfs as the one place to write. No network, no suites, no reference tensors, no
   other submission: they are not hidden, they are absent. *A user that nobody else is* (`uid.py`) serves where
   namespaces are refused and we are root: Landlock or file modes hide the same things there. In both, system calls
   that reach further are refused (`seccomp.py`).
3. The *preloader* (`preloader.py`) is PID 1 in there, or root outside of that user's reach, and ours too. It has
   imported torch once and forks a worker when asked. While there is one it looks at what all its processes use
   together (`watch.py`), and afterwards it kills them all (`home.py`) and removes what they left (`sweep.py`).
4. The *worker* (`worker.py`) is the student's process. It loads one slice of one notebook and answers
   requests about it. There is a new one for each exercise, and only one at a time.
5. The *companion* (`companion.py`) is ours, beside the worker: the instructor's functions that stand in for earlier
   exercises run there, out of the worker's sight. What is bound in the worker asks by its line to the slot, which
   hands the question on.

Slot and preloader are joined by a control socket that workers do not inherit, slot and worker by a socket
pair made for that worker. On it run frames (`wire.py`) of JSON and safetensors, never pickle. Everything that
comes back is treated as written by the student: sizes, depth and form are checked, tensors are rebuilt from
bytes. The worker's standard output goes to a pipe that is drained, cut off, and shown to staff alone. A
worker that dies, hangs or lies ends in a verdict for the checks at hand and never in a pass; a sandbox that is
not as it was at the start is replaced. `host.py` is a sandbox seen from the slot, `client.py` a worker.

Who may import it: `grading`, `runs` and `nbgrader`; of it, student code sees the room `inside` alone.

Whose fault: `StudentError` is the student's; `SandboxFailed` is ours and never costs points.
"""
