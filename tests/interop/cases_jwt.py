"""Nested JWTs, both ways, in the context "demo"."""

import json
import os
import time

import cases_jws
from kinds import Kind
from sides import write
from tokens import COMPACT, b64, bare, same, tampered, unb64

ISSUER, AUDIENCE = "https://issuer.example", "https://partner.example"
KEYS = {"ECDH-ES+A256KW": "partner-ec", "RSA-OAEP-256": "partner-rsa"}
OPEN = ["open", "--context", "demo"]


def run(session):
    for alg in KEYS:
        kind = Kind(alg, "P-256" if alg.startswith("ECDH") else None)
        about = {"alg": f"nested {kind}", "enc": "A256GCM", "form": COMPACT}
        session.case(we_open, kind, way="in", **about)
        session.case(they_open, kind, way="out", **about)


def we_open(session, kind):
    pair = cases_jws.peer_key(session, "ES256")
    write("issuers.json", {"keys": [{**bare(pair["public"]), "alg": "ES256", "use": "sig"}]})
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 300}
    claims["jti"] = os.urandom(8).hex()
    header = {"alg": "ES256", "typ": "JWT", "kid": pair["kid"]}
    signature = {"jwk": bare(pair["private"]), "protected": header}
    payload = b64(json.dumps(claims).encode())
    inner = session.peer("sign", form=COMPACT, signatures=[signature], payload=payload)["token"]

    token = sealed(session, kind, inner)
    same("sub", json.loads(session.ours(*OPEN, stdin=token.encode()))["sub"], "alice")
    for part, changed in tampered(token, COMPACT, skip=["protected"]):
        session.ours.refuses(f"changed {part}", *OPEN, stdin=changed)
    # A signature that is broken, in an envelope that is whole.
    header, payload, signature = inner.split(".")
    broken = f"{header}.{payload}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    session.ours.refuses("broken signature", *OPEN, stdin=sealed(session, kind, broken))


def sealed(session, kind, inner):
    """A JWS in an envelope that the peer made for our key."""
    key = session.ours.key(KEYS[kind.alg], [kind.alg])
    header = {"alg": kind.alg, "enc": "A256GCM", "typ": "JWT", "cty": "JWT", "kid": key["kid"]}
    request = {"form": COMPACT, "protected": header, "recipients": [{"jwk": bare(key)}]}
    return session.peer("encrypt", plaintext=b64(inner.encode()), **request)["token"]


def they_open(session, kind):
    signer = session.ours.key("issuer-sig", ["ES256"])
    pair = kind.theirs(session, "A256GCM")
    to = write(f"{pair['kid']}.{kind.alg}.to.jwk", {**bare(pair["public"]), "alg": kind.alg, "use": "enc"})
    token = session.ours.token("seal", "--context", "demo", "--to", to, stdin=b'{"sub":"alice"}')
    outer = session.peer("decrypt", form=COMPACT, token=token, jwk=pair["private"], alg=kind.alg)
    same("alg", outer["protected"].get("alg"), kind.alg)
    same("cty", outer["protected"].get("cty"), "JWT")
    inner = unb64(outer["plaintext"]).decode()
    checked = session.peer("verify", form=COMPACT, token=inner, keys=[bare(signer)], alg="ES256")
    claims = json.loads(unb64(checked["payload"]))
    wanted = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice"}
    same("claims", {name: claims.get(name) for name in wanted}, wanted)
    same("lifetime", claims["exp"] - claims["iat"], 300)
