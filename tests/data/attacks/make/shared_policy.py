"""Symmetric keys of the token and what policy, contexts and other recipients make of them."""

from cases import Family
from jose import Jwe, b64, drawn, gcm, jwk, jws, mac, text, unb64
from json_forms import flattened, without
from json_keys import recipients
from macs import secret
from macs import token as authenticated
from nested import PAST, TYP, US, claims, sealed, shared, signed
from shared_keys import direct, gcmkw, kw
from tokens import PAYLOAD, PLAINTEXT
from tokens import kw as to_public_key

REFUSED = "decryption_failed"
EC = "ECDH-ES+A256KW"
ALL = ["A128KW", "A256KW", "A256GCMKW", "dir", "HS256"]


def not_named():
    source = ["RFC 8725 section 3.2", "RFC 7518 section 4.1", "requirements of the profile strict"]
    keys = ["a128kw", "a256gcmkw", "dir", "hs256"]
    family = Family("symmetric-not-named", source, "decrypt", keys, policy="strict")
    family.accepted("control-kw", "A128KW where it is named", str(kw()), PLAINTEXT, symmetric=["A128KW"])
    family.accepted("control-gcmkw", "A256GCMKW where it is named", str(gcmkw()), PLAINTEXT, symmetric=["A256GCMKW"])
    family.accepted("control-dir", "dir where it is named", str(direct()), PLAINTEXT, symmetric=["dir"])
    by_mac = {"operation": "verify", "mac_key": "hs256"}
    family.accepted("control-mac", "HS256 where it is named", authenticated(), PAYLOAD, symmetric=["HS256"], **by_mac)
    for name, title, made in [
        ("a128kw", "A128KW", str(kw())),
        ("a256gcmkw", "A256GCMKW", str(gcmkw())),
        ("dir", "dir", str(direct())),
        ("a128kw-no-kid", "A128KW without kid", str(kw(kid=False))),
    ]:
        family.refused(name, f"{title}, and nothing is named", made, "policy")
    family.refused("hs256", "HS256, and nothing is named", authenticated(), "policy", **by_mac)
    family.refused(
        "others", "A128KW where the other ones are named", str(kw()), "policy", symmetric=without_alg("A128KW")
    )
    family.refused("a256kw", "A128KW where A256KW is named", str(kw()), "policy", symmetric=["A256KW"])
    family.refused("hs512", "HS256 where HS512 is named", authenticated(), "policy", symmetric=["HS512"], **by_mac)


def without_alg(alg):
    return [name for name in ALL if name != alg]


