"""The network of a host, seen from inside: an uplink that somebody else plugs in."""

import subprocess

from lab.layout import HOST_BRIDGE, UPLINK


def configure_end(address: str, prefix_length: int) -> None:
    """Put the address on the uplink itself."""
    batch(
        [
            "link set lo up",
            f"addr add {address}/{prefix_length} dev {UPLINK}",
            f"link set {UPLINK} up",
        ]
    )


def configure_bridged(address: str, prefix_length: int) -> None:
    """Put the address on a bridge over the uplink, so that guests can sit on the same network."""
    batch(
        [
            "link set lo up",
            f"link add {HOST_BRIDGE} type bridge forward_delay 0",
            f"link set {UPLINK} master {HOST_BRIDGE}",
            f"addr add {address}/{prefix_length} dev {HOST_BRIDGE}",
            f"link set {UPLINK} up",
            f"link set {HOST_BRIDGE} up",
        ]
    )


def batch(lines: list[str]) -> None:
    """Run several commands of ip(8) in one process."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)
