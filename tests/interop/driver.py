"""Exchanges tokens with every peer at once, each with a token of its own, and counts.

Started by `run`. With --verbose, a table per peer. The last line is `N passed, N failed`; the exit status
is 1 if any failed.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tokens import FORMS

HERE = Path(__file__).resolve().parent
WITH_TOKEN = HERE.parent.parent / "softhsm-setup" / "with-token"
# How many cases there are with the versions that are pinned here. What a peer knows is asked of the peer:
# one that came to know less would go unnoticed otherwise.
CASES = {"jwcrypto": 962, "joserfc": 975, "jose": 1036}


class Outcome:
    """What became of the cases with one peer."""

    def __init__(self, name):
        self.name, self.version = name, "?"
        self.passed, self.failures = 0, []
        # (alg, way) -> enc -> form -> whether every case passed
        self.table = defaultdict(lambda: defaultdict(dict))

    def read(self, line):
        case = json.loads(line)
        if "version" in case:
            self.version = case["version"]
            return
        passed = case["error"] is None
        if passed:
            self.passed += 1
        else:
            way = f"{self.name} -> us" if case["way"] == "in" else f"us -> {self.name}"
            what = " ".join(case[part] for part in ("alg", "enc", "form") if part in case)
            self.failures.append(f"{way}, {what}, {case['case']}: {case['error']}")
        forms = self.table[case["alg"], case["way"]][case.get("enc", "")]
        forms[case["form"]] = forms.get(case["form"], True) and passed

    def show(self):
        """Prints a table: a row per alg and way, a column per enc, in it the serializations."""
        print(f"\n{self.name} {self.version}: compact, flattened, general; ! where a case failed")
        encs = list(dict.fromkeys(enc for row in self.table.values() for enc in row if enc))
        print(f"{'':30}" + "".join(f"{enc:>15}" for enc in encs))
        for (alg, way), row in self.table.items():
            cells = [row.get(enc) for enc in ([""] if "" in row else encs)]
            print(f"{alg:26} {way:3}" + "".join(f"{self.cell(forms or {}):>15}" for forms in cells))

    @staticmethod
    def cell(forms):
        mark = {True: "", False: "!"}
        return " ".join(form[0] + mark[forms[form]] for form in FORMS if form in forms)


def exchange(name, command, binary):
    """Everything with one peer, in a process and with a token of its own."""
    outcome, started = Outcome(name), time.monotonic()
    session = [sys.executable, HERE / "session.py", binary, name, *command]
    with subprocess.Popen(
        [WITH_TOKEN, "--label", "interop", "--profile", "all", "--demo", "--", *session],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout:
            outcome.read(line)
    if process.returncode != 0:
        outcome.failures.append(f"{name}: the session ended with status {process.returncode}")
    cases = outcome.passed + len(outcome.failures)
    if cases < CASES[name]:
        outcome.failures.append(f"{name}: {cases} cases, of {CASES[name]}: it knows less than it did")
    for failure in outcome.failures:
        print(f"FAILED {failure}", flush=True)
    seconds = time.monotonic() - started
    print(f"{name} {outcome.version}: {outcome.passed} of {cases} cases passed in {seconds:.0f} s", flush=True)
    return outcome


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--node")
    parser.add_argument("peers", nargs="*", help="jwcrypto, joserfc, jose; all without")
    options = parser.parse_args()

    commands = {
        "jwcrypto": [sys.executable, HERE / "peer_jwcrypto.py"],
        "joserfc": [sys.executable, HERE / "peer_joserfc.py"],
        "jose": [options.node, HERE / "peer_jose.mjs"],
    }
    names = options.peers or list(commands)
    unknown = [name for name in names if name not in commands or None in commands[name]]
    if unknown:
        raise SystemExit(f"no such peer here: {', '.join(unknown)}")

    with ThreadPoolExecutor(len(names)) as threads:
        outcomes = list(threads.map(lambda name: exchange(name, commands[name], options.binary), names))
    if options.verbose:
        for outcome in outcomes:
            outcome.show()
        print()
    failed = sum(len(outcome.failures) for outcome in outcomes)
    print(f"{sum(outcome.passed for outcome in outcomes)} passed, {failed} failed")
    raise SystemExit(failed != 0)


main()
