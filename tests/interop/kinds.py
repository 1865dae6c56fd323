"""Kinds of decryption keys: an alg, and with ECDH-ES a curve."""

from dataclasses import dataclass

from sides import KTY

RSA = ["RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512"]
ECDH = ["ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"]
CURVES = ["P-256", "P-384", "P-521", "X25519"]
WRAPPING = {"A128KW": 128, "A192KW": 192, "A256KW": 256, "A128GCMKW": 128, "A192GCMKW": 192, "A256GCMKW": 256}
# With dir, the key is the content encryption key. Ours stays in the token, which cannot split it in two, as the
# others would need.
CONTENT = {"A128GCM": 128, "A192GCM": 192, "A256GCM": 256}
RSA_BITS = 2048


@dataclass(frozen=True)
class Kind:
    alg: str
    crv: str | None = None

    def __str__(self):
        return f"{self.alg} {self.crv}" if self.crv else self.alg

    @property
    def direct(self):
        """Whether the key leads to the content encryption key itself, and so serves one recipient."""
        return self.alg in ("dir", "ECDH-ES")

    @property
    def shared(self):
        """Whether both sides have the same key."""
        return self.alg in WRAPPING or self.alg == "dir"

    @property
    def family(self):
        """Kinds of one family use one key."""
        return self.crv or ("RSA" if self.alg in RSA else self.alg)

    def of(self, encs):
        """Those that a key of this kind can be used with."""
        return [enc for enc in encs if enc in CONTENT] if self.alg == "dir" else encs

    def ours(self, session, enc):
        """Our key in the token: its name, its kid, and what the peer encrypts with."""
        if self.shared:
            return session.shared(self.alg, self.bits(enc))
        if self.crv:
            name, algs, options = f"enc-{self.crv.lower()}", ECDH, ["--crv", self.crv]
        else:
            name, algs, options = "enc-rsa", RSA, ["--bits", RSA_BITS]
        public = session.ours.key(name, algs, *options)
        return {"name": name, "kid": public["kid"], "public": public}

    def theirs(self, session, enc, which="own"):
        """The peer's key, or the one that both sides have."""
        if self.shared and which == "own":
            return session.shared(self.alg, self.bits(enc))
        if self.shared:
            return session.peer.key("oct", bits=self.bits(enc), which=which)
        if self.crv:
            return session.peer.key(KTY[self.crv], self.crv, which=which)
        return session.peer.key("RSA", bits=RSA_BITS, which=which)

    def addressed(self, session, enc):
        """The options with which our side encrypts to this key."""
        if self.shared:
            return ["--key", self.ours(session, enc)["name"]]
        return ["--to", self.theirs(session, enc)["file"]]

    def bits(self, enc):
        return CONTENT[enc] if self.alg == "dir" else WRAPPING[self.alg]


def kinds_of(algs):
    return [kind for alg in algs for kind in ([Kind(alg, crv) for crv in CURVES] if alg in ECDH else [Kind(alg)])]
