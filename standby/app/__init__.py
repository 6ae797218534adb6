"""The application: the only place that wires the rooms together."""
