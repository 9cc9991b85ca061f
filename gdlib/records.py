"""Figures measured on hardware that not everyone has, as `make gpu` takes them: JSON files in the book's folder ``_records``."""

import json
from pathlib import Path
from typing import Any, NamedTuple

PARTS = ("ceilings", "steps", "run", "tests", "races", "widths")
"""What a record holds, in the order in which it is taken: what the device can do at most, steps of GPTs, a run, the tests that need a
GPU, `Trainer` and `sweep` against loops, learning rates at two widths."""


class Record(NamedTuple):
    """A record, and what to say of it.

    Attributes:
        found: the file's contents, by part.
        taken: a sentence: on what, when, with which torch.
        missing: the parts that time did not allow, or that failed.

    Example:
        >>> Record({}, "Taken on nothing.", ["steps"]).missing
        ['steps']
    """

    found: dict[str, Any]
    taken: str
    missing: list[str]


def newest(folder: str | Path | None = None) -> Record:
    """The newest record of a GPU; where there is none, the newest tiny one of a processor.

    Args:
        folder: where the files are; ``None`` takes the book's, where the library lies beside it.

    Raises:
        FileNotFoundError: if there is no record.

    Example:
        >>> newest("/nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: folder must hold a record that make gpu took; '/nowhere' has none
    """
    place = Path(__file__).parents[1] / "book" / "_records" if folder is None else Path(folder)
    files = [path for kind in ("gpu", "smoke") for path in place.glob(f"{kind}-*.json")]
    if not files:
        raise FileNotFoundError(f"folder must hold a record that make gpu took; {str(place)!r} has none")
    path = max(files, key=lambda path: (path.name.startswith("gpu-"), path.stem[-10:]))  # names end with the date
    found = json.loads(path.read_text(encoding="utf-8"))
    about = found["about"]
    kind = "a tiny run on one processor" if about["smoke"] else "a GPU"
    taken = f"{about['device']}, {kind}, {about['date']}, torch {about['torch']}."
    missing = [part for part in PARTS if part not in found or "error" in found[part]]
    return Record(found, taken, missing)
