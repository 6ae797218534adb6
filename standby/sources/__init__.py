"""Machines that are protected, each kind in a room of its own behind one interface."""
