"""What became of a task."""
