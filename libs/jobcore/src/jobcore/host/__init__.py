"""What a process that runs for months needs of its machine.

`clock` counts the time of a suspend too, `background_thread` restarts threads that fail and reports those that stall,
`ticker` checks deadlines ten times a second, `error_budget` bounds how long unexpected errors are retried, and
`processes` signals other processes safely. Every room above may use this one; it imports only telemetry and the shared
words.
"""
