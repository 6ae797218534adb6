"""Stands in for the dormant domain until there is one."""

import sys
import types
from importlib.util import find_spec

from standby.model.observation import DomainFound


class NoDomain:
    def found(self):
        return DomainFound.ABSENT

    def is_active(self):
        return False

    def define(self, *_a, **_k):
        return __import__("standby.model.manifest", fromlist=["x"]).DefinedDomain("u-u", "d")

    def files_in_use(self):
        return []


if find_spec("standby.app.domain") is None:
    module = types.ModuleType("standby.app.domain")
    module.dormant_domain = lambda host, profile, directory: NoDomain()
    sys.modules["standby.app.domain"] = module
