"""The beat schedule: what is in it, whether it can run, and how beat stops."""
