"""How a process computes: one thread, memory kept for reuse, how much of it, and the device."""

from __future__ import annotations

import ctypes
import platform
import resource

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def configure_process() -> None:
    """Prepare this process for training or evaluation: call once at its start.

    One torch thread: the tensors here are too small to share, and spinning threads on busy cores cost far more than
    they give. And glibc is told to keep freed blocks: by default each temporary over 128 KiB goes back to the system
    and page-faults when taken again, which nearly doubles the time of a training iteration.
    """
    torch.set_num_threads(1)
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def peak_memory() -> float:
    """The largest resident size of this process so far, in MiB."""
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes of ru_maxrss: getrusage(2) of macOS and of Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def resolve_device(name: str) -> torch.device:
    """``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.

    Raises:
        ValueError: another name, or ``cuda`` where torch finds none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device = {name!r}: allowed are 'auto', 'cpu', 'cuda'")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("device = 'cuda': torch finds no CUDA device here; allowed are 'auto' and 'cpu'")
    return torch.device("cuda" if name != "cpu" and available else "cpu")
