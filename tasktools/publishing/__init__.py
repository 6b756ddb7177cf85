"""Turn calls into messages: one by one, or in batches that can be continued."""
