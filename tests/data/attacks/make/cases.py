"""Case files: what a family is, and how a case is written."""

import json
import shutil
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
EXITS = {"key_not_found": 4, "key_ambiguous": 4}
WRITTEN = {}


class Repeat:
    """A piece of a token that repeats: too long to be written out."""

    def __init__(self, text, times):
        self.text, self.times = text, times


class Family:
    """Cases of one kind, with what they have in common."""

    def __init__(self, name, source, operation, keys=(), policy="all", **other):
        self.name, self.source, self.operation = name, source, operation
        self.keys, self.policy = list(keys), policy
        self.context, self.at, self.require = (other.pop(name, None) for name in ("context", "at", "require"))
        self.symmetric, self.mac_key = other.pop("symmetric", ()), other.pop("mac_key", None)
        if other:
            raise TypeError(f"{name}: {other}")

    def refused(self, name, title, token, code, reaches_key=False, **other):
        """An attack, and the one error code that it is refused with."""
        expect = {"outcome": "refused", "code": code, "exit": EXITS.get(code, 3)}
        self._write(name, title, token, expect, reaches_key, other)

    def accepted(self, name, title, token, plaintext, **other):
        """A control: a token close to the attacks with which nothing is wrong."""
        if isinstance(plaintext, bytes):
            plaintext = plaintext.decode()
        operation = other.get("operation", self.operation)
        has_mac = other.get("mac_key", self.mac_key) is not None
        reaches = operation == "decrypt" or has_mac or other.pop("encrypted", False)
        expect = {"outcome": "accepted", "plaintext": plaintext, "exit": 0}
        self._write(name, title, token, expect, reaches, other)

    def _write(self, name, title, token, expect, reaches_key, other):
        source = other.pop("source", self.source)
        case = {
            "title": title,
            "source": [source] if isinstance(source, str) else source,
            "family": self.name,
            "operation": other.pop("operation", self.operation),
            "policy": other.pop("policy", self.policy),
        }
        symmetric = list(other.pop("symmetric", self.symmetric))
        if symmetric:
            case["symmetric"] = symmetric
        context = other.pop("context", self.context)
        if case["operation"] == "open":
            case["context"] = context
            if self.at is not None:
                case["at"] = self.at
        else:
            case["keys"] = list(other.pop("keys", self.keys))
            mac_key = other.pop("mac_key", self.mac_key)
            if mac_key is not None:
                case["mac_key"] = mac_key
            require = other.pop("require", self.require)
            if require is not None:
                case["require"] = require
        if other:
            raise TypeError(f"{self.name}/{name}: {other}")
        case |= {"expect": expect, "reaches_key": reaches_key, "token": written(token)}
        path = f"{self.name}/{name}.json"
        if path in WRITTEN:
            raise ValueError(f"{path} twice")
        WRITTEN[path] = case


def written(token):
    """The token as a case file has it: a text, a JSON object, or pieces."""
    if isinstance(token, bytes):
        try:
            return token.decode()
        except UnicodeDecodeError:
            return [{"hex": token.hex()}]
    if isinstance(token, list):
        return [{"repeat": piece.text, "times": piece.times} if isinstance(piece, Repeat) else piece for piece in token]
    return token


def write_all():
    """Writes every case, and removes the folders of families that are no more."""
    for folder in FOLDER.iterdir():
        if folder.is_dir() and folder.name != "make":
            shutil.rmtree(folder)
    for path, case in WRITTEN.items():
        file = FOLDER / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(case, indent=1, ensure_ascii=True) + "\n")
    families = {path.split("/")[0] for path in WRITTEN}
    attacks = {}
    for case in WRITTEN.values():
        if case["expect"]["outcome"] == "refused":
            attacks[case["family"]] = attacks.get(case["family"], 0) + 1
    counted = sum(min(8, count) for count in attacks.values())
    print(f"{len(families)} families, {len(WRITTEN)} files, {counted} attacks that count")
