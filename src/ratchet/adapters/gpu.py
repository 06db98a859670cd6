"""Whether this machine has a GPU, asked of NVIDIA's driver itself: XGBoost would quietly take the processor."""

import ctypes

from ratchet.errors import ConfigError


def require(device: str) -> None:
    """Raise ConfigError if the device is cuda and the driver shows no GPU."""
    if device == "cuda" and not _count():
        raise ConfigError(
            "search.device: cuda, but no NVIDIA GPU is seen here; take cpu, or a machine where nvidia-smi lists one"
        )


def _count() -> int:
    """Ask the driver for the number of GPUs. Source: CUDA Driver API, cuInit and cuDeviceGetCount."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    found = ctypes.c_int(0)
    fine = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(found)) == 0
    return found.value if fine else 0
