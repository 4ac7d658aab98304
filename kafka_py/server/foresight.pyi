"""Types of kafka_py.server.foresight; what it does is said in foresight.pyx."""

from kafka_py.server.fast_path import FastPath

def look_over(fast: FastPath, frames: bytes | memoryview) -> int: ...
