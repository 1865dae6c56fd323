"""jwcrypto as a peer."""

import json

from jwcrypto import jwa, jwe, jws
from jwcrypto.jwk import JWK
from peer import COMPACT, GENERAL, b64, serve, unb64

# All that the library has; its default leaves some out.
ALGORITHMS = list(jwa.JWA.algorithms_registry)


def generate(kty, crv=None, bits=None):
    key = JWK.generate(kty=kty, crv=crv) if crv else JWK.generate(kty=kty, size=bits)
    if kty == "oct":
        return {"private": json.loads(key.export())}
    return {"public": key.export_public(as_dict=True), "private": key.export_private(as_dict=True)}


def encrypt(form, protected, recipients, plaintext, unprotected=None, aad=None):
    token = jwe.JWE(
        unb64(plaintext),
        protected=json.dumps(protected),
        unprotected=json.dumps(unprotected) if unprotected else None,
        aad=unb64(aad) if aad else None,
        algs=ALGORITHMS,
        flattened=form != GENERAL,
    )
    for one in recipients:
        token.add_recipient(JWK(**one["jwk"]), header=header(one))
    return {"token": token.serialize(compact=form == COMPACT)}


def decrypt(form, token, jwk, alg=None):
    opened = jwe.JWE(algs=ALGORITHMS)
    opened.deserialize(token, key=JWK(**jwk))
    return {"plaintext": b64(opened.payload), "protected": json.loads(opened.objects["protected"])}


def sign(form, signatures, payload, detached=False):
    unencoded = signatures[0]["protected"].get("b64") is False
    token = jws.JWS(unb64(payload).decode() if unencoded else unb64(payload))
    token.allowed_algs = ALGORITHMS
    for one in signatures:
        token.add_signature(JWK(**one["jwk"]), protected=json.dumps(one["protected"]), header=header(one))
    if detached:
        token.detach_payload()
    serialized = token.serialize(compact=form == COMPACT)
    if form == COMPACT:
        return {"token": serialized}
    members = json.loads(serialized)
    if form == GENERAL and len(signatures) == 1:
        # The library writes one signature flattened.
        signature = {name: members.pop(name) for name in ("protected", "header", "signature") if name in members}
        members["signatures"] = [signature]
    return {"token": json.dumps(members)}


def verify(form, token, keys, alg=None, payload=None):
    # The library is content with one signature that verifies, so each key is asked for.
    for key in keys:
        checked = jws.JWS()
        checked.allowed_algs = [alg] if alg else ALGORITHMS
        checked.deserialize(token)
        checked.verify(JWK(**key), detached_payload=None if payload is None else unb64(payload))
    found = unb64(payload) if payload is not None else checked.payload
    objects = checked.objects["signatures"][0] if "signatures" in checked.objects else checked.objects
    found = found.encode() if isinstance(found, str) else found
    return {"payload": b64(found), "protected": json.loads(objects["protected"])}


def header(one):
    return json.dumps(one["header"]) if one.get("header") else None


serve("jwcrypto", [generate, encrypt, decrypt, sign, verify])
