"""`standby host show`: what a host has to offer, for people and for programs."""

from __future__ import annotations

from support_cli import CommandLine

from lab import Lab


def test_a_host_is_shown_with_storages_networks_machine_types_and_firmware(
    lab: Lab, cli: CommandLine
) -> None:
    lab.exec("kvm", ["mkdir", "/srv/standby/pooled"])
    lab.virsh("kvm", "pool-create-as", "pooled", "dir", "--target", "/srv/standby/pooled")
    try:
        shown = cli.json("host", "show", "kvm")
        said = cli.run("host", "show", "kvm").stdout
    finally:
        lab.virsh("kvm", "pool-destroy", "pooled")
        lab.exec("kvm", ["rmdir", "/srv/standby/pooled"])
    storages = {(it["pool"], it["path"]): it for it in shown["storages"]}
    mounted = storages[None, "/srv/standby"]
    assert 0 < mounted["available_bytes"] <= mounted["total_bytes"]
    assert (mounted["type"], mounted["promise"]) == ("ext2/ext3", "kept")
    pool = storages["pooled", "/srv/standby/pooled"]
    assert (pool["type"], pool["active"]) == ("dir", True)
    assert pool["total_bytes"] == mounted["total_bytes"]
    assert shown["networks"] == [
        {"name": "lan", "mode": "bridge", "bridge": "br0", "active": True, "autostart": True}
    ]
    assert shown["bridges"] == ["br0"]
    assert "q35" in shown["machine_types"]["x86_64"]
    assert any("OVMF" in loader for loader in shown["loaders"])
    assert shown["virtualisation"]["severity"] in {"ok", "note", "warning"}
    assert (shown["cpus"] > 0, shown["memory_bytes"] > 1 << 28) == (True, True)
    for word in ("/srv/standby", "pool pooled", "lan", "br0", "pc-q35: ", "OVMF", "libvirt"):
        assert word in said


def test_an_unknown_host_is_wrong_usage_and_the_known_ones_are_named(cli: CommandLine) -> None:
    said = cli.fails("host", "show", "nowhere", status=2)
    assert "kvm" in said
    assert "source" in said


def test_a_host_that_does_not_let_us_in_is_an_error(lab: Lab, cli: CommandLine) -> None:
    lab.forget_host_key("kvm")
    try:
        assert "SHA256:" in cli.fails("host", "show", "kvm", status=1)
    finally:
        lab.trust_host_keys()
