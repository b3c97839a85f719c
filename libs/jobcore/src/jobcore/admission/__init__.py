"""How jobs get into the queue: `intake` accepts submissions, `limits` unblocks jobs when a limit has permits.

This room may import broker and every room below it.
"""
