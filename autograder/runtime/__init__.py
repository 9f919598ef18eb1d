"""What lives beside student code: values that cross the wall, loading a slice, the workbench, the pretended GPU.

Everybody may import it; it imports no other room, ships to students, and is seen in the sandbox.
"""
