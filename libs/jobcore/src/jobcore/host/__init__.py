"""What a process of ours needs of its machine: a clock, threads that are looked after, other processes."""
