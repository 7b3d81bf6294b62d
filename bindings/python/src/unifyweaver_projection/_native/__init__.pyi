# The module itself is generated when the wheel is built, from include/projection.h.
from typing import Any

ffi: Any
lib: Any
