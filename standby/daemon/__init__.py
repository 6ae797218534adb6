"""The scheduler daemon: profiles run by themselves, for months, with nobody looking."""
