"""Which disks of a definition are captured, and which are refused."""

from __future__ import annotations

import pytest

from standby.errors import RepairSource
from standby.model.disk import ExcludedAs
from standby.sources.libvirt_vm.definition import disks_of
from standby.sources.libvirt_vm.settings import SourceSettings

_ENCRYPTION = "<encryption format='luks'><secret type='passphrase' uuid='u'/></encryption>"
_DISK = "<disk type='file'><driver type='{kind}'/>{inside}<target dev='vdb'/></disk>"


@pytest.mark.parametrize("kind", ["qcow2", "raw"])
@pytest.mark.parametrize(
    "inside",
    [
        f"<source file='/vms/b'>{_ENCRYPTION}</source>",
        f"<source file='/vms/b'/>{_ENCRYPTION}",
    ],
)
def test_a_disk_that_libvirt_encrypts_is_not_copied_in_the_clear(kind: str, inside: str) -> None:
    disk = _DISK.format(kind=kind, inside=inside)
    xml = f"<domain><devices>{disk}</devices></domain>"
    with pytest.raises(RepairSource, match="in the clear") as refused:
        disks_of(xml, SourceSettings("web"))
    assert "source.disks.exclude.vdb" in refused.value.remedy
    settings = SourceSettings("web", excluded={"vdb": ExcludedAs.ABSENT})
    (left_out,) = disks_of(xml, settings)
    assert left_out.left_out is not None


@pytest.mark.parametrize(
    ("disk", "found"),
    [
        ("<disk type='block' device='lun'><source dev='/dev/sdb'/>", "LUN"),
        ("<disk type='file'><source file='/vms/b'/><shareable/>", "shareable"),
    ],
)
def test_a_disk_that_is_written_past_qemu_is_not_captured(disk: str, found: str) -> None:
    xml = f"<domain><devices>{disk}<target dev='sdb'/></disk></devices></domain>"
    with pytest.raises(RepairSource, match=found) as refused:
        disks_of(xml, SourceSettings("web"))
    assert "source.disks.exclude.sdb" in refused.value.remedy
    settings = SourceSettings("web", excluded={"sdb": ExcludedAs.ABSENT})
    (left_out,) = disks_of(xml, settings)
    assert left_out.left_out is not None
