"""What was typed becomes one call: names, values, types, and the signature that they are bound to. Pure."""
