"""What runs in the supervisor, the process beside each worker, and the memory it shares with that worker."""