def other_purposes():
    keys = ["a128kw", "a256kw", "a256gcmkw", "dir", "hs256"]
    source = ["RFC 8725 section 3.1", "RFC 7517 section 4.4", "NIST SP 800-57 part 1 section 5.2"]
    given = {"policy": "strict", "symmetric": ALL}
    family = Family("symmetric-key-of-another-alg", source, "decrypt", keys, **given)
    family.accepted("control", "A128KW with the key of A128KW", str(kw()), PLAINTEXT)
    family.accepted("control-no-kid", "dir, and no kid", str(direct(kid=False)), PLAINTEXT)
    for name, title, key, alg, enc in [
        ("kw-as-dir", "dir with the key of A256KW", "a256kw", "dir", "A256GCM"),
        ("kw-128-as-dir", "dir and A128GCM with the key of A128KW", "a128kw", "dir", "A128GCM"),
        ("gcmkw-as-dir", "dir with the key of A256GCMKW", "a256gcmkw", "dir", "A256GCM"),
        ("gcmkw-as-kw", "A256KW with the key of A256GCMKW", "a256gcmkw", "A256KW", "A256GCM"),
        ("kw-as-gcmkw", "A256GCMKW with the key of A256KW", "a256kw", "A256GCMKW", "A256GCM"),
        ("dir-as-kw", "A256KW with the key of dir", "dir", "A256KW", "A256GCM"),
        ("dir-as-gcmkw", "A256GCMKW with the key of dir", "dir", "A256GCMKW", "A256GCM"),
        ("mac-as-dir", "dir with the first half of the key of HS256", "hs256", "dir", "A256GCM"),
    ]:
        cek = secret(key)[:32] if alg == "dir" else None
        family.refused(name, title, str(Jwe(key, alg, enc, cek=cek)), "policy")
    family.refused(
        "mac-as-kw",
        "A256KW with half of the key of HS256",
        str(Jwe("hs256", "A256KW", kek=secret("hs256")[:32])),
        "policy",
    )
    family.refused(
        "no-kid-gcmkw",
        "dir with the key of A256GCMKW, and no kid",
        str(direct(cek=secret("a256gcmkw"), kid=False)),
        REFUSED,
        True,
    )
    family.refused(
        "kid-of-dir",
        "dir with the key of A256GCMKW, and the kid of dir's",
        str(direct(cek=secret("a256gcmkw"))),
        REFUSED,
        True,
    )

    source = ["RFC 8725 section 3.1", "RFC 8725 section 2.1", "CVE-2026-48526"]
    keys = ["a128kw", "a256kw", "dir", "p256-kw", "rsa-oaep"]
    family = Family("symmetric-and-public-keys", source, "decrypt", keys, symmetric=ALL)
    family.accepted("control", "A256KW with the key of A256KW", str(Jwe("a256kw", "A256KW")), PLAINTEXT)
    family.accepted("control-public", "to the public key", str(to_public_key()), PLAINTEXT)
    x, modulus = unb64(jwk("p256-kw")["x"]), unb64(jwk("rsa-oaep")["n"])
    wrapped = lambda kek, **given: str(Jwe("a256kw", "A256KW", kek=kek, **given))
    as_ours = lambda key, alg: str(Jwe(key, alg, header={"kid": "a256kw"}))
    for name, title, made, code in [
        ("x", "A256KW under a coordinate x, with the kid of the symmetric key", wrapped(x), REFUSED),
        ("modulus", "A256KW under a modulus, with the kid of the symmetric key", wrapped(modulus[:32]), REFUSED),
        ("x-no-kid", "A256KW under a coordinate x, and no kid", wrapped(x, kid=False), REFUSED),
        ("x-own-kid", "A256KW under a coordinate x, with its kid", wrapped(x, header={"kid": "p256-kw"}), "policy"),
        ("ec-as-kw", "to the public key, with the kid of the symmetric key", as_ours("p256-kw", EC), "policy"),
        ("rsa-as-kw", "to the RSA key, with the kid of the symmetric key", as_ours("rsa-oaep", "RSA-OAEP"), "policy"),
        (
            "ecdh-without-epk",
            "A256KW called ECDH-ES+A256KW",
            str(Jwe("a256kw", "A256KW", header={"alg": EC})),
            "malformed",
        ),
    ]:
        family.refused(name, title, made, code, code == REFUSED)
    password = {"p2s": b64(drawn("p2s", 8)), "p2c": 4096}
    made = str(Jwe("a128kw", "A128KW", header={"alg": "PBES2-HS256+A128KW"} | password))
    family.refused("as-password", "A128KW called PBES2-HS256+A128KW", made, "policy")


