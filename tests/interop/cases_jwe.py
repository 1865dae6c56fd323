"""JWE, both ways: every alg, curve and enc that both sides know."""

from dataclasses import dataclass

from sides import DIR, KTY
from tokens import COMPACT, FORMS, TYP, Failure, b64, bare, same, tampered, unb64

RSA = ["RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512"]
ECDH = ["ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"]
CURVES = ["P-256", "P-384", "P-521", "X25519"]
RSA_BITS = 2048
PLAINTEXT = "Sätze, two lines\n\0and a null".encode()
AAD = b"additional, authenticated, and not secret"


@dataclass(frozen=True)
class Kind:
    """A key management algorithm and, with ECDH-ES, the curve."""

    alg: str
    crv: str | None = None

    def __str__(self):
        return f"{self.alg} {self.crv}" if self.crv else self.alg

    def ours(self, session):
        """Our key in the token: its name and what the peer encrypts to."""
        if self.crv:
            name, algs, options = f"enc-{self.crv.lower()}", ECDH, ["--crv", self.crv]
        else:
            name, algs, options = "enc-rsa", RSA, ["--bits", RSA_BITS]
        return name, session.ours.key(name, algs, *options)

    def theirs(self, session, which="own"):
        """A key pair of the peer."""
        if self.crv:
            return session.peer.key(KTY[self.crv], self.crv, which=which)
        return session.peer.key("RSA", bits=RSA_BITS, which=which)


def run(session, algs, encs):
    kinds, encs = known(session, algs, encs)
    for i, kind in enumerate(kinds):
        for j, enc in enumerate(encs):
            for form in FORMS:
                about = {"alg": str(kind), "enc": enc, "form": form}
                # Half of the JSON serializations carry additional authenticated data.
                aad = AAD if form != COMPACT and (i + j) % 2 else None
                session.case(we_decrypt, kind, enc, form, aad, way="in", **about)
                session.case(they_decrypt, kind, enc, form, aad, way="out", **about)
        # Refusals and what else is said once per alg and curve, with one enc and form after the other.
        enc, form = encs[i % len(encs)], FORMS[i % len(FORMS)]
        about = {"alg": str(kind), "enc": enc, "form": form}
        session.case(we_refuse, kind, enc, form, way="in", **about)
        session.case(they_refuse, kind, enc, form, way="out", **about)
        session.case(we_decrypt_without_kid, kind, enc, form, way="in", **about)
        if kind.crv:
            session.case(we_decrypt_with_party_info, kind, enc, way="in", **{**about, "form": COMPACT})
            session.case(they_decrypt_with_party_info, kind, enc, way="out", **{**about, "form": COMPACT})


def known(session, algs, encs):
    """What the peer knows of what we know: it is asked to open what it has made itself."""
    peer = session.peer

    def knows(kind, enc):
        try:
            pair = kind.theirs(session)
            header = {"alg": kind.alg, "enc": enc}
            made = peer(
                "encrypt", form=COMPACT, protected=header, recipients=[{"jwk": pair["public"]}], plaintext=b64(b"x")
            )
            peer("decrypt", form=COMPACT, token=made["token"], jwk=pair["private"], alg=kind.alg)
        except Failure:
            return False
        return True

    kinds = [kind for alg in algs for kind in ([Kind(alg, crv) for crv in CURVES] if alg in ECDH else [Kind(alg)])]
    kinds = [kind for kind in kinds if knows(kind, "A128GCM")]
    return kinds, [enc for enc in encs if knows(Kind("RSA-OAEP"), enc)]


# --- From the peer to us ---


def theirs(session, kind, enc, form, aad=None, to=None, **header):
    """A token that the peer made for our key, or under its kid for another."""
    _, key = kind.ours(session)
    protected = {"alg": kind.alg, "enc": enc, "kid": key["kid"], "typ": TYP, **header}
    return session.peer(
        "encrypt",
        form=form,
        protected=protected,
        recipients=[{"jwk": {**bare(to or key), "kid": key["kid"]}}],
        plaintext=b64(PLAINTEXT),
        aad=b64(aad) if aad else None,
    )["token"]


def we_decrypt(session, kind, enc, form, aad):
    token = theirs(session, kind, enc, form, aad)
    same("plaintext", session.ours("decrypt", stdin=token.encode()), PLAINTEXT)


def we_refuse(session, kind, enc, form):
    token = theirs(session, kind, enc, form, AAD if form != COMPACT else None)
    for part, changed in tampered(token, form):
        session.ours.refuses(f"changed {part}", "decrypt", stdin=changed)
    token = theirs(session, kind, enc, form, to=kind.theirs(session)["public"])
    session.ours.refuses("another key", "decrypt", stdin=token)


def we_decrypt_without_kid(session, kind, enc, form):
    name, key = kind.ours(session)
    public = {member: value for member, value in bare(key).items() if member != "kid"}
    token = session.peer(
        "encrypt",
        form=form,
        protected={"alg": kind.alg, "enc": enc},
        recipients=[{"jwk": public}],
        plaintext=b64(PLAINTEXT),
    )["token"]
    same("plaintext", session.ours("decrypt", "--key", name, stdin=token.encode()), PLAINTEXT)


def we_decrypt_with_party_info(session, kind, enc):
    """apu and apv go into the key derivation: both sides have to read them as the same bytes."""
    token = theirs(session, kind, enc, COMPACT, apu=b64(b"Alice"), apv=b64(b"Bob"))
    same("plaintext", session.ours("decrypt", stdin=token.encode()), PLAINTEXT)


# --- From us to the peer ---


def ours(session, kind, enc, form, *options, aad=None):
    """A token that we made for the peer's key."""
    options = [*options, "--to", kind.theirs(session)["file"], "--alg", kind.alg, "--enc", enc, "--typ", TYP]
    if aad:
        path = DIR / "aad"
        path.write_bytes(aad)
        options += ["--aad", path]
    return session.ours.token("encrypt", *options, form=form, stdin=PLAINTEXT)


def they_open(session, kind, form, token, key=None):
    key = key or kind.theirs(session)
    return session.peer("decrypt", form=form, token=token, jwk=key["private"], alg=kind.alg)


def they_decrypt(session, kind, enc, form, aad):
    opened = they_open(session, kind, form, ours(session, kind, enc, form, aad=aad))
    same("plaintext", unb64(opened["plaintext"]), PLAINTEXT)
    wanted = {"alg": kind.alg, "enc": enc, "kid": kind.theirs(session)["kid"], "typ": TYP}
    same("header", {name: opened["protected"].get(name) for name in wanted}, wanted)


def they_refuse(session, kind, enc, form):
    token = ours(session, kind, enc, form, aad=AAD if form != COMPACT else None)
    they_open(session, kind, form, token)
    request = {"form": form, "alg": kind.alg, "jwk": kind.theirs(session)["private"]}
    for part, changed in tampered(token, form):
        session.peer.refuses(f"changed {part}", "decrypt", token=changed, **request)
    other = kind.theirs(session, which="other")["private"]
    session.peer.refuses("another key", "decrypt", token=token, **{**request, "jwk": other})


def they_decrypt_with_party_info(session, kind, enc):
    token = ours(session, kind, enc, COMPACT, "--apu", "Alice", "--apv", "Bob")
    same("plaintext", unb64(they_open(session, kind, COMPACT, token)["plaintext"]), PLAINTEXT)
