"""What a worker and a beat say about themselves: whether they are alive and ready, and how much they do."""
