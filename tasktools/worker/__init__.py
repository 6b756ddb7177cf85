"""Inside a worker: what it accepts, how it reloads and how it stops."""
