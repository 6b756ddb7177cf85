"""What an operator sees at one glance: the broker, the workers and the last hour, for any number of people at once."""
