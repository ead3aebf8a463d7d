"""Make ``cdnow_sample.csv`` from the original ``CDNOW_sample.txt``.

The original has no header and five columns separated by blanks: the customer's number in the full
file, the customer's number in the 1/10 sample (kept, as ``customer_id``), the date as YYYYMMDD, the
number of CDs and the value in US dollars. The values are copied digit for digit; only the date is
rewritten, to ISO 8601. The order of the rows is the original's.

Usage::

    python make_cdnow_sample.py CDNOW_sample.txt cdnow_sample.csv
"""

from __future__ import annotations

import datetime
import hashlib
import sys
from pathlib import Path

ORIGINAL_SHA256 = "6fae10155c0b0ba363c2c386e30f77990d22328220efd862a5edd1443420d94a"
HEADER = "customer_id,date,quantity,amount"


def convert_line(line: str) -> str:
    """Return one original line as a CSV row."""
    _, sample_id, day, quantity, amount = line.split()
    date = datetime.date(int(day[:4]), int(day[4:6]), int(day[6:]))
    return f"{sample_id},{date.isoformat()},{quantity},{amount}"


def main(source: str, target: str) -> None:
    """Convert ``source`` to ``target``; refuse any file but the published one."""
    original = Path(source).read_bytes()
    found = hashlib.sha256(original).hexdigest()
    if found != ORIGINAL_SHA256:
        message = f"{source}: sha256 is {found}, expected {ORIGINAL_SHA256}"
        raise SystemExit(message)
    rows = [convert_line(line) for line in original.decode("ascii").splitlines()]
    Path(target).write_bytes(("\n".join([HEADER, *rows]) + "\n").encode("ascii"))


if __name__ == "__main__":
    main(*sys.argv[1:])
