"""ECDSA and Ed25519 signatures that must not verify."""

import hashlib

from cases import Family
from tokens import PAYLOAD, signed, token

from jose import (
    P256,
    L,
    der_signature,
    ecdsa,
    ecdsa_numbers,
    ed,
    jwk,
    signing_input,
)


def elliptic():
    family = Family("psychic-signature", "CVE-2022-21449", "verify", ["es256", "es384", "es512"])
    family.accepted("control", "ES256 by the private key", signed(), PAYLOAD)
    zero, order = bytes(32), P256.octets(P256.n)
    for name, title, change in [
        ("zeros", "r = 0, s = 0", lambda it: bytes(64)),
        ("r-zero", "r = 0", lambda it: zero + it[32:]),
        ("s-zero", "s = 0", lambda it: it[:32] + zero),
        ("orders", "r = n, s = n", lambda it: order + order),
        ("r-order", "r = n", lambda it: order + it[32:]),
        ("s-order", "s = n", lambda it: it[:32] + order),
    ]:
        family.refused(name, title, signed(change), "signature_invalid")
    for alg, key in [("ES384", "es384"), ("ES512", "es512")]:
        zeros = token(alg, key, ecdsa(key), lambda it: bytes(len(it)))
        family.refused(f"{key}-zeros", f"r = 0, s = 0 on {jwk(key)['crv']}", zeros, "signature_invalid")

    family = Family(
        "ecdsa-out-of-range", ["RFC 7518 section 3.4", "FIPS 186-5 section 6.4.2"], "verify", ["es256", "es512"]
    )
    c, r, s = ecdsa_numbers("es512", signing_input({"alg": "ES512", "kid": "es512"}, PAYLOAD).encode())
    family.accepted("control", "ES512 by the private key", token("ES512", "es512", ecdsa("es512")), PAYLOAD)
    family.accepted(
        "high-s",
        "s over n / 2: another signature that JOSE takes too (RFC 7518 names no low s)",
        token("ES512", "es512", ecdsa("es512"), lambda it: c.octets(r) + c.octets(max(s, c.n - s))),
        PAYLOAD,
    )

    def with_numbers(r, s):
        return token("ES512", "es512", ecdsa("es512"), lambda it: c.octets(r) + c.octets(s))

    family.refused("r-plus-n", "r + n, which fits 66 bytes", with_numbers(r + c.n, s), "signature_invalid")
    family.refused("s-plus-n", "s + n, which fits 66 bytes", with_numbers(r, s + c.n), "signature_invalid")
    family.refused("both-plus-n", "r + n and s + n", with_numbers(r + c.n, s + c.n), "signature_invalid")
    family.refused("largest", "all bits set", with_numbers(2**528 - 1, 2**528 - 1), "signature_invalid")
    family.refused("s-negated-wrong", "-s mod p and not mod n", with_numbers(r, c.p - s), "signature_invalid")
    family.refused("r-one", "r = 1, s = 1", with_numbers(1, 1), "signature_invalid")
    family.refused(
        "p256-n-plus-one", "r = s = n + 1 on P-256", signed(lambda it: 2 * P256.octets(P256.n + 1)), "signature_invalid"
    )

    family = Family("ecdsa-der", "RFC 7518 section 3.4", "verify", ["es256", "es384", "es512"])
    family.accepted("control", "r || s", signed(), PAYLOAD)
    for alg, key in [("ES256", "es256"), ("ES384", "es384"), ("ES512", "es512")]:
        family.refused(key, f"{alg} as a DER sequence", token(alg, key, ecdsa(key), der_signature), "signature_invalid")
    family.refused(
        "padded",
        "DER, and zeros up to 72 bytes",
        signed(lambda it: der_signature(it).ljust(72, b"\0")),
        "signature_invalid",
    )
    family.refused("cut", "DER, cut to 64 bytes", signed(lambda it: der_signature(it)[:64]), "signature_invalid")
    family.refused(
        "pem", "DER in PEM", signed(lambda it: b"-----BEGIN-----\n" + der_signature(it)), "signature_invalid"
    )

    family = Family("ecdsa-length", "RFC 7518 section 3.4", "verify", ["es256", "es512"])
    family.accepted("control", "64 bytes", signed(), PAYLOAD)
    for name, title, change in [
        ("short", "63 bytes", lambda it: it[:63]),
        ("long", "65 bytes", lambda it: it + b"\0"),
        ("zero-before", "a zero before each half", lambda it: b"\0" + it[:32] + b"\0" + it[32:]),
        ("as-p384", "each half in 48 bytes", lambda it: bytes(16) + it[:32] + bytes(16) + it[32:]),
        ("swapped", "s || r", lambda it: it[32:] + it[:32]),
        ("half", "r alone", lambda it: it[:32]),
        ("twice", "the signature twice", lambda it: it + it),
    ]:
        family.refused(name, f"ES256: {title}", signed(change), "signature_invalid")
    family.refused(
        "es512-128",
        "ES512 in 128 bytes: 521 bits are not 512",
        token("ES512", "es512", ecdsa("es512"), lambda it: it[2:66] + it[68:]),
        "signature_invalid",
    )

    family = Family("ecdsa-wrong-hash", "RFC 7518 section 3.4", "verify", ["es256"])
    family.accepted("control", "SHA-256", signed(), PAYLOAD)
    for name in ["sha1", "sha384", "sha512", "sha3_256"]:
        family.refused(
            name,
            f"ES256 over {name.upper()}",
            token("ES256", "es256", ecdsa("es256", hash_name=name)),
            "signature_invalid",
        )
    family.refused(
        "payload-only",
        "the payload is signed without the header",
        token("ES256", "es256", lambda _: ecdsa("es256")(PAYLOAD)),
        "signature_invalid",
    )
    family.refused(
        "decoded",
        "header and payload are signed before base64url",
        token("ES256", "es256", lambda _: ecdsa("es256")(b'{"alg":"ES256","kid":"es256"}.payload')),
        "signature_invalid",
    )


