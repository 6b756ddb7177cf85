"""Tasks that failed: how they are recorded, shown and sent again. The table is `tasktools.models.FailedTask`."""
