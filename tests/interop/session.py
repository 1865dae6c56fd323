"""Exchanges with one peer, with one token. Started by `driver.py` inside `with-token --profile all --demo`.

Prints a JSON object a line: first what the peer is and what it knows, then what became of each case.
"""

import argparse
import json
import os
from pathlib import Path

import cases_jwe
import cases_jws
import cases_jwt
from kinds import WRAPPING
from sides import Ours, Peer, write

SYMMETRIC = ["dir", *WRAPPING, *cases_jws.HMAC]


class Session:
    """Both sides, and the record of what became of each case."""

    def __init__(self, binary, name, command):
        self.ours, self.peer = Ours(binary), Peer(name, command)
        self.shared_keys = {}

    def shared(self, alg, bits):
        """A symmetric key of the peer that was brought into our token, once, bound to `alg`."""
        if (alg, bits) not in self.shared_keys:
            key = self.peer.key("oct", bits=bits, which=alg)
            name = f"{alg.lower()}-{bits}"
            path = write(f"{name}.jwk", key["private"])
            path.chmod(0o600)
            self.ours("key", "import", name, "--from", path, "--alg", alg, "--kid", key["kid"])
            self.shared_keys[alg, bits] = {**key, "name": name}
        return self.shared_keys[alg, bits]

    def case(self, test, *args, **about):
        """Runs a case; `about` says what it is: way ("in" from the peer, "out" to it), alg, enc, form."""
        error = None
        try:
            test(self, *args)
        except Exception as unexpected:  # also an answer of a form that nobody expects
            error = f"{type(unexpected).__name__}: {unexpected}"
        say({"case": test.__name__, **about, "error": error})


def allow_symmetric():
    """Names the algorithms of symmetric keys in the policy: no profile allows them by itself."""
    config = Path(os.environ["HSM_JOSE_CONFIG"])
    profile = 'profile = "all"\n'
    text = config.read_text()
    assert text.count(profile) == 1
    config.write_text(text.replace(profile, f"{profile}symmetric = {json.dumps(SYMMETRIC)}\n"))


def allowed(session, what):
    """The algorithms that the policy of our side allows."""
    rules = json.loads(session.ours("policy", "explain", "--json"))["rules"]
    [names] = [rule.partition(": ")[2] for rule in rules if rule.startswith(f"{what}: ")]
    return names.split(", ")


def say(line):
    print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("peer")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    allow_symmetric()
    session = Session(options.binary, options.peer, options.command)
    say({"version": session.peer.version})
    cases_jwe.run(session, allowed(session, "JWE alg"), allowed(session, "JWE enc"))
    cases_jws.run(session, allowed(session, "JWS alg"))
    cases_jwt.run(session)


if __name__ == "__main__":
    main()
