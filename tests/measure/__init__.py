"""What the store and its sinks cost: for `make bench`, which runs this as a process."""
