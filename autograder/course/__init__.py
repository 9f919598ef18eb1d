"""What a course says: `assignment.toml`, limits, the instructor notebook with its markers, digests of what decides.

Every room above may import it; it imports `runtime` alone and stays with staff.
"""
