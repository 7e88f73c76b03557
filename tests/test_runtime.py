"""The process's settings, in a process of their own, its memory, and the device."""

import os
import platform
import re
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nash_dqn.runtime import peak_memory, resolve_device

_KEPT = """
import ctypes, torch
from nash_dqn.runtime import configure_process

class Mallinfo2(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo2
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def left_after_free():
    "Whether a block of 40 MiB is mapped by itself, and how much of the heap is kept when it is freed."
    before = libc.mallinfo2()
    block = libc.malloc(40 << 20)
    mapped = libc.mallinfo2().hblkhd > before.hblkhd
    libc.free(block)
    return mapped, (libc.mallinfo2().arena - before.arena) >> 20

torch.set_num_threads(2)
print(left_after_free()[0])
configure_process()
print(torch.get_num_threads(), *left_after_free())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_one_thread_and_memory_kept() -> None:
    """mallopt(3): above M_MMAP_THRESHOLD a block is mapped, and unmapped when freed, by default."""
    done = subprocess.run([sys.executable, "-c", _KEPT], capture_output=True, text=True, check=True)
    before, after = done.stdout.split("\n")[:2]
    assert before == "True"
    threads, mapped, kept = after.split()
    assert (threads, mapped) == ("1", "False")
    assert int(kept) >= 30


@pytest.mark.skipif(platform.system() != "Linux", reason="/proc is Linux's")
def test_peak_of_memory_is_the_kernels() -> None:
    """Which keeps that of the process it came from, where it was larger, over execve(2)."""
    block = b"touched" * (30 << 20)
    high_water = int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024  # proc(5)
    assert high_water > len(block) >> 20 > 200
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    assert 0.98 * high_water < peak_memory() < machine


@pytest.mark.parametrize(("system", "unit"), [("Linux", 2**10), ("Darwin", 1)])
def test_unit_of_the_peak_is_the_systems(system: str, unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """getrusage(2): ru_maxrss is in kilobytes on Linux, in bytes on macOS."""
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=300 * 2**20 // unit))
    assert peak_memory() == 300


@pytest.mark.parametrize(
    ("name", "available", "expected"),
    [
        ("cpu", True, "cpu"),
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_device(name: str, available: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device(name) == torch.device(expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda", "device = 'cuda': torch finds no CUDA device here; allowed are 'auto' and 'cpu'"),
        ("cuda:1", "device = 'cuda:1': allowed are 'auto', 'cpu', 'cuda'"),
    ],
)
def test_a_device_that_cannot_be_had_is_refused(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError) as caught:
        resolve_device(name)
    assert str(caught.value) == message
