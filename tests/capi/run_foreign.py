"""Runs the foreign Cython module: `run_foreign.py DIRECTORY_OF_THE_MODULE EMPTY_DIRECTORY`."""

import sys


def main(module_directory: str, data_directory: str) -> None:
    """Raises AssertionError when the module saw something else than it wrote."""
    sys.path.insert(0, module_directory)
    import foreign

    seen = foreign.run(data_directory)
    assert seen["durable"] == 200
    assert seen["records"] == [(i, b"record %d" % i) for i in range(200)]
    assert seen["tail"] == seen["records"][-3:]
    assert seen["position"] == (100, 1000)
    assert seen["refused"].startswith("KCORE_CORRUPT_BATCH: ")
    assert seen["scanned"] > 1
    assert seen["again"] is True
    print("ok: foreign")


if __name__ == "__main__":
    main(*sys.argv[1:])
