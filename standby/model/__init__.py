"""Frozen nouns of the product. Standard library only; no I/O."""
