"""JWS, both ways: every alg that both sides know, in every serialization."""

import json

from sides import DIR, KTY, write
from tokens import COMPACT, FORMS, GENERAL, TYP, Failure, b64, bare, given, same, tampered, unb64

CURVE = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
HMAC = {"HS256": 256, "HS384": 384, "HS512": 512}
RSA_BITS = 2048
PAYLOAD = "Sätze, two lines.\n\0and a null".encode()
# What a compact JWS has a place for without base64url (RFC 7797 section 5.2).
PLAIN = b"just-two_words~"
# RFC 7797
UNENCODED = {"b64": False, "crit": ["b64"]}


def run(session, algs):
    algs = [alg for alg in algs if knows(session, alg)]
    for i, alg in enumerate(algs):
        for form in FORMS:
            about = {"alg": alg, "form": form}
            session.case(we_verify, alg, form, way="in", **about)
            session.case(they_verify, alg, form, way="out", **about)
        # Once per alg, in one serialization after the other.
        form = FORMS[i % len(FORMS)]
        about = {"alg": alg, "form": form}
        session.case(we_refuse, alg, form, way="in", **about)
        session.case(they_refuse, alg, form, way="out", **about)
        for unencoded in (False, True):
            session.case(we_verify_detached, alg, form, unencoded, way="in", **about)
            session.case(they_verify_detached, alg, form, unencoded, way="out", **about)
        if form != COMPACT or knows(session, alg, PLAIN, **UNENCODED):
            session.case(we_verify_unencoded, alg, form, way="in", **about)
            session.case(they_verify_unencoded, alg, form, way="out", **about)
    asymmetric = [alg for alg in algs if alg not in HMAC]
    for alg, other in zip(asymmetric, asymmetric[1:] + asymmetric[:1], strict=True):
        about = {"alg": alg, "form": GENERAL}
        session.case(we_verify_two, alg, other, way="in", **about)
        session.case(they_verify_two, alg, other, way="out", **about)


def our_key(session, alg):
    """Our key in the token: its name, its kid, and what the peer verifies with."""
    if alg in HMAC:
        return session.shared(alg, HMAC[alg])
    if alg in CURVE:
        name, options = f"sig-{CURVE[alg].lower()}", []
        algs = [other for other in CURVE if CURVE[other] == CURVE[alg]]
    else:
        name, algs, options = "sig-rsa", RSA, ["--bits", RSA_BITS]
    public = session.ours.key(name, algs, *options)
    return {"name": name, "kid": public["kid"], "public": public}


def peer_key(session, alg, which="own"):
    if alg in HMAC and which == "own":
        return session.shared(alg, HMAC[alg])
    if alg in HMAC:
        return session.peer.key("oct", bits=HMAC[alg], which=which)
    crv = CURVE.get(alg)
    if crv:
        return session.peer.key(KTY[crv], crv, which=which)
    return session.peer.key("RSA", bits=RSA_BITS, which=which)


def knows(session, alg, payload=PAYLOAD, **header):
    """Whether the peer verifies what it has signed itself, in the compact serialization."""
    try:
        key = session.peer.key("oct", bits=HMAC[alg], which=alg) if alg in HMAC else peer_key(session, alg)
        token = signed(session, alg, COMPACT, key, payload, **header)
        session.peer("verify", form=COMPACT, token=token, keys=[given(key)], alg=alg)
    except Failure:
        return False
    return True


# --- From the peer to us ---


def signed(session, alg, form, key=None, payload=PAYLOAD, detached=None, **header):
    """A JWS that the peer made."""
    key = key or peer_key(session, alg)
    protected = {"alg": alg, "kid": key["kid"], "typ": TYP, **header}
    signature = {"jwk": bare(key["private"]), "protected": protected}
    request = {"form": form, "signatures": [signature], "payload": b64(payload), "detached": detached}
    return session.peer("sign", **request)["token"]


def trusting(session, alg, key=None):
    """The options with which our side trusts the peer's key for `alg`, or another under its kid."""
    own = peer_key(session, alg)
    if alg in HMAC:
        return ["--key", own["name"]]
    jwk = {**given(key or own), "kid": own["kid"], "alg": alg, "use": "sig"}
    name = f"{own['kid']}.{alg}{'.stranger' if key else ''}.jwks"
    return ["--keys", write(name, {"keys": [jwk]})]


def we_accept(session, token, *options, payload=PAYLOAD):
    same("payload", session.ours("verify", *options, stdin=token.encode()), payload)


def we_verify(session, alg, form):
    we_accept(session, signed(session, alg, form), *trusting(session, alg))


def we_refuse(session, alg, form):
    token = signed(session, alg, form)
    we_accept(session, token, *trusting(session, alg))
    for part, changed in tampered(token, form):
        session.ours.refuses(f"changed {part}", "verify", *trusting(session, alg), stdin=changed)
    if alg in HMAC:
        other = {**peer_key(session, alg, which="other"), "kid": peer_key(session, alg)["kid"]}
        session.ours.refuses("another key", "verify", *trusting(session, alg), stdin=signed(session, alg, form, other))
    else:
        stranger = trusting(session, alg, our_key(session, alg))
        session.ours.refuses("another key", "verify", *stranger, stdin=token)


