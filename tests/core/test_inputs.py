"""Inputs that are devices, folders, pipes, or too large."""

import os
import threading

import pytest

from polychromic.core.errors import InputError, MissingResourceError
from polychromic.core.inputs import open_input, read_input


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/null"])
def test_a_device_is_no_input(device):
    with pytest.raises(InputError, match=f"{device}: cannot be read: is a device, not a file"):
        read_input(device)


def test_folders_sockets_and_names_of_nothing(tmp_path):
    with pytest.raises(InputError, match="is a folder, not a file"):
        open_input(tmp_path)
    with pytest.raises(MissingResourceError, match="there is no such file"):
        open_input(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be read"):
        open_input("a\0b")
    with pytest.raises(InputError, match="file name too long"):
        open_input("a" * 5000)


def test_what_is_too_large_is_never_in_memory_whole(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2**40)  # without a block on the disk
    with pytest.raises(InputError, match="has more than 1 MB"):
        read_input(path, 2**20)


def test_a_pipe_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(b"{}\n"))
    writer.start()
    assert read_input(tmp_path / "pipe") == b"{}\n"
    writer.join()
