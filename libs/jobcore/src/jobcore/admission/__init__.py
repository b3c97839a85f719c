"""How jobs get into the queue: `intake` stores submissions, `limits` unblocks jobs when a limit has permits.

This room may import broker and all rooms below it.
"""
