"""The scenarios, one module per area; importing `load` registers them all."""

import importlib
import pkgutil

from conformance.scenario import Scenario, registered


def load() -> dict[str, Scenario]:
    """Imports every module of this package and returns the scenarios by name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return registered()
