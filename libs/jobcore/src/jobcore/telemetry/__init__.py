"""What operators see: `logs`, `metrics`, `traces`, and `sampling`, which decides what may begin a trace.

Every room above may use it; it imports only the shared words.
"""