def several():
    cek = bytes(range(32))

    def one(key, change=lambda it: it, protected=()):
        """The recipient of a symmetric key."""
        base = Jwe(key, jwk(key)["alg"], cek=cek, label=f"{key} of several")
        header = {name: value for name, value in base.members.items() if name != "enc" and name not in protected}
        return change({"header": header} | ({"encrypted_key": b64(base.ek)} if base.ek else {}))

    def general(*objects, protected=None):
        token = recipients(protected=protected)
        return token | {"recipients": list(objects)}

    def broken(it):
        ek = unb64(it["encrypted_key"])
        return it | {"encrypted_key": b64(bytes([ek[0] ^ 1]) + ek[1:])}

    ec = recipients(("p256-kw", EC, None))["recipients"][0]
    stranger = recipients(("stranger-kw", EC, None))["recipients"][0]
    given = {"policy": "strict", "symmetric": ["A128KW", "A256GCMKW", "dir"]}
    source = ["RFC 7516 section 7.2.1", "RFC 7516 section 11.5", "RFC 7518 section 4.4"]
    family = Family("json-jwe-several-symmetric", source, "decrypt", ["p256-kw", "a128kw", "a256gcmkw"], **given)
    family.accepted("control", "to a public key and a symmetric one", general(ec, one("a128kw")), PLAINTEXT)
    family.accepted("control-broken", "the public key's is broken", general(broken(ec), one("a128kw")), PLAINTEXT)
    family.accepted(
        "control-stranger",
        "a stranger, and two of our keys",
        general(stranger, one("a256gcmkw"), one("a128kw")),
        PLAINTEXT,
    )
    family.accepted("control-gcmkw", "to a symmetric key alone", general(one("a256gcmkw")), PLAINTEXT)
    family.accepted("control-kw", "to the other alone", general(one("a128kw")), PLAINTEXT)
    swapped = [
        ec | {"encrypted_key": one("a128kw")["encrypted_key"]},
        one("a128kw") | {"encrypted_key": ec["encrypted_key"]},
    ]
    renamed = lambda it, **header: it | {"header": it["header"] | header}
    for name, title, token, code in [
        ("both-broken", "both keys are broken", general(broken(ec), broken(one("a128kw"))), REFUSED),
        ("swapped", "the encrypted keys are swapped", general(*swapped), REFUSED),
        (
            "two-broken",
            "two symmetric keys, both broken",
            general(stranger, broken(one("a256gcmkw")), broken(one("a128kw"))),
            REFUSED,
        ),
        ("absent", "no encrypted key", general(without(one("a128kw"), "encrypted_key")), REFUSED),
        ("dir", "dir beside A128KW", general({"header": {"alg": "dir", "kid": "dir"}}, one("a128kw")), "malformed"),
        (
            "kid-of-ec",
            "A128KW with the kid of the public key",
            general(stranger, renamed(one("a128kw"), kid="p256-kw")),
            "policy",
        ),
        ("not-named", "A192KW, which is not named", general(renamed(one("a128kw"), alg="A192KW")), "policy"),
        (
            "strangers",
            "a symmetric key that we do not hold",
            general(stranger, renamed(one("a128kw"), kid="nobody")),
            "key_not_found",
        ),
    ]:
        family.refused(name, title, token, code, code == REFUSED)

    source = ["RFC 7518 section 4.7.1", "RFC 7516 section 7.2.1", "RFC 8725 section 3.1"]
    family = Family(
        "json-jwe-gcmkw-parameters", source, "decrypt", ["a256gcmkw"], policy="strict", symmetric=["A256GCMKW"]
    )
    own = one("a256gcmkw")
    iv, tag = own["header"]["iv"], own["header"]["tag"]
    family.accepted("control", "iv and tag in the recipient's header", general(own), PLAINTEXT)
    family.accepted("control-compact", "iv and tag in a compact token", str(gcmkw()), PLAINTEXT)
    bare = {"header": {"alg": "A256GCMKW", "kid": "a256gcmkw"}, "encrypted_key": own["encrypted_key"]}
    with_tag = renamed(bare, tag=tag)
    other = gcm(secret("a256gcmkw"), bytes(12), b"", cek)
    for name, title, token, code in [
        ("absent", "neither iv nor tag", general(bare), "malformed"),
        ("no-iv", "no iv in the header, one in the token", general(with_tag), "malformed"),
        ("shared", "iv in the shared header", general(with_tag) | {"unprotected": {"iv": iv}}, "policy"),
        ("beside", "iv beside the header", general(with_tag | {"iv": iv}), "malformed"),
        (
            "twice",
            "tag in the protected header too",
            general(own, protected={"enc": "A256GCM", "tag": tag}),
            "malformed",
        ),
        (
            "of-content",
            "iv and tag of the content",
            general(renamed(bare, iv=b64(bytes(12)), tag=recipients()["tag"])),
            REFUSED,
        ),
        ("other-iv", "iv of another wrap of the same key", general(renamed(own, iv=b64(bytes(12)))), REFUSED),
        ("other-tag", "tag of another wrap of the same key", general(renamed(own, tag=b64(other[1]))), REFUSED),
    ]:
        family.refused(name, title, token, code, code == REFUSED)


def direct_in_json():
    """Under strict: `alg` and `kid` of the only recipient are protected."""
    own = flattened("dir", "dir", aad=b"authenticated")
    source = ["RFC 7516 section 7.2", "RFC 7518 section 4.5", "RFC 7516 section 5.2 step 10"]
    family = Family("json-jwe-dir", source, "decrypt", ["dir"], policy="strict", symmetric=["dir"])
    family.accepted("control", "dir in a flattened JWE", own, PLAINTEXT)
    family.accepted("control-general", "dir to one recipient, in the general form", general_of(own), PLAINTEXT)
    family.accepted(
        "control-key-empty",
        "dir in JSON: an encrypted key that is empty, and there, as many write it",
        own | {"encrypted_key": ""},
        PLAINTEXT,
    )
    for name, title, token, code in [
        ("key", "an encrypted key", own | {"encrypted_key": b64(drawn("ek", 40))}, REFUSED),
        ("key-general", "an encrypted key in the general form", general_of(own, encrypted_key="AA"), REFUSED),
        ("aad", "another aad", own | {"aad": b64("another")}, REFUSED),
        ("aad-removed", "aad is removed", without(own, "aad"), REFUSED),
        ("no-tag", "no tag", without(own, "tag"), REFUSED),
        ("no-iv", "no iv", without(own, "iv"), REFUSED),
        ("two", "two recipients", own_twice(own), "malformed"),
    ]:
        family.refused(name, f"dir in JSON: {title}", token, code, code == REFUSED)


def general_of(token, **recipient):
    return without(token, "encrypted_key") | {"recipients": [recipient]}


def own_twice(token):
    return token | {"recipients": [{}, {}]}