def we_verify_detached(session, alg, form, unencoded):
    header = UNENCODED if unencoded else {}
    token = signed(session, alg, form, detached=True, **header)
    we_accept(session, token, *trusting(session, alg), "--detached", beside("payload", PAYLOAD))
    other = beside("other", PAYLOAD[:-1])
    session.ours.refuses("another payload", "verify", *trusting(session, alg), "--detached", other, stdin=token)
    if form != COMPACT:
        options = [*trusting(session, alg), "--detached", beside("payload", PAYLOAD)]
        empty = json.dumps({**json.loads(token), "payload": ""})
        we_accept(session, empty, *options)
        both = json.dumps({**json.loads(token), "payload": "AA"})
        session.ours.refuses("a payload of its own", "verify", *options, stdin=both)


def we_verify_unencoded(session, alg, form):
    payload = PLAIN if form == COMPACT else PAYLOAD
    token = signed(session, alg, form, payload=payload, **UNENCODED)
    we_accept(session, token, *trusting(session, alg), payload=payload)
    changed = token.replace("two", "twO")
    session.ours.refuses("changed payload", "verify", *trusting(session, alg), stdin=changed)


def we_verify_two(session, alg, other):
    keys = [
        (alg, session.peer.key(**kind(alg), which="first")),
        (other, session.peer.key(**kind(other), which="second")),
    ]
    signatures = [
        {"jwk": bare(key["private"]), "protected": {"alg": name, "kid": key["kid"], "typ": TYP}} for name, key in keys
    ]
    token = session.peer("sign", form=GENERAL, signatures=signatures, payload=b64(PAYLOAD))["token"]
    jwks = [{**given(key), "alg": name, "use": "sig"} for name, key in keys]
    both, one = (write(f"{name}.jwks", {"keys": keys}) for name, keys in (("both", jwks), ("one", jwks[1:])))
    we_accept(session, token, "--keys", both, "--require", "all")
    we_accept(session, token, "--keys", one, "--require", "any")
    session.ours.refuses("one key of two", "verify", "--keys", one, "--require", "all", stdin=token)
    for part, changed in tampered(token, GENERAL):
        session.ours.refuses(f"changed {part}", "verify", "--keys", both, "--require", "all", stdin=changed)


def kind(alg):
    if alg in CURVE:
        return {"kty": KTY[CURVE[alg]], "crv": CURVE[alg]}
    return {"kty": "RSA", "bits": RSA_BITS}


def beside(name, content):
    path = DIR / name
    path.write_bytes(content)
    return path


# --- From us to the peer ---


def we_sign(session, alg, form, *options, payload=PAYLOAD):
    key = our_key(session, alg)
    options = ["--key", key["name"], "--alg", alg, "--typ", TYP, *options]
    return session.ours.token("sign", *options, form=form, stdin=payload)


def they_accept(session, alg, form, token, payload=PAYLOAD, detached=None, **header):
    key = our_key(session, alg)
    detached = b64(payload) if detached else None
    checked = session.peer("verify", form=form, token=token, keys=[given(key)], alg=alg, payload=detached)
    same("payload", unb64(checked["payload"]), payload)
    wanted = {"alg": alg, "kid": key["kid"], "typ": TYP, **header}
    same("header", {name: checked["protected"].get(name) for name in wanted}, wanted)


def they_verify(session, alg, form):
    they_accept(session, alg, form, we_sign(session, alg, form))


def they_refuse(session, alg, form):
    key = our_key(session, alg)
    token = we_sign(session, alg, form)
    they_accept(session, alg, form, token)
    request = {"form": form, "alg": alg}
    for part, changed in tampered(token, form):
        session.peer.refuses(f"changed {part}", "verify", token=changed, keys=[given(key)], **request)
    other = {**given(peer_key(session, alg, which="other")), "kid": key["kid"]}
    session.peer.refuses("another key", "verify", token=token, keys=[other], **request)


def they_verify_detached(session, alg, form, unencoded):
    options, header = (["--unencoded"], UNENCODED) if unencoded else ([], {})
    token = we_sign(session, alg, form, "--detached", *options)
    they_accept(session, alg, form, token, detached=True, **header)
    request = {"form": form, "alg": alg, "token": token, "keys": [given(our_key(session, alg))]}
    session.peer.refuses("another payload", "verify", payload=b64(PAYLOAD[:-1]), **request)


def they_verify_unencoded(session, alg, form):
    payload = PLAIN if form == COMPACT else PAYLOAD
    token = we_sign(session, alg, form, "--unencoded", payload=payload)
    they_accept(session, alg, form, token, payload, **UNENCODED)
    request = {"form": form, "alg": alg, "keys": [given(our_key(session, alg))]}
    session.peer.refuses("changed payload", "verify", token=token.replace("two", "twO"), **request)


def they_verify_two(session, alg, other):
    keys = []
    for name in (alg, other):
        crv = CURVE.get(name)
        options = [] if crv else ["--bits", RSA_BITS]
        keys.append(session.ours.key(f"co-{name.lower()}", [name], *options))
    options = [part for name in (alg, other) for part in ("--key", f"co-{name.lower()}")]
    token = session.ours.token("sign", *options, "--typ", TYP, form=GENERAL, stdin=PAYLOAD)
    jwks = [{**bare(key), "alg": name} for name, key in zip((alg, other), keys, strict=True)]
    checked = session.peer("verify", form=GENERAL, token=token, keys=jwks)
    same("payload", unb64(checked["payload"]), PAYLOAD)
    for part, changed in tampered(token, GENERAL):
        session.peer.refuses(f"changed {part}", "verify", form=GENERAL, token=changed, keys=jwks)
