"""What the Python peers share: one JSON request on a line in, one JSON answer on a line out.

A peer answers {"error": ...} where its library refuses, so that a refusal can be told from a crash.

    about     {}                                                     -> version
    generate  kty, crv, bits                                         -> private and, but for oct, public
    encrypt   form, protected, recipients, plaintext, unprotected, aad  -> token
    decrypt   form, token, jwk, alg                                  -> plaintext, protected
    sign      form, signatures, payload, detached                    -> token
    verify    form, token, keys, alg, payload                        -> payload, protected

`form` is compact, flattened or general; a recipient has `jwk` and `header`, a signature `jwk`, `protected`
and `header`. Bytes are base64url; a token is text, in each of the three forms.
"""

import base64
import importlib.metadata
import json
import sys

COMPACT, FLATTENED, GENERAL = "compact", "flattened", "general"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def serve(library, operations):
    """Answers until the input ends."""
    operations = {operation.__name__: operation for operation in operations}
    operations["about"] = lambda: {"version": importlib.metadata.version(library)}
    for line in sys.stdin:
        request = json.loads(line)
        operation = request.pop("op")
        try:
            answer = operations[operation](**request)
        except Exception as error:  # whatever the library raises is its refusal
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
