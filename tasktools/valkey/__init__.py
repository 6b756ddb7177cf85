"""The private Valkey of development: the server, the keeper beside it, and the folders that they use."""
