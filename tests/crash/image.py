"""A disk that can lose power: ext4 on a loop image held in tmpfs.

What the kernel has not written to the image is in its page cache only; a copy of the image is what
a power cut would leave (``commit=600``: the journal does not commit by itself in between). Needs
root and loop devices; ``missing()`` says what is not there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SHM = Path("/dev/shm")
IMAGE_BYTES = 1 << 30


class ImageFailed(RuntimeError):
    """A mount tool failed; the text is its own."""


def missing() -> str | None:
    """Why power cannot be cut here, or None."""
    if os.geteuid() != 0:
        return "a power cut needs root (loop mounts)"
    absent = [t for t in ("mkfs.ext4", "mount", "umount", "losetup", "cp") if not shutil.which(t)]
    if absent:
        return f"{', '.join(absent)} not found"
    if not SHM.is_dir() or not Path("/dev/loop-control").exists():
        return "no tmpfs at /dev/shm, or no loop devices"
    return None


def _run(*words: object) -> None:
    ran = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise ImageFailed(f"{' '.join(map(str, words))}: {ran.stderr or ran.stdout}")


class Disk:
    """One mounted image. ``cut`` takes the power away and gives it back."""

    def __init__(self, folder: Path) -> None:
        """``folder``: for the image files (in tmpfs) and the mount point; must be empty."""
        self.folder = folder
        self.mount_point = folder / "disk"
        self.mount_point.mkdir(parents=True)
        self._generation = 0
        image = self._image()
        with image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
        self._mount()

    def _image(self) -> Path:
        return self.folder / f"image.{self._generation}"

    def _mount(self) -> None:
        _run("mount", "-o", "loop,commit=600,noatime", self._image(), self.mount_point)

    def sync(self) -> None:
        """Write everything to the image."""
        _run("sync", "-f", self.mount_point)

    def copy(self) -> None:
        """The moment of the cut: all that the disk has now is what it will have."""
        _run("cp", "--sparse=always", self._image(), self.folder / f"image.{self._generation + 1}")

    def switch(self) -> None:
        """Mount what the cut left in the place of the old disk, whose users must have ended."""
        _run("umount", self.mount_point)
        self._image().unlink()
        self._generation += 1
        self._mount()

    def used_bytes(self) -> int:
        """What the file system holds."""
        stat = os.statvfs(self.mount_point)
        return (stat.f_blocks - stat.f_bfree) * stat.f_frsize

    def close(self) -> None:
        """Unmount and remove everything."""
        if os.path.ismount(self.mount_point):
            _run("umount", self.mount_point)
        shutil.rmtree(self.folder, ignore_errors=True)
