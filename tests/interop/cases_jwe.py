"""JWE, both ways: every alg, curve and enc that both sides know, in every serialization."""

import json

from kinds import Kind, kinds_of
from sides import DIR, write
from tokens import COMPACT, FLATTENED, FORMS, GENERAL, TYP, Failure, b64, bare, given, same, tampered, unb64

PLAINTEXT = "Sätze, two lines\n\0and a null".encode()
AAD = b"additional, authenticated, and not secret"
SHARED = {"cty": "text/plain"}


def run(session, algs, encs):
    encs = [enc for enc in encs if knows(session, Kind("RSA-OAEP"), enc)]
    kinds = [kind for kind in kinds_of(algs) if knows(session, kind, kind.of(encs)[0])]
    for i, kind in enumerate(kinds):
        fitting = kind.of(encs)
        for j, enc in enumerate(fitting):
            # In JSON flattened one way and general the other, with and without additional data.
            json_forms = [FLATTENED, GENERAL] if (i + j) % 2 else [GENERAL, FLATTENED]
            aad = AAD if (i + j) % 3 else None
            for form, other, data in [(COMPACT, COMPACT, None), (*json_forms, aad)]:
                session.case(we_decrypt, kind, enc, form, data, way="in", alg=str(kind), enc=enc, form=form)
                session.case(they_decrypt, kind, enc, other, data, way="out", alg=str(kind), enc=enc, form=other)
        # Refusals and what else is said once per alg and curve, with one enc and form after the other.
        enc, form = fitting[i % len(fitting)], FORMS[i % len(FORMS)]
        about = {"alg": str(kind), "enc": enc, "form": form}
        session.case(we_refuse, kind, enc, form, way="in", **about)
        session.case(they_refuse, kind, enc, form, way="out", **about)
        session.case(we_decrypt_without_kid, kind, enc, form, way="in", **about)
        if kind.direct:
            session.case(we_pass_over_empty_member, kind, enc, way="in", **{**about, "form": FLATTENED})
        if kind.crv:
            session.case(we_decrypt_with_party_info, kind, enc, way="in", **{**about, "form": COMPACT})
            session.case(they_decrypt_with_party_info, kind, enc, way="out", **{**about, "form": COMPACT})
    for form in FORMS:
        about = {"alg": "RSA-OAEP", "enc": encs[0], "form": form}
        session.case(we_decrypt_nothing, encs[0], form, way="in", **about)
        if knows(session, Kind("RSA-OAEP"), encs[0], b""):
            session.case(they_decrypt_nothing, encs[0], form, way="out", **about)
    several(session, [kind for kind in kinds if not kind.direct], encs)


def several(session, kinds, encs):
    """Tokens with two recipients, each kind beside one with another key, and headers not protected."""
    for i, kind in enumerate(kinds):
        half = i + len(kinds) // 2
        other = next(one for one in kinds[half:] + kinds if one.family != kind.family)
        enc, form = encs[i % len(encs)], [FLATTENED, GENERAL][i % 2]
        about = {"alg": str(kind), "enc": enc, "form": GENERAL}
        session.case(we_decrypt_of_two, kind, other, enc, way="in", **about)
        if not kind.shared and not other.shared:
            session.case(they_decrypt_of_two, kind, other, enc, way="out", **about)
        session.case(we_decrypt_unprotected, kind, enc, form, way="in", **{**about, "form": form})


def knows(session, kind, enc, plaintext=PLAINTEXT):
    """Whether the peer opens what it has made itself."""
    try:
        key = kind.theirs(session, enc, which="other")
        token = encrypted(session, kind, enc, COMPACT, key, plaintext=plaintext)
        they_open(session, kind, COMPACT, token, key, plaintext)
    except Failure:
        return False
    return True


# --- From the peer to us ---


def encrypted(session, kind, enc, form, key, aad=None, plaintext=PLAINTEXT, **header):
    """A token that the peer made for a key, with everything in the protected header."""
    return session.peer(
        "encrypt",
        form=form,
        protected={"alg": kind.alg, "enc": enc, "kid": key["kid"], "typ": TYP, **header},
        recipients=[{"jwk": given(key)}],
        plaintext=b64(plaintext),
        aad=b64(aad) if aad else None,
    )["token"]


def we_open(session, token, *options, plaintext=PLAINTEXT):
    same("plaintext", session.ours("decrypt", *options, stdin=token.encode()), plaintext)


def we_decrypt(session, kind, enc, form, aad):
    we_open(session, encrypted(session, kind, enc, form, kind.ours(session, enc), aad))


def we_decrypt_nothing(session, enc, form):
    kind = Kind("RSA-OAEP")
    we_open(session, encrypted(session, kind, enc, form, kind.ours(session, enc), plaintext=b""), plaintext=b"")


def we_refuse(session, kind, enc, form):
    key = kind.ours(session, enc)
    token = encrypted(session, kind, enc, form, key, AAD if form != COMPACT else None)
    we_open(session, token)
    for part, changed in tampered(token, form):
        session.ours.refuses(f"changed {part}", "decrypt", stdin=changed)
    other = {**kind.theirs(session, enc, which="other"), "kid": key["kid"]}
    token = encrypted(session, kind, enc, form, other)
    session.ours.refuses("another key", "decrypt", stdin=token)


def we_pass_over_empty_member(session, kind, enc):
    """RFC 7516 section 7.2.1: an empty encrypted_key is absent. One of the peers writes it."""
    token = json.loads(encrypted(session, kind, enc, FLATTENED, kind.ours(session, enc)))
    we_open(session, json.dumps(token))
    we_open(session, json.dumps({**token, "encrypted_key": ""}))
    session.ours.refuses("a stray key", "decrypt", stdin=json.dumps({**token, "encrypted_key": "AA"}))


