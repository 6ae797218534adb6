"""Pure decisions: what to do, given what was seen. No I/O; `now` is always an argument."""
