"""Symmetric algorithms where our keys are not symmetric: a public key is no secret."""

from cases import Family
from cryptography.hazmat.primitives import keywrap

from jose import Jwe, b64, drawn, gcm, jwk, unb64

PLAINTEXT, KW = b"content", "ECDH-ES+A256KW"


def all_cases():
    x = unb64(jwk("p256-kw")["x"])
    n = unb64(jwk("rsa-oaep")["n"])
    good = str(Jwe("p256-kw", KW))
    cek = drawn("cek", 32)

    family = Family(
        "dir-with-public-key", ["RFC 7518 section 4.5", "RFC 8725 section 2.1"], "decrypt", ["p256-kw", "rsa-oaep"]
    )
    family.accepted("control", KW, good, PLAINTEXT)
    direct = lambda key, secret, ek=b"", **header: str(Jwe(key, "dir", cek=secret, ek=ek, header=header or None))
    for name, title, token, code in [
        ("x", "the coordinate x as the key", direct("p256-kw", x), "policy"),
        ("modulus", "32 bytes of a modulus as the key", direct("rsa-oaep", n[:32]), "policy"),
        ("zeros", "zeros as the key", direct("p256-kw", bytes(32)), "policy"),
        ("kid", "a kid as the key", direct("p256-kw", b"p256-kw".ljust(32, b"\0")), "policy"),
        ("with-key", "dir with an encrypted key", direct("p256-kw", x, drawn("ek", 40)), "policy"),
        ("no-kid", "dir without kid", direct("p256-kw", x, kid=None), "key_not_found"),
        ("with-epk", "dir with an epk", direct("p256-kw", x, epk=Jwe("p256-kw", KW).members["epk"]), "policy"),
    ]:
        family.refused(name, title, token, code)

    family = Family(
        "key-wrap-with-public-key", ["RFC 7518 section 4.4", "RFC 8725 section 2.1"], "decrypt", ["p256-kw", "rsa-oaep"]
    )
    family.accepted("control", KW, good, PLAINTEXT)
    wrap = lambda key, alg, secret, **header: str(
        Jwe(key, alg, cek=cek, ek=keywrap.aes_key_wrap(secret, cek), header=header or None)
    )
    for name, title, token, code in [
        ("a128kw", "A128KW under half of x", wrap("p256-kw", "A128KW", x[:16]), "policy"),
        ("a192kw", "A192KW under a part of x", wrap("p256-kw", "A192KW", x[:24]), "policy"),
        ("a256kw", "A256KW under x", wrap("p256-kw", "A256KW", x), "policy"),
        ("modulus", "A256KW under 32 bytes of a modulus", wrap("rsa-oaep", "A256KW", n[:32]), "policy"),
        ("zeros", "A128KW under zeros", wrap("p256-kw", "A128KW", bytes(16)), "policy"),
        ("no-kid", "A256KW under x, without kid", wrap("p256-kw", "A256KW", x, kid=None), "key_not_found"),
        ("lower-case", "a256kw", wrap("p256-kw", "a256kw", x), "policy"),
    ]:
        family.refused(name, title, token, code)

    family = Family(
        "gcm-key-wrap-with-public-key",
        ["RFC 7518 section 4.7", "RFC 8725 section 2.1"],
        "decrypt",
        ["p256-kw", "rsa-oaep"],
    )
    family.accepted("control", KW, good, PLAINTEXT)
    iv = drawn("iv", 12)
    ek, tag = gcm(x, iv, b"", cek)
    wrap = lambda alg="A256GCMKW", **header: str(
        Jwe("p256-kw", alg, cek=cek, ek=ek, header={"iv": b64(iv), "tag": b64(tag)} | header)
    )
    for name, title, token, code in [
        ("good", "A256GCMKW under x", wrap(), "policy"),
        ("no-iv", "no iv", wrap(iv=None), "malformed"),
        ("no-tag", "no tag", wrap(tag=None), "malformed"),
        ("short-tag", "a tag of 4 bytes", wrap(tag=b64(tag[:4])), "policy"),
        ("long-iv", "an iv of 16 bytes", wrap(iv=b64(drawn("iv", 16))), "policy"),
        ("number-iv", "a number for iv", wrap(iv=1), "malformed"),
        ("a128", "A128GCMKW", wrap("A128GCMKW"), "policy"),
        ("no-kid", "A256GCMKW under x, without kid", wrap(kid=None), "key_not_found"),
    ]:
        family.refused(name, title, token, code)