def we_decrypt_without_kid(session, kind, enc, form):
    key = kind.ours(session, enc)
    nameless = {name: value for name, value in given(key).items() if name != "kid"}
    protected = {"alg": kind.alg, "enc": enc}
    recipients = [{"jwk": nameless}]
    request = {"form": form, "protected": protected, "recipients": recipients, "plaintext": b64(PLAINTEXT)}
    we_open(session, session.peer("encrypt", **request)["token"], "--key", key["name"])


def we_decrypt_with_party_info(session, kind, enc):
    """apu and apv go into the key derivation: both sides have to read them as the same bytes."""
    key = kind.ours(session, enc)
    we_open(session, encrypted(session, kind, enc, COMPACT, key, apu=b64(b"Alice"), apv=b64(b"Bob")))


def we_decrypt_of_two(session, kind, other, enc):
    """Ours is the first recipient, or the second beside a stranger that comes first, or both are."""
    ours = [(one, one.ours(session, enc)) for one in (kind, other)]
    strangers = [(one, one.theirs(session, enc, which="other")) for one in (kind, other)]
    for pair in ([ours[0], strangers[1]], [strangers[0], ours[1]], ours):
        token = for_two(session, enc, pair)
        we_open(session, token)
    [(part, changed), *_] = tampered(token, GENERAL)
    session.ours.refuses(f"changed {part}", "decrypt", stdin=changed)
    session.ours.refuses("for two strangers", "decrypt", stdin=misnamed(session, enc, ours, strangers))


def for_two(session, enc, pair):
    recipients = [{"jwk": given(key), "header": {"alg": kind.alg, "kid": key["kid"]}} for kind, key in pair]
    protected = {"enc": enc, "typ": TYP}
    request = {"form": GENERAL, "protected": protected, "recipients": recipients, "unprotected": SHARED}
    return session.peer("encrypt", plaintext=b64(PLAINTEXT), **request)["token"]


def misnamed(session, enc, ours, strangers):
    """A token for two strangers' keys under our kids."""
    pairs = zip(ours, strangers, strict=True)
    return for_two(session, enc, [(kind, {**key, "kid": own["kid"]}) for (kind, own), (_, key) in pairs])


def we_decrypt_unprotected(session, kind, enc, form):
    """The kid in the recipient's own header, and a header that the recipients share."""
    key = kind.ours(session, enc)
    recipient = {"jwk": given(key), "header": {"kid": key["kid"]}}
    request = {"form": form, "recipients": [recipient], "unprotected": SHARED, "plaintext": b64(PLAINTEXT)}
    token = session.peer("encrypt", protected={"alg": kind.alg, "enc": enc}, **request)["token"]
    we_open(session, token)


# --- From us to the peer ---


def made(session, kind, enc, form, *options, aad=None, plaintext=PLAINTEXT):
    """A token that we made for the peer's key, or for the one that we share."""
    options = [*options, *kind.addressed(session, enc), "--alg", kind.alg, "--enc", enc, "--typ", TYP]
    if aad:
        path = DIR / "aad"
        path.write_bytes(aad)
        options += ["--aad", path]
    return session.ours.token("encrypt", *options, form=form, stdin=plaintext)


def they_open(session, kind, form, token, key, plaintext=PLAINTEXT):
    opened = session.peer("decrypt", form=form, token=token, jwk=bare(key["private"]), alg=kind.alg)
    same("plaintext", unb64(opened["plaintext"]), plaintext)
    return opened["protected"]


def they_decrypt(session, kind, enc, form, aad):
    key = kind.theirs(session, enc)
    header = they_open(session, kind, form, made(session, kind, enc, form, aad=aad), key)
    wanted = {"alg": kind.alg, "enc": enc, "kid": key["kid"], "typ": TYP}
    same("header", {name: header.get(name) for name in wanted}, wanted)


def they_decrypt_nothing(session, enc, form):
    kind = Kind("RSA-OAEP")
    token = made(session, kind, enc, form, plaintext=b"")
    they_open(session, kind, form, token, kind.theirs(session, enc), b"")


def they_refuse(session, kind, enc, form):
    token = made(session, kind, enc, form, aad=AAD if form != COMPACT else None)
    key = kind.theirs(session, enc)
    they_open(session, kind, form, token, key)
    request = {"form": form, "alg": kind.alg}
    for part, changed in tampered(token, form):
        session.peer.refuses(f"changed {part}", "decrypt", token=changed, jwk=bare(key["private"]), **request)
    other = kind.theirs(session, enc, which="other")
    session.peer.refuses("another key", "decrypt", token=token, jwk=bare(other["private"]), **request)


def they_decrypt_with_party_info(session, kind, enc):
    token = made(session, kind, enc, COMPACT, "--apu", "Alice", "--apv", "Bob")
    they_open(session, kind, COMPACT, token, kind.theirs(session, enc))


def they_decrypt_of_two(session, kind, other, enc):
    options = []
    for one in (kind, other):
        key = one.theirs(session, enc)
        to = write(f"{key['kid']}.{one.alg}.jwk", {**bare(key["public"]), "alg": one.alg, "use": "enc"})
        options += ["--to", to]
    token = session.ours.token("encrypt", *options, "--enc", enc, "--typ", TYP, form=GENERAL, stdin=PLAINTEXT)
    for one in (kind, other):
        they_open(session, one, GENERAL, token, one.theirs(session, enc))
    key = kind.theirs(session, enc)["private"]
    for part, changed in tampered(token, GENERAL):
        if not part.startswith("recipients.1"):  # the other recipient's
            request = {"form": GENERAL, "alg": kind.alg, "jwk": bare(key)}
            session.peer.refuses(f"changed {part}", "decrypt", token=changed, **request)
