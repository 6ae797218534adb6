"""The network between the hosts: a bridge in a namespace of its own, with its DHCP server."""

import subprocess

from lab.layout import (
    DHCP_RANGE,
    PREFIX_LENGTH,
    SWITCH_ADDRESS,
    SWITCH_BRIDGE,
    UPLINK,
    HostName,
    Layout,
    hardware_address,
)
from lab.processes import ProcessRecord


def build(init: ProcessRecord, layout: Layout) -> None:
    """Make the bridge and start the DHCP server for guests."""
    _ip(
        init,
        [
            "link set lo up",
            f"link add {SWITCH_BRIDGE} type bridge forward_delay 0",
            f"addr add {SWITCH_ADDRESS}/{PREFIX_LENGTH} dev {SWITCH_BRIDGE}",
            f"link set {SWITCH_BRIDGE} up",
        ],
    )
    _start_dhcp(init, layout)


def plug(init: ProcessRecord, host: HostName, host_init: ProcessRecord) -> None:
    """Connect a host by a new cable: a port here, the uplink in the host's namespace."""
    unplug(init, host)
    # The same card after every start: the others' address caches stay true.
    uplink = f"{UPLINK} address {hardware_address(host)} netns {host_init.pid}"
    _ip(
        init,
        [
            f"link add {host.value} type veth peer name {uplink}",
            f"link set {host.value} master {SWITCH_BRIDGE} up",
        ],
    )


def unplug(init: ProcessRecord, host: HostName) -> None:
    """Remove what is left of a host's port: a crashed host's goes away by itself, but later."""
    enter = ["nsenter", "--target", str(init.pid), "--net"]
    subprocess.run([*enter, "ip", "link", "del", host.value], check=False, capture_output=True)


def set_link(init: ProcessRecord, host: HostName, state: str) -> None:
    """Cut (`down`) or restore (`up`) a host's link."""
    _ip(init, [f"link set {host.value} {state}"])


def leases_file(layout: Layout) -> str:
    """Return where the DHCP server keeps its leases."""
    return str(layout.host(HostName.SWITCH) / "leases")


def _start_dhcp(init: ProcessRecord, layout: Layout) -> None:
    # No DNS and no default route: nothing of a lab shall find its way out.
    options = [
        "--conf-file=/dev/null",
        "--port=0",
        "--user=root",
        f"--interface={SWITCH_BRIDGE}",
        "--bind-interfaces",
        f"--dhcp-range={','.join(DHCP_RANGE)},12h",
        "--dhcp-option=3",
        "--dhcp-authoritative",
        "--no-ping",
        f"--dhcp-leasefile={leases_file(layout)}",
        "--pid-file=",
        f"--log-facility={layout.host(HostName.SWITCH) / 'dnsmasq.log'}",
    ]
    # Into the PID namespace as well, so that it ends with the switch.
    enter = ["nsenter", "--target", str(init.pid), "--net", "--pid"]
    null = subprocess.DEVNULL  # a pipe would stay open in the daemon, and never end
    subprocess.run([*enter, "dnsmasq", *options], stdin=null, stdout=null, check=True)


def _ip(init: ProcessRecord, lines: list[str]) -> None:
    # Only the network: pids of other hosts mean nothing in the switch's PID namespace.
    enter = ["nsenter", "--target", str(init.pid), "--net"]
    subprocess.run(
        [*enter, "ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True
    )


def limit(init: ProcessRecord, device: str, rate: str | None, burst: str) -> None:
    """Limit what a device sends, or lift the limit."""
    enter = ["nsenter", "--target", str(init.pid), "--net", "tc", "qdisc"]
    if rate is None:
        # Fails when there is no limit, which is what was asked for.
        subprocess.run([*enter, "del", "dev", device, "root"], check=False, capture_output=True)
        return
    bucket = ["tbf", "rate", rate, "burst", burst, "latency", "100ms"]
    subprocess.run([*enter, "replace", "dev", device, "root", *bucket], check=True)


def forget_neighbours(init: ProcessRecord) -> None:
    """Let a host look up its neighbours anew, rather than wait for a failed attempt to expire."""
    _ip(init, ["neigh flush all"])
