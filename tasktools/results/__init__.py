"""Find out what happened to a task."""
