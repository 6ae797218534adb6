"""Side-by-side measurements against what users would run instead."""
