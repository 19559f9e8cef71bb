"""Verify what `rexalgo audit export` wrote, without RexAlgo: verify_audit.py EXPORT KEYS [NUMBER:SEAL]

Each row's seal is a keyed BLAKE2b over the seal before it and the row; the last line seals the end.
NUMBER:SEAL is an earlier end, from a server's log: an old export in place of a new one lacks it.
Ends with 0 if everything fits, else with 1 and the first line that does not.
"""

import hashlib
import hmac
import json
import sys
from datetime import datetime, timedelta

LINE_MAX = 16 * 1024 * 1024
FIELDS = {"number", "at", "by", "from", "act", "subject", "data", "kid", "seal"}
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def seal(keys, kid, before, words):
    made = hashlib.blake2b(before, key=bytes.fromhex(keys[kid]), digest_size=32)
    for word in map(str.encode, map(str, words)):
        made.update(len(word).to_bytes(8, "big") + word)
    return made.hexdigest()


def moment(text):
    at = datetime.fromisoformat(text)
    if at.isoformat(timespec="microseconds") != text:
        raise ValueError(f"{text} is not how an export writes a time")
    return (at - EPOCH) // timedelta(microseconds=1)


def verify(export, keys, known=""):
    """Return the end of the chain; raises ValueError, KeyError or TypeError where it does not fit."""
    number, last, seen, sealed = 0, b"rexalgo/audit/v1".hex(), not known, None
    while line := export.readline(LINE_MAX):
        row = json.loads(line)
        kid, before = row["kid"], bytes.fromhex(last)
        if sealed is not None or not line.endswith(b"\n"):
            raise ValueError("a line behind the end, or a line without its end")
        if row.keys() == {"end", "exported", "kid", "seal"}:
            sealed = seal(keys, kid, before, ["export", number, moment(row["exported"]), kid])
            if row["end"] != f"{number}:{last}" or not hmac.compare_digest(sealed, row["seal"]):
                raise ValueError(f"the end {row['end']} does not follow from row {number}")
            continue
        if row.keys() != FIELDS:
            raise ValueError(f"line {number + 1} has other fields than a row")
        number += 1
        words = [
            number,
            moment(row["at"]),
            row["by"],
            row["from"],
            row["act"],
            row["subject"],
            row["data"],
            kid,
        ]
        last = seal(keys, kid, before, words)
        if row["number"] != number or not hmac.compare_digest(last, row["seal"]):
            raise ValueError(f"row {row['number']} does not follow from row {number - 1}")
        seen = seen or known == f"{number}:{last}"
    if sealed is None or not seen:
        raise ValueError("the end is missing" if sealed is None else f"{known} is no row of it")
    return f"{number}:{last}"


def main(export_file, keys_file, known=""):
    try:
        with open(export_file, "rb") as export, open(keys_file, "rb") as keys:
            end = verify(export, json.load(keys), known)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        sys.exit(f"NOT VERIFIED: {type(error).__name__}: {error}"[:500])
    except (OSError, RecursionError) as error:
        sys.exit(f"NOT VERIFIED, it cannot be read: {error}"[:500])
    print("every row fits; the chain ends at", end)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
