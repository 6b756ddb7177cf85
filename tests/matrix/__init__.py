"""What each command does on each broker and each pool, shown by real servers: `make brokers`.

A test is a cell of the tables in docs/brokers.md. What it records with `cell.limit` stands there in place of "works".
"""
