"""Turn what was typed into one call: names, values, types, and the signature that they are bound to. Pure."""
