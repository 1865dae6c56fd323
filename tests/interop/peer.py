"""What the Python peers share: one JSON request on a line in, one JSON answer on a line out.

A peer answers {"error": ...} where its library refuses, so that a refusal can be told from a crash.
"""

import base64
import json
import sys


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def serve(operations):
    for line in sys.stdin:
        request = json.loads(line)
        operation = request.pop("op")
        try:
            answer = operations[operation](**request)
        except Exception as error:  # whatever the library raises is its refusal
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
