"""What operators see: `logs`, `metrics` (built of `instruments`), `traces`, and `sampling`: which spans begin a trace.

Every room above may use it; it imports only the shared words.
"""
