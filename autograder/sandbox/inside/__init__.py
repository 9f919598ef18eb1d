"""What runs within the sandbox: the preloader, its watch and sweep, the worker, the wire that both sides speak.

It is seen by student code whole, so it imports `runtime` alone; only `sandbox` imports it.
"""
