"""`fcoskit`: the commands, their arguments and exit codes, what a person sees of them.

Nobody imports it; it may import every room.
"""
