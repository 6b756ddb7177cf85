"""Inside a worker: which tasks it accepts, how it reloads and how it stops."""
