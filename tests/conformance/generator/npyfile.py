"""Writing .npy files with every header that the format allows.

`numpy.save` always chooses version 1.0 and C order where it can; engines must also read
what other writers, and other versions of NumPy, choose.
"""

import os
import struct

import numpy as np

MAGIC = b"\x93NUMPY"


def header(descr, shape, fortran=False, version=(1, 0), align=64, text=None):
    """The bytes before the data. `text` replaces the dictionary's usual spelling."""
    if text is None:
        text = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape!r}, }}"
    body = text.encode("utf-8" if version >= (3, 0) else "latin-1")
    prefix = len(MAGIC) + 2 + (2 if version[0] == 1 else 4)
    body += b" " * (-(prefix + len(body) + 1) % align) + b"\n"
    length = struct.pack("<H" if version[0] == 1 else "<I", len(body))
    return MAGIC + bytes(version) + length + body


def encode(array, dtype, fortran=False, version=(1, 0), align=64, text=None):
    """A whole .npy file. `dtype` is a NumPy type string such as `<f4`."""
    array = np.asarray(array).astype(dtype)
    data = array.tobytes("F" if fortran else "C")
    return header(dtype, array.shape, fortran, version, align, text) + data


def write_bytes(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def write_text(path, text):
    write_bytes(path, text.encode())


def write(path, array, dtype, **options):
    """Writes an array and returns what a reader must find: the values after rounding."""
    write_bytes(path, encode(array, dtype, **options))
    return np.asarray(array).astype(dtype).astype(np.float64)
