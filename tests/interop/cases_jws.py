"""JWS, both ways: every alg that both sides know."""

from sides import KTY, write
from tokens import COMPACT, FORMS, TYP, Failure, b64, bare, same, tampered, unb64

CURVE = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
RSA_BITS = 2048
PAYLOAD = "Sätze, two lines\n\0and a null".encode()


def run(session, algs):
    for i, alg in enumerate(alg for alg in algs if knows(session, alg)):
        for form in FORMS:
            about = {"alg": alg, "form": form}
            session.case(we_verify, alg, form, way="in", **about)
            session.case(they_verify, alg, form, way="out", **about)
        about = {"alg": alg, "form": FORMS[i % len(FORMS)]}
        session.case(we_refuse, alg, about["form"], way="in", **about)
        session.case(they_refuse, alg, about["form"], way="out", **about)


def our_key(session, alg):
    """Our key in the token: its name and its public half."""
    if alg in CURVE:
        crv = CURVE[alg]
        algs = [other for other in CURVE if CURVE[other] == crv]
        return f"sig-{crv.lower()}", session.ours.key(f"sig-{crv.lower()}", algs)
    return "sig-rsa", session.ours.key("sig-rsa", RSA, "--bits", RSA_BITS)


def peer_key(session, alg, which="own"):
    crv = CURVE.get(alg)
    if crv:
        return session.peer.key(KTY[crv], crv, which=which)
    return session.peer.key("RSA", bits=RSA_BITS, which=which)


def knows(session, alg):
    """The peer is asked to verify what it has signed itself."""
    try:
        pair = peer_key(session, alg)
        token = they_sign(session, alg, COMPACT)
        session.peer("verify", form=COMPACT, token=token, keys=[bare(pair["public"])], alg=alg)
    except Failure:
        return False
    return True


# --- From the peer to us ---


def they_sign(session, alg, form, **header):
    pair = peer_key(session, alg)
    protected = {"alg": alg, "kid": pair["kid"], "typ": TYP, **header}
    one = {"jwk": bare(pair["private"]), "protected": protected}
    return session.peer("sign", form=form, signatures=[one], payload=b64(PAYLOAD))["token"]


def trusted(session, alg, key=None):
    """A JWK Set with the peer's key, or with another under the kid of the peer's."""
    pair = peer_key(session, alg)
    name = f"{pair['kid']}.{alg}{'.stranger' if key else ''}.jwks"
    key = {**bare(key or pair["public"]), "kid": pair["kid"], "alg": alg, "use": "sig"}
    return write(name, {"keys": [key]})


def we_verify(session, alg, form):
    token = they_sign(session, alg, form)
    same("payload", session.ours("verify", "--keys", trusted(session, alg), stdin=token.encode()), PAYLOAD)


def we_refuse(session, alg, form):
    token = they_sign(session, alg, form)
    for part, changed in tampered(token, form):
        session.ours.refuses(f"changed {part}", "verify", "--keys", trusted(session, alg), stdin=changed)
    stranger = trusted(session, alg, our_key(session, alg)[1])
    session.ours.refuses("another key", "verify", "--keys", stranger, stdin=token)


# --- From us to the peer ---


def we_sign(session, alg, form, *options):
    name, _ = our_key(session, alg)
    return session.ours.token("sign", "--key", name, "--alg", alg, "--typ", TYP, *options, form=form, stdin=PAYLOAD)


def they_verify(session, alg, form):
    _, key = our_key(session, alg)
    token = we_sign(session, alg, form)
    checked = session.peer("verify", form=form, token=token, keys=[bare(key)], alg=alg)
    same("payload", unb64(checked["payload"]), PAYLOAD)
    wanted = {"alg": alg, "kid": key["kid"], "typ": TYP}
    same("header", {name: checked["protected"].get(name) for name in wanted}, wanted)


def they_refuse(session, alg, form):
    _, key = our_key(session, alg)
    token = we_sign(session, alg, form)
    request = {"form": form, "alg": alg}
    session.peer("verify", token=token, keys=[bare(key)], **request)
    for part, changed in tampered(token, form):
        session.peer.refuses(f"changed {part}", "verify", token=changed, keys=[bare(key)], **request)
    other = {**bare(peer_key(session, alg)["public"]), "kid": key["kid"]}
    session.peer.refuses("another key", "verify", token=token, keys=[other], **request)
