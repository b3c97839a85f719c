"""What a process that runs for months needs of its machine.

`clock` goes on during a suspend, `threads` restarts threads that fail and reports those that hang, `ticker` looks at
deadlines ten times a second, `patience` bounds how long unforeseen errors are tried again, `processes` signals other
processes safely. Every room above may use it; it imports only telemetry and the shared words.
"""
