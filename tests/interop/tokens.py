"""Tokens as the cases handle them: text in one of three serializations."""

import base64
import copy
import json

COMPACT, FLATTENED, GENERAL = "compact", "flattened", "general"
FORMS = [COMPACT, FLATTENED, GENERAL]
# In the protected header of every token that is tampered with: a member whose change means nothing but
# that the header is another.
TYP, OTHER_TYP = "interop", "interoq"


class Failure(Exception):
    """What a case found wrong."""


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def same(what, got, wanted):
    if got != wanted:
        raise Failure(f"{what}: {got!r} instead of {wanted!r}")


def bare(key):
    """A key without what binds it to an algorithm or use; what is tried is said each time."""
    return {name: value for name, value in key.items() if name not in ("alg", "use", "key_ops")}


def given(key):
    """What the other side needs of a key: the public half, or the secret that both have."""
    return bare(key.get("public") or key["private"])


def tampered(token, form, skip=()):
    """Yields each part of a token and the token with one bit of that part changed."""
    if form == COMPACT:
        parts = token.split(".")
        names = ["protected", "encrypted_key", "iv", "ciphertext", "tag"]
        if len(parts) == 3:
            names = ["protected", "payload", "signature"]
        for i, name in enumerate(names):
            if parts[i] and name not in skip:
                yield name, ".".join([*parts[:i], flipped(name, parts[i]), *parts[i + 1 :]])
        return
    token = json.loads(token)
    for path in member_paths(token):
        changed = copy.deepcopy(token)
        place = changed
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = flipped(path[-1], place[path[-1]])
        yield ".".join(map(str, path)), json.dumps(changed)


def member_paths(token):
    """The paths of the members whose values are base64url, each with a first bit that counts."""
    names = ["protected", "encrypted_key", "iv", "ciphertext", "tag", "aad", "payload", "signature"]
    for name in names:
        if token.get(name):
            yield [name]
    for list_name in ("recipients", "signatures"):
        for i, one in enumerate(token.get(list_name, [])):
            for name in names:
                if one.get(name):
                    yield [list_name, i, name]


def flipped(name, part):
    """A part with one bit changed."""
    data = bytearray(unb64(part))
    if name == "protected":
        at = data.index(TYP.encode()) + len(TYP) - 1
        data[at] = ord(OTHER_TYP[-1])
    else:
        data[len(data) // 2] ^= 1
    return b64(bytes(data))
