"""The life of one cycle."""
