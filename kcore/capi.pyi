"""The C surface of kcore; from C include kcore.h, from Cython `cimport kcore.capi`."""

from typing import Any

STATUSES: tuple[tuple[Any, int], ...]
table: Any
