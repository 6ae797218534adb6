"""Building the lab's guest: a small real Linux from the distribution's own packages."""

from lab.guest.build import build, guest_key

__all__ = ["build", "guest_key"]
