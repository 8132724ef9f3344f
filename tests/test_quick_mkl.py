"""The library that answers for MKL is built, is loaded where it is needed only, and is asked."""

import os
import shutil
import subprocess
import sys

import pytest
import torch

from cryingan import quick_mkl
from cryingan.errors import CryinGANError

COUNTING = "int calls; int mkl_serv_intel_cpu_true(void) { calls++; return 1; }"
PROGRAM = """
import ctypes, sys
from pathlib import Path
from cryingan import quick_mkl
quick_mkl.processor_vendor = lambda: "AuthenticAMD"
quick_mkl.load(Path(sys.argv[1]))
import torch
torch.ones(64, 64) @ torch.ones(64, 64)
print(ctypes.c_int.in_dll(ctypes.CDLL(sys.argv[1]), "calls").value)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this PyTorch has no MKL")
def test_mkl_asks_the_library_instead_of_the_processor(tmp_path):
    library = quick_mkl.build(tmp_path / "counting.so", COUNTING)
    call = [sys.executable, "-c", PROGRAM, str(library)]
    told = subprocess.run(call, check=True, capture_output=True, text=True, timeout=60).stdout
    assert int(told) > 0


@pytest.fixture
def loaded(monkeypatch):
    """What is loaded, in a process without PyTorch."""
    found = []
    monkeypatch.setattr(quick_mkl.ctypes, "CDLL", lambda name, mode: found.append(name))
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setenv("LD_PRELOAD", "other.so")
    return found


@pytest.mark.parametrize(("vendor", "needed"), [("GenuineIntel", False), ("AuthenticAMD", True), ("", False)])
def test_it_is_loaded_where_the_processor_is_not_intels(vendor, needed, tmp_path, monkeypatch, loaded):
    (library := tmp_path / "quick.so").touch()
    monkeypatch.setattr(quick_mkl, "processor_vendor", lambda: vendor)
    quick_mkl.load(library)
    assert loaded == [str(library)] * needed
    quick_mkl.load(library)
    assert os.environ["LD_PRELOAD"] == (f"{library}:other.so" if needed else "other.so")


def test_nothing_is_loaded_where_nothing_was_built_or_pytorch_is_there(tmp_path, monkeypatch, loaded):
    monkeypatch.setattr(quick_mkl, "processor_vendor", lambda: "AuthenticAMD")
    quick_mkl.load(tmp_path / "nowhere.so")
    (library := tmp_path / "quick.so").touch()
    monkeypatch.setitem(sys.modules, "torch", torch)
    quick_mkl.load(library)
    assert loaded == []
    assert os.environ["LD_PRELOAD"] == "other.so"


def test_no_compiler_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(CryinGANError, match=r"^no C compiler \(cc\) is here"):
        quick_mkl.build(tmp_path / "quick.so")
