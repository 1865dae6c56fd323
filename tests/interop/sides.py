"""The two sides of an exchange: the command line with its keys in a token, and a peer's process."""

import json
import os
import subprocess
from pathlib import Path

from tokens import COMPACT, Failure, bare

DIR = Path(os.environ["HSM_JOSE_TOKEN_DIR"])
KTY = {"P-256": "EC", "P-384": "EC", "P-521": "EC", "X25519": "OKP", "Ed25519": "OKP"}
REFUSED = 3
# More than a command ever takes, also on a machine that is busy.
SECONDS = 120


class Peer:
    """A peer's process, and the keys it has made."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self("about")["version"]
        self.keys = {}

    def __call__(self, op, **request):
        request = {name: value for name, value in request.items() if value is not None}
        self.process.stdin.write(json.dumps({"op": op, **request}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(f"{self.name} {op}: {answer['error']}")
        return answer

    def refuses(self, what, op, **request):
        try:
            self(op, **request)
        except Failure:
            return
        raise Failure(f"{self.name} {op}: accepted {what}")

    def key(self, kty, crv=None, bits=None, which="own"):
        """A key of the peer, made once; the public half of a pair also in a file."""
        name = "-".join(str(part) for part in (self.name, crv or kty, bits, which) if part)
        if name not in self.keys:
            pair = self("generate", kty=kty, crv=crv, bits=bits)
            pair["kid"] = pair["private"]["kid"] = name
            if "public" in pair:
                pair["public"]["kid"] = name
                pair["file"] = write(f"{name}.jwk", bare(pair["public"]))
            self.keys[name] = pair
        return self.keys[name]


class Ours:
    """The hsm-jose command line, and the keys in the token."""

    def __init__(self, binary):
        self.binary = binary
        self.keys = {}

    def run(self, *args, stdin=b""):
        done = subprocess.run([self.binary, *map(str, args)], input=stdin, capture_output=True, timeout=SECONDS)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace").strip()

    def __call__(self, *args, stdin=b""):
        status, stdout, stderr = self.run(*args, stdin=stdin)
        if status != 0:
            raise Failure(f"hsm-jose {' '.join(map(str, args))}: exit {status}: {stderr}")
        return stdout

    def token(self, *args, form=COMPACT, stdin):
        """A token, as text, from a command that makes one."""
        options = () if form == COMPACT else ("--format", form)
        return self(*args, *options, stdin=stdin).decode().strip()

    def refuses(self, what, *args, stdin):
        status, stdout, stderr = self.run(*args, stdin=stdin.encode())
        command = f"hsm-jose {' '.join(map(str, args))}"
        if status != REFUSED:
            raise Failure(f"{command}: {what}: exit {status} instead of {REFUSED}: {stderr}")
        if stdout:
            raise Failure(f"{command}: {what}: wrote {len(stdout)} bytes and then refused")

    def key(self, name, algs, *options):
        """A key made in the token, once, bound to all of `algs`."""
        if name not in self.keys:
            named = [part for alg in algs for part in ("--alg", alg)]
            self.keys[name] = json.loads(self("key", "generate", name, *named, *options))
        return self.keys[name]


def write(name, value):
    """A JSON file beside the token, replaced whole: a configuration may name it."""
    path, new = DIR / name, DIR / f"{name}.new"
    new.write_text(json.dumps(value))
    new.rename(path)
    return path
