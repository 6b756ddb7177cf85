"""What is in the queues: how much, since when, the next messages; take messages out."""
