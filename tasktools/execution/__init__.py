"""A task that runs in this process."""
