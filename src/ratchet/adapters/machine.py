"""What of the machine decides the last bits of a sum: processor, libraries, and the threads they were told to use."""

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "xgboost", "duckdb", "pyarrow")
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE",
             "NPY_DISABLE_CPU_FEATURES")  # fmt: skip
SIMD = ("sse", "ssse", "avx", "fma", "amx", "asimd", "sve")


def facts() -> dict[str, str]:
    """Return what results may depend on, by name."""
    said = _processor()
    flags = sorted(flag for flag in said.get("flags", said.get("Features", "")).split() if flag.startswith(SIMD))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": said.get("model name") or platform.processor() or "unknown",
        "instructions": " ".join(flags),
        "cores": str(cores),
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }


def variables() -> dict[str, str]:
    """Return the environment's words about threads and instructions, those that are set."""
    return {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}


def of_threads(said: Mapping[str, str]) -> dict[str, str]:
    """Return of recorded variables those words alone: a record that somebody edited sets nothing else."""
    return {name: value for name, value in said.items() if name in VARIABLES}


def _processor() -> dict[str, str]:
    """Linux's word about the first processor."""
    if not sys.platform.startswith("linux"):
        return {}
    first = Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
