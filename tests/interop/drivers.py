"""The clients of other languages: small programs of ours around them, in java/, go/ and js/."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.interop.client import Driven
from tests.oracle import apache

HERE = Path(__file__).resolve().parent


class JavaClient(Driven):
    """Apache's own client, 4.3.1."""

    name = "java"

    @classmethod
    def missing(cls) -> str | None:
        return apache.missing()

    def command(self) -> Sequence[str]:
        jars = apache.fetch_class_path(HERE / "java" / "pom.xml")
        level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
        source = str(HERE / "java" / "Driver.java")
        return ["java", *apache.QUICK_JVM, "-cp", f"{jars}/*", level, source]


class FranzClient(Driven):
    """franz-go."""

    name = "franz-go"

    @classmethod
    def missing(cls) -> str | None:
        return None if shutil.which("go") else "go not found"

    def command(self) -> Sequence[str]:
        binary = apache.cache_home() / "interop-franz-go"
        binary.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["go", "build", "-o", str(binary), "."], cwd=HERE / "go", check=True, timeout=600
        )
        return [str(binary)]


class KafkaJs(Driven):
    """KafkaJS: no lz4 or zstd of its own; its consumer knows groups only."""

    name = "kafkajs"
    codecs = ("none", "gzip", "snappy")
    null_headers = False
    reads = False

    @classmethod
    def missing(cls) -> str | None:
        absent = [name for name in ("node", "npm") if shutil.which(name) is None]
        return f"{' and '.join(absent)} not found" if absent else None

    def command(self) -> Sequence[str]:
        if not (HERE / "js" / "node_modules" / "kafkajs").is_dir():
            subprocess.run(["npm", "ci", "--silent"], cwd=HERE / "js", check=True, timeout=300)
        return ["node", str(HERE / "js" / "driver.js")]

    def offsets(self, topic: str, timestamp: int | None) -> list[list[int]]:
        """[partition, end offset] or [partition, offset at the timestamp], by partition."""
        return list(self.call("offsets", topic=topic, timestamp=timestamp))