def edwards():
    source = "RFC 8032 section 5.1.7"
    family = Family("ed25519-malleability", source, "verify", ["ed25519"])
    good = token("EdDSA", "ed25519", ed("ed25519"))
    family.accepted("control", "s below L", good, PAYLOAD)
    with_s = lambda change: (
        lambda it: it[:32] + (change(int.from_bytes(it[32:], "little")) % 2**256).to_bytes(32, "little")
    )
    for name, title, change in [
        ("s-plus-l", "s + L", with_s(lambda s: s + L)),
        ("s-plus-2l", "s + 2 L", with_s(lambda s: s + 2 * L)),
        ("s-plus-8l", "s + 8 L", with_s(lambda s: s + 8 * L)),
        ("top-bit", "the top bit of s", with_s(lambda s: s | 1 << 255)),
        ("three-bits", "the three top bits of s", with_s(lambda s: s | 7 << 253)),
        ("s-is-l", "s = L", with_s(lambda s: L)),
        ("s-negative", "L - s", with_s(lambda s: L - s)),
        ("r-sign", "the sign of R", lambda it: it[:31] + bytes([it[31] ^ 0x80]) + it[32:]),
    ]:
        family.refused(name, title, token("EdDSA", "ed25519", ed("ed25519"), change), "signature_invalid")

    family = Family(
        "ed25519-low-order",
        ["RFC 8032 section 5.1.3", "Chalkias and others 2020, Taming the many EdDSAs"],
        "verify",
        ["ed25519"],
    )
    family.accepted("control", "a key and R of the right order", good, PAYLOAD)
    identity = b"\1" + bytes(31)
    for key in ["ed25519-identity", "ed25519-order-2", "ed25519-order-4", "ed25519-not-reduced"]:
        forged = token("EdDSA", key, lambda m: identity + bytes(32))
        family.refused(key, f"R the identity and s = 0 under the key {key}", forged, "policy", keys=[key])
    for name, title, r in [
        ("r-identity", "R the identity", identity),
        ("r-order-4", "R of order 4", bytes(32)),
        ("r-not-reduced", "R the identity, y not reduced", b"\xee" + b"\xff" * 30 + b"\x7f"),
        ("r-no-point", "R that is no point", b"\2" + bytes(31)),
    ]:
        family.refused(
            name,
            f"{title}, with the s of a good signature",
            token("EdDSA", "ed25519", ed("ed25519"), lambda it: r + it[32:]),
            "signature_invalid",
        )

    family = Family("ed25519-form", ["RFC 8037 section 3.1", source], "verify", ["ed25519"])
    family.accepted("control", "64 bytes", good, PAYLOAD)
    for name, title, change in [
        ("short", "63 bytes", lambda it: it[:63]),
        ("long", "65 bytes", lambda it: it + b"\0"),
        ("swapped", "s || R", lambda it: it[32:] + it[:32]),
        ("reversed", "all bytes reversed", lambda it: it[::-1]),
        ("zeros", "zeros", lambda it: bytes(64)),
        ("with-message", "signature and message, as NaCl has it", lambda it: it + PAYLOAD),
    ]:
        family.refused(name, title, token("EdDSA", "ed25519", ed("ed25519"), change), "signature_invalid")
    prehashed = lambda m: ed("ed25519")(b"SigEd25519 no Ed25519 collisions\1\0" + hashlib.sha512(m).digest())
    context = lambda m: ed("ed25519")(b"SigEd25519 no Ed25519 collisions\0\3foo" + m)
    family.refused(
        "prehashed", "over the SHA-512 of the message", token("EdDSA", "ed25519", prehashed), "signature_invalid"
    )
    family.refused("context", "with a context", token("EdDSA", "ed25519", context), "signature_invalid")


def all_cases():
    elliptic()
    edwards()
