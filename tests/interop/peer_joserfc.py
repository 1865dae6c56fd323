"""joserfc as a peer."""

import json
import warnings

from joserfc import jwe, jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import generate_key, import_key
from peer import COMPACT, FLATTENED, GENERAL, b64, serve, unb64

# It warns of EdDSA, whose name says no curve.
warnings.simplefilter("ignore", SecurityWarning)
# All that the library has; its default leaves some out.
JWE = [name for names in jwe.JWERegistry.algorithms.values() for name in names]
JWS = list(jws.JWSRegistry.algorithms)


def generate(kty, crv=None, bits=None):
    key = generate_key(kty, crv or bits)
    private = key.as_dict(private=True)
    return {"private": private} if kty == "oct" else {"public": key.as_dict(private=False), "private": private}


def encrypt(form, protected, recipients, plaintext, unprotected=None, aad=None):
    if form == COMPACT:
        key = import_key(recipients[0]["jwk"])
        return {"token": jwe.encrypt_compact(protected, unb64(plaintext), key, algorithms=JWE)}
    kind = jwe.FlattenedJSONEncryption if form == FLATTENED else jwe.GeneralJSONEncryption
    token = kind(protected, unb64(plaintext), unprotected, unb64(aad) if aad else None)
    for one in recipients:
        token.add_recipient(one.get("header") or {}, without_kid(one["jwk"]))
    return {"token": json.dumps(jwe.encrypt_json(token, None, algorithms=JWE))}


def decrypt(form, token, jwk, alg=None):
    key = import_key(jwk)
    if form == COMPACT:
        opened = jwe.decrypt_compact(token, key, algorithms=JWE)
    else:
        opened = jwe.decrypt_json(addressed(json.loads(token), jwk), key, algorithms=JWE)
    return {"plaintext": b64(opened.plaintext), "protected": opened.protected}


def sign(form, signatures, payload, detached=False):
    if form == COMPACT:
        one = signatures[0]
        token = jws.serialize_compact(one["protected"], unb64(payload), import_key(one["jwk"]), algorithms=JWS)
        return {"token": jws.detach_content(token) if detached else token}
    keys = {one["protected"]["kid"]: import_key(one["jwk"]) for one in signatures}
    members = [{name: one[name] for name in ("protected", "header") if one.get(name)} for one in signatures]
    token = jws.serialize_json(members if form == GENERAL else members[0], unb64(payload), by_kid(keys), algorithms=JWS)
    return {"token": json.dumps(jws.detach_content(token) if detached else token)}


def verify(form, token, keys, alg=None, payload=None):
    algorithms = [alg] if alg else JWS
    keys = {key["kid"]: import_key(key) for key in keys}
    detached = None if payload is None else unb64(payload)
    if form == COMPACT:
        checked = jws.deserialize_compact(token, by_kid(keys), algorithms=algorithms, payload=detached)
        return {"payload": b64(checked.payload), "protected": checked.protected}
    token = json.loads(token)
    if detached is not None:
        # Put back, as RFC 7515 appendix F has it; only for the compact serialization the library does.
        token["payload"] = detached.decode() if unencoded(token) else payload
    checked = jws.deserialize_json(token, by_kid(keys), algorithms=algorithms)
    member = checked.members[0] if form == GENERAL else checked.member
    return {"payload": b64(checked.payload), "protected": member.protected}


def addressed(token, jwk):
    """The token with one recipient left: the library tries the key on each, and fails where it is of another kind."""
    recipients = token.get("recipients", [])
    if len(recipients) > 1:
        token["recipients"] = [one for one in recipients if one["header"]["kid"] == jwk["kid"]]
    return token


def by_kid(keys):
    return lambda member: keys[member.headers()["kid"]]


def unencoded(token):
    protected = (token.get("signatures") or [token])[0]["protected"]
    return json.loads(unb64(protected)).get("b64") is False


def without_kid(jwk):
    """The key, whose kid the library would write into the header beside the one in the protected header."""
    return import_key({name: value for name, value in jwk.items() if name != "kid"})


serve("joserfc", [generate, encrypt, decrypt, sign, verify])