def enc_changed():
    source = ["RFC 7516 section 5.1 step 14", "RFC 7518 section 5.1"]
    keys = ["a128kw", "a256gcmkw"]
    family = Family("shared-enc-changed", source, "decrypt", keys, symmetric=["A128KW", "A256GCMKW"])
    family.accepted("control", "A128CBC-HS256 under A128KW", str(kw(enc="A128CBC-HS256")), PLAINTEXT)
    family.accepted("control-gcmkw", "A128CBC-HS256 under A256GCMKW", str(gcmkw(enc="A128CBC-HS256")), PLAINTEXT)
    for name, make in [("kw", kw), ("gcmkw", gcmkw)]:
        for enc, called in [
            ("A256GCM", "A128CBC-HS256"),
            ("A128CBC-HS256", "A256GCM"),
            ("A256GCM", "A128GCM"),
            ("A256CBC-HS512", "A256GCM"),
        ]:
            token = make(enc=enc)
            protected = b64(text(token.members | {"enc": called}))
            case = f"{name}-{enc}-{called}".lower()
            family.refused(
                case, f"{token.alg}: {enc} called {called}", token.compact(protected=protected), REFUSED, True
            )


def contexts():
    source = ["RFC 8725 section 3.1", "RFC 8725 section 3.12", "RFC 8725 section 2.1"]
    given = {"policy": "strict", "symmetric": ["A256KW", "HS256"]}
    family = Family("mac-in-context", source, "open", context="access_token", **given)
    family.accepted("control", "signed by the issuer", signed(typ="at+jwt"), claims())
    family.accepted(
        "control-nested",
        "signed by the issuer, then sealed to us",
        sealed(signed()),
        claims(),
        context="id_token",
        encrypted=True,
    )

    def by_mac(typ="at+jwt", key="hs256", **header):
        members = {"alg": jwk(key)["alg"], "kid": key, "typ": typ} | header
        return jws({name: value for name, value in members.items() if value is not None}, claims(), mac(secret(key)))

    nested = {"context": "id_token"}
    for name, title, made, code in [
        ("own", "HS256 by a key of the token", by_mac(), "policy"),
        ("issuer-kid", "HS256 by a key of the token, with the issuer's kid", by_mac(kid="issuer"), "policy"),
        ("no-kid", "HS256 by a key of the token, and no kid", by_mac(kid=None), "policy"),
        ("other", "HS256 by another key of the token", by_mac(key="hs256-other"), "policy"),
        (
            "called-es256",
            "the MAC called ES256, with the issuer's kid",
            by_mac(alg="ES256", kid="issuer"),
            "signature_invalid",
        ),
    ]:
        family.refused(name, title, made, code)
    family.refused(
        "nested", "HS256 by a key of the token, sealed to us", sealed(by_mac("JWT")), "policy", True, **nested
    )
    family.refused(
        "nested-issuer-kid",
        "the same, with the issuer's kid",
        sealed(by_mac("JWT", kid="issuer")),
        "policy",
        True,
        **nested,
    )
    family.refused(
        "shared",
        "HS256, sealed under a symmetric key",
        shared(by_mac("JWT"), header={"cty": "JWT"}),
        "policy",
        **nested,
    )

    given = {"policy": "strict", "symmetric": ALL, "context": "shared_response"}
    family = Family("shared-context", ["RFC 8725 section 3.12", "RFC 7518 section 4.4"], "open", **given)
    family.accepted("control", "claims under the key of the context", shared(), text({"aud": US}), encrypted=True)
    compact = shared().split(".")
    typ = {"typ": TYP["shared_response"]}
    for name, title, made, code, reaches in [
        ("other-key", "under another key of the token", shared(key="a128kw"), "policy", False),
        ("dir", "dir with the key of the context", shared(alg="dir", cek=secret("a256kw")), "policy", False),
        ("dir-own", "dir with a key of the token", shared(key="dir"), "policy", False),
        ("public-key", "to a public key of ours", sealed(text({"aud": US}), header=typ), "policy", False),
        ("enc", "A128GCM, which the context does not name", shared(enc="A128GCM"), "policy", False),
        (
            "wrapped-key",
            "the wrapped key is another",
            ".".join([compact[0], b64(drawn("ek", 40)), *compact[2:]]),
            REFUSED,
            True,
        ),
        ("audience", "for somebody else", shared(text({"aud": "https://other.example"})), "claim", True),
        ("expired", "expired", shared(text({"aud": US, "exp": PAST})), "claim", True),
        ("signed", "a signed token inside, and cty JWT", shared(signed(), header={"cty": "JWT"}), "policy", False),
        ("mac", "a MAC in place of it", by_mac("shared+jwt"), "malformed", False),
    ]:
        family.refused(name, title, made, code, reaches)
    family.refused("in-another", "in a context that does not name the alg", shared(), "policy", context="vp_response")


def all_cases():
    not_named()
    other_purposes()
    several()
    direct_in_json()
    enc_changed()
    contexts()
