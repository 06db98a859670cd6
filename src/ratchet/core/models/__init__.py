"""The families of models: each is one file with a search space, known-good starts and a fit."""

from types import ModuleType

from ratchet.core.models import dummy, forest, linear, xgboost

FAMILIES: dict[str, ModuleType] = {"dummy": dummy, "linear": linear, "forest": forest, "xgboost": xgboost}
