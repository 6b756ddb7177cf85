"""The registered tasks of an app, and what a message to one of them looks like."""
