"""Judge recorded exchanges: judge.py JUDGE DIRECTORY. Each NAME.jsonl has its base URL in NAME.base.

Prints each finding; exit 1 when there is one, or when nothing was recorded.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType


def load(path: str) -> ModuleType:
    """Import the judge from its file."""
    spec = importlib.util.spec_from_file_location("judge", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(judge_file: str, directory: str) -> int:
    """Judge every exchange and say how it went."""
    judge = load(judge_file).Judge()
    count = bad = 0
    for record in sorted(Path(directory).glob("*.jsonl")):
        judge.base = record.with_suffix(".base").read_text().strip()
        for line in record.read_text().splitlines():
            exchange = json.loads(line)
            findings = [each for each in judge.exchange(exchange) if not each.startswith("note:")]
            count, bad = count + 1, bad + bool(findings)
            for finding in findings:
                print(f"{record.stem}: {exchange['method']} {exchange['url'][:150]} {exchange.get('status')}")
                print(f"    {finding}")
    print(f"{count} exchanges judged, {bad} bad")
    return 1 if bad or not count else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
