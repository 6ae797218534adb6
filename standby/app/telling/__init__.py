"""Telling people what happened: what, to whom, in which form, and again when it fails."""
