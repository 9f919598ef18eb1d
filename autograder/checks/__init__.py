"""What a suite may use: the student, comparisons, drawings, the runner that turns a check into a verdict.

Everybody above `runtime` may import it; it imports `runtime` alone and ships to students.
"""
