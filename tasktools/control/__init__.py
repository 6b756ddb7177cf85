"""Ask the workers, and tell them what to do, by remote control."""
