"""How jobs get into the queue: `intake` accepts submissions, `gates` lets jobs pass the limits of their keys.

This room may import broker and every room below it.
"""
