"""The command line: one file per command; calls the application."""
