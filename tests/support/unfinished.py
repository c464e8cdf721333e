"""What a killed process left of an output that it did not finish."""

from pathlib import Path


def unfinished_name(name: str) -> str:
    """Name of a hidden folder for an output of that name."""
    return f".{name}.{0xDEAD:016x}.partial"


def left_unfinished(output: Path, content: bytes = b"half") -> Path:
    """Make such a folder beside an output, with a part of the output in it."""
    folder = output.with_name(unfinished_name(output.name))
    folder.mkdir()
    (folder / "lock").write_text("lulc process 1 on elsewhere")
    (folder / output.name).write_bytes(content)
    return folder
