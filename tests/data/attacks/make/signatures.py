"""Signatures that must not verify."""

import hashlib
import json

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cases import Family
from jose import (
    CURVES, ES, L, P256, P521, b64, der_signature, digest_info, drawn, ecdsa, ecdsa_numbers, ed,
    jwk, jws, mac, pkcs1, pss, public, rsa_numbers, rsa_private, signing_input, spki, text, unb64,
)

PAYLOAD = b"payload"


def token(alg, key, sign, change=lambda signature: signature, /, **members):
    header = {"alg": alg, "kid": jwk(key)["kid"]} | members
    return jws({name: value for name, value in header.items() if value is not None}, PAYLOAD, sign, change)


def es256(change=lambda signature: signature, /, **members):
    return token("ES256", "es256", ecdsa("es256"), change, **members)


def unsigned(header, signature=b""):
    return f"{signing_input(header, PAYLOAD)}.{b64(signature)}"


def none():
    family = Family("alg-none", ["RFC 8725 section 3.2", "CVE-2015-9235"], "verify", ["es256"])
    family.accepted("control", "the same payload, signed", es256(), PAYLOAD)
    signature = unb64(es256().rsplit(".", 1)[1])
    for name, title, alg, last in [
        ("none", "alg none and no signature (RFC 7519 section 6.1)", "none", b""),
        ("none-with-signature", "alg none with a signature that is not looked at", "none", signature),
        ("capital-first", "alg None", "None", b""),
        ("upper-case", "alg NONE", "NONE", b""),
        ("mixed-case", "alg nOnE", "nOnE", b""),
        ("blank-after", "alg none and a blank", "none ", b""),
        ("empty", "alg is an empty text", "", b""),
    ]:
        family.refused(name, title, unsigned({"alg": alg, "kid": "es256"}, last), "policy malformed")
    family.refused("absent", "no alg at all", unsigned({"kid": "es256"}), "malformed")

    family = Family("null-signature", "CVE-2020-28042", "verify", ["es256", "rsa-rs256", "ed25519"])
    family.accepted("control", "the signature is there", es256(), PAYLOAD)
    for alg, key in [("ES256", "es256"), ("RS256", "rsa-rs256"), ("EdDSA", "ed25519")]:
        stripped = unsigned({"alg": alg, "kid": key})
        family.refused(f"{key}-stripped", f"{alg} with nothing after the last dot", stripped, "signature_invalid")
        family.refused(f"{key}-no-part", f"{alg} without the part of the signature", stripped[:-1], "malformed")
    family.refused("one-zero", "a signature of one zero byte", unsigned({"alg": "ES256", "kid": "es256"}, b"\0"),
                   "signature_invalid")
    family.refused("es256-null", "a signature that says null",
                   unsigned({"alg": "ES256", "kid": "es256"}, b"null"), "signature_invalid")


def confusion():
    source = ["RFC 8725 section 2.1", "CVE-2016-10555"]
    family = Family("hmac-with-rsa-public-key", source, "verify", ["rsa-any"])
    family.accepted("control", "RS256 by the private key", token("RS256", "rsa-any", pkcs1("rsa-any")), PAYLOAD)
    key = spki("rsa-any")
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    codes = "policy key_not_found"
    for name, title, secret in [
        ("pem", "the PEM file as the secret", pem),
        ("pem-stripped", "the PEM file without its last line end", pem.rstrip()),
        ("der", "SubjectPublicKeyInfo", key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
        ("pkcs1-pem", "an RSAPublicKey in PEM", key.public_bytes(Encoding.PEM, PublicFormat.PKCS1)),
        ("jwk", "the JWK as text", text(public("rsa-any")).encode()),
        ("modulus", "the octets of the modulus", unb64(jwk("rsa-any")["n"])),
    ]:
        family.refused(name, f"HS256 with {title}", token("HS256", "rsa-any", mac(secret)), codes)
    family.refused("hs512", "HS512 with the PEM file as the secret", token("HS512", "rsa-any", mac(pem, "sha512")), codes)
    family.refused("no-kid", "HS256 with the PEM file, no kid", token("HS256", "rsa-any", mac(pem), kid=None), codes)

    family = Family("hmac-with-point", ["RFC 8725 section 2.1", "CVE-2022-29217", "CVE-2024-33663"], "verify",
                    ["es256", "ed25519"])
    family.accepted("control", "ES256 by the private key", es256(), PAYLOAD)
    key = spki("es256")
    okp = spki("ed25519")
    for name, title, kid, secret in [
        ("pem", "the PEM file as the secret", "es256", key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
        ("der", "SubjectPublicKeyInfo", "es256", key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
        ("openssh", "the public key of OpenSSH", "es256", key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)),
        ("point", "the point, 65 bytes", "es256", key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)),
        ("x", "the coordinate x", "es256", unb64(jwk("es256")["x"])),
        ("jwk", "the JWK as text", "es256", text(public("es256")).encode()),
        ("ed25519-x", "the 32 bytes of an Ed25519 key", "ed25519", unb64(jwk("ed25519")["x"])),
        ("ed25519-openssh", "the Ed25519 key of OpenSSH", "ed25519", okp.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)),
    ]:
        family.refused(name, f"HS256 with {title}", token("HS256", kid, mac(secret)), codes)

    family = Family("hmac-with-weak-secret", "RFC 8725 section 3.5", "verify", ["es256"])
    family.accepted("control", "ES256 by the private key", es256(), PAYLOAD)
    for name, title, secret in [("empty", "an empty secret", b""), ("zero", "a secret of 32 zeros", bytes(32)),
                                ("kid", "the kid as the secret", b"es256"), ("secret", "the word secret", b"secret")]:
        family.refused(name, f"HS256 with {title}", token("HS256", "es256", mac(secret)), codes)
    family.refused("truncated", "an HMAC cut to 16 bytes", token("HS256", "es256", mac(b"secret"), lambda it: it[:16]), codes)
    family.refused("none", "HS256 and no HMAC", token("HS256", "es256", mac(b""), lambda it: b""), codes)

    family = Family("key-bound-to-alg", ["RFC 8725 section 3.1", "RFC 7517 section 4.4"], "verify",
                    ["rsa-rs256", "es256", "es384"])
    family.accepted("control", "RS256 with the key of RS256", token("RS256", "rsa-rs256", pkcs1("rsa-rs256")), PAYLOAD)
    sha512 = pkcs1("rsa-rs256", lambda message: digest_info("sha512", message))
    for name, title, alg, key, sign in [
        ("ps256", "PS256 with a key of RS256", "PS256", "rsa-rs256", pss("rsa-rs256")),
        ("rs512", "RS512 with a key of RS256", "RS512", "rsa-rs256", sha512),
        ("ps512", "PS512 with a key of RS256", "PS512", "rsa-rs256", pss("rsa-rs256", "sha512", 64)),
        ("es384", "ES384 with a key of P-256", "ES384", "es256", ecdsa("es256", hash_name="sha384")),
        ("es256", "ES256 with a key of P-384", "ES256", "es384", ecdsa("es384", hash_name="sha256")),
        ("eddsa", "EdDSA with a key of P-256", "EdDSA", "es256", ecdsa("es256")),
        ("rsa-as-ec", "ES256 with a key of RS256", "ES256", "rsa-rs256", pkcs1("rsa-rs256")),
        ("ec-as-rsa", "RS256 with a key of P-256", "RS256", "es256", ecdsa("es256")),
    ]:
        family.refused(name, title, token(alg, key, sign), "policy")

    family = Family("alg-spelling", "RFC 7515 section 4.1.1", "verify", ["es256"])
    family.accepted("control", "ES256", es256(), PAYLOAD)
    for name, title, alg in [
        ("lower-case", "in lower case", "es256"), ("blank-after", "with a blank after it", "ES256 "),
        ("blank-before", "with a blank before it", " ES256"), ("nul", "with a NUL after it", "ES256\0"),
        ("cyrillic", "with a Cyrillic E", "\u0415S256"), ("full-width", "in full-width letters", "\uff25\uff33\uff12\uff15\uff16"),
        ("hyphen", "with a hyphen", "ES-256"), ("uri", "as the URI of XML signatures",
                                                "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"),
    ]:
        family.refused(name, f"ES256 {title}", es256(alg=alg), "policy malformed")

    family = Family("alg-unknown", "RFC 7515 section 5.2", "verify", ["es256"])
    family.accepted("control", "ES256", es256(), PAYLOAD)
    for name, title, alg in [
        ("es256k", "ES256K with a key of P-256", "ES256K"), ("rs1", "RS1: RSA with SHA-1", "RS1"),
        ("jwe", "an alg of JWE", "ECDH-ES"), ("dir", "dir", "dir"), ("enc", "an enc of JWE", "A256GCM"),
        ("invented", "a name that nobody registered", "XX256"), ("ed448", "Ed448", "Ed448"),
        ("long", "a name of 8 KiB", "ES256" * 1600),
    ]:
        family.refused(name, title, es256(alg=alg), "policy malformed")


def elliptic():
    family = Family("psychic-signature", "CVE-2022-21449", "verify", ["es256", "es384", "es512"])
    family.accepted("control", "ES256 by the private key", es256(), PAYLOAD)
    zero, order = bytes(32), P256.octets(P256.n)
    for name, title, change in [
        ("zeros", "r = 0, s = 0", lambda it: bytes(64)),
        ("r-zero", "r = 0", lambda it: zero + it[32:]), ("s-zero", "s = 0", lambda it: it[:32] + zero),
        ("orders", "r = n, s = n", lambda it: order + order),
        ("r-order", "r = n", lambda it: order + it[32:]), ("s-order", "s = n", lambda it: it[:32] + order),
    ]:
        family.refused(name, title, es256(change), "signature_invalid")
    for alg, key in [("ES384", "es384"), ("ES512", "es512")]:
        zeros = token(alg, key, ecdsa(key), lambda it: bytes(len(it)))
        family.refused(f"{key}-zeros", f"r = 0, s = 0 on {jwk(key)['crv']}", zeros, "signature_invalid")

    family = Family("ecdsa-out-of-range", ["RFC 7518 section 3.4", "FIPS 186-5 section 6.4.2"], "verify",
                    ["es256", "es512"])
    c, r, s = ecdsa_numbers("es512", signing_input({"alg": "ES512", "kid": "es512"}, PAYLOAD).encode())
    family.accepted("control", "ES512 by the private key", token("ES512", "es512", ecdsa("es512")), PAYLOAD)
    family.accepted("high-s", "s over n / 2: another signature that JOSE takes too (RFC 7518 names no low s)",
                    token("ES512", "es512", ecdsa("es512"), lambda it: c.octets(r) + c.octets(max(s, c.n - s))), PAYLOAD)

    def with_numbers(r, s):
        return token("ES512", "es512", ecdsa("es512"), lambda it: c.octets(r) + c.octets(s))

    family.refused("r-plus-n", "r + n, which fits 66 bytes", with_numbers(r + c.n, s), "signature_invalid")
    family.refused("s-plus-n", "s + n, which fits 66 bytes", with_numbers(r, s + c.n), "signature_invalid")
    family.refused("both-plus-n", "r + n and s + n", with_numbers(r + c.n, s + c.n), "signature_invalid")
    family.refused("largest", "all bits set", with_numbers(2**528 - 1, 2**528 - 1), "signature_invalid")
    family.refused("s-negated-wrong", "-s mod p and not mod n", with_numbers(r, c.p - s), "signature_invalid")
    family.refused("r-one", "r = 1, s = 1", with_numbers(1, 1), "signature_invalid")
    family.refused("p256-n-plus-one", "r = s = n + 1 on P-256",
                   es256(lambda it: 2 * P256.octets(P256.n + 1)), "signature_invalid")

    family = Family("ecdsa-der", "RFC 7518 section 3.4", "verify", ["es256", "es384", "es512"])
    family.accepted("control", "r || s", es256(), PAYLOAD)
    for alg, key in [("ES256", "es256"), ("ES384", "es384"), ("ES512", "es512")]:
        family.refused(key, f"{alg} as a DER sequence", token(alg, key, ecdsa(key), der_signature), "signature_invalid")
    family.refused("padded", "DER, and zeros up to 72 bytes",
                   es256(lambda it: der_signature(it).ljust(72, b"\0")), "signature_invalid")
    family.refused("cut", "DER, cut to 64 bytes", es256(lambda it: der_signature(it)[:64]), "signature_invalid")
    family.refused("pem", "DER in PEM", es256(lambda it: b"-----BEGIN-----\n" + der_signature(it)), "signature_invalid")

    family = Family("ecdsa-length", "RFC 7518 section 3.4", "verify", ["es256", "es512"])
    family.accepted("control", "64 bytes", es256(), PAYLOAD)
    for name, title, change in [
        ("short", "63 bytes", lambda it: it[:63]), ("long", "65 bytes", lambda it: it + b"\0"),
        ("zero-before", "a zero before each half", lambda it: b"\0" + it[:32] + b"\0" + it[32:]),
        ("as-p384", "each half in 48 bytes", lambda it: bytes(16) + it[:32] + bytes(16) + it[32:]),
        ("swapped", "s || r", lambda it: it[32:] + it[:32]), ("half", "r alone", lambda it: it[:32]),
        ("twice", "the signature twice", lambda it: it + it),
    ]:
        family.refused(name, f"ES256: {title}", es256(change), "signature_invalid")
    family.refused("es512-128", "ES512 in 128 bytes: 521 bits are not 512",
                   token("ES512", "es512", ecdsa("es512"), lambda it: it[2:66] + it[68:]), "signature_invalid")

    family = Family("ecdsa-wrong-hash", "RFC 7518 section 3.4", "verify", ["es256"])
    family.accepted("control", "SHA-256", es256(), PAYLOAD)
    for name in ["sha1", "sha384", "sha512", "sha3_256"]:
        family.refused(name, f"ES256 over {name.upper()}", token("ES256", "es256", ecdsa("es256", hash_name=name)),
                       "signature_invalid")
    family.refused("payload-only", "the payload is signed without the header",
                   token("ES256", "es256", lambda _: ecdsa("es256")(PAYLOAD)), "signature_invalid")
    family.refused("decoded", "header and payload are signed before base64url",
                   token("ES256", "es256", lambda _: ecdsa("es256")(b'{"alg":"ES256","kid":"es256"}.payload')),
                   "signature_invalid")


def rsa():
    any_key = ["rsa-any"]
    good = token("PS256", "rsa-any", pss("rsa-any"))
    family = Family("pss-salt-length", "RFC 7518 section 3.5", "verify", any_key)
    family.accepted("control", "a salt as long as the hash", good, PAYLOAD)
    for salt in [0, 20, 31, 33, 48, 64, "max"]:
        family.refused(f"salt-{salt}", f"PS256 with a salt of {salt} bytes",
                       token("PS256", "rsa-any", pss("rsa-any", salt=salt)), "signature_invalid")
    family.refused("ps512-salt-32", "PS512 with a salt of 32 bytes",
                   token("PS512", "rsa-any", pss("rsa-any", "sha512", 32)), "signature_invalid")

    family = Family("pss-hashes", "RFC 7518 section 3.5", "verify", any_key)
    family.accepted("control", "SHA-256 in both places", good, PAYLOAD)
    for name, title, options in [
        ("mgf1-sha1", "MGF1 with SHA-1", {"mgf": "sha1"}), ("mgf1-sha512", "MGF1 with SHA-512", {"mgf": "sha512"}),
        ("sha1", "SHA-1 in both places", {"hash_name": "sha1", "salt": 20}),
        ("sha384", "SHA-384 in both places", {"hash_name": "sha384", "salt": 48}),
        ("sha512", "SHA-512 in both places", {"hash_name": "sha512", "salt": 64}),
        ("trailer", "the trailer 0xcc of ISO 9796-2", {"trailer": 0xCC}),
        ("no-trailer", "the trailer 0x00", {"trailer": 0}),
    ]:
        family.refused(name, f"PS256: {title}", token("PS256", "rsa-any", pss("rsa-any", **options)), "signature_invalid")

    family = Family("rsa-padding-confusion", ["RFC 8017 section 8", "RFC 7518 section 3.3"], "verify", any_key)
    family.accepted("control", "RS256 with PKCS #1 v1.5", token("RS256", "rsa-any", pkcs1("rsa-any")), PAYLOAD)
    raw = lambda message: rsa_private("rsa-any", hashlib.sha256(message).digest().rjust(256, b"\0"))
    for name, title, alg, sign in [
        ("pkcs1-as-pss", "PKCS #1 v1.5 as PS256", "PS256", pkcs1("rsa-any")),
        ("pss-as-pkcs1", "PSS as RS256", "RS256", pss("rsa-any")),
        ("block-type-2", "the padding of encryption", "RS256", pkcs1("rsa-any", block_type=2)),
        ("block-type-0", "block type 0", "RS256", pkcs1("rsa-any", block_type=0)),
        ("no-padding", "the bare hash", "RS256", raw),
        ("no-digest-info", "the hash without DigestInfo", "RS256",
         pkcs1("rsa-any", lambda message: hashlib.sha256(message).digest())),
    ]:
        family.refused(name, title, token(alg, "rsa-any", sign), "signature_invalid")

    family = Family("rsa-digest-info", ["RFC 8017 section 9.2", "Finney 2006, Bleichenbacher's rump session"],
                    "verify", any_key)
    family.accepted("control", "DigestInfo as RFC 8017 has it", token("RS256", "rsa-any", pkcs1("rsa-any")), PAYLOAD)
    digest = lambda message: hashlib.sha256(message).digest()
    for name, title, info in [
        ("sha1", "SHA-1 under RS256", lambda m: digest_info("sha1", m)),
        ("sha512", "SHA-512 under RS256", lambda m: digest_info("sha512", m)),
        ("other-oid", "SHA-256 called SHA-512/256",
         lambda m: bytes.fromhex("3031300d060960864801650304020605000420") + digest(m)),
        ("no-null", "parameters left out", lambda m: bytes.fromhex("302f300b0609608648016503040201 0420") + digest(m)),
        ("garbage-after", "octets after the hash", lambda m: digest_info("sha256", m) + bytes(8)),
        ("long-form", "lengths in the long form of BER",
         lambda m: bytes.fromhex("308132300d06096086480165030402010500048120") + digest(m)),
        ("garbage-in-parameters", "octets in the parameters",
         lambda m: bytes.fromhex("3039301506096086480165030402010408 4141414141414141 0420") + digest(m)),
        ("garbage-in-sequence", "octets at the end of the sequence",
         lambda m: bytes.fromhex("3033300d060960864801650304020105000420") + digest(m) + b"\x05\0"),
    ]:
        family.refused(name, title, token("RS256", "rsa-any", pkcs1("rsa-any", info)), "signature_invalid")

    forgeries()

    family = Family("rsa-signature-range", "RFC 8017 section 8.2.2", "verify", any_key)
    family.accepted("control", "256 bytes, below the modulus", token("RS256", "rsa-any", pkcs1("rsa-any")), PAYLOAD)
    n = rsa_numbers("rsa-any")[0]
    as_bytes = lambda value: value.to_bytes(256, "big")
    for name, title, change in [
        ("zero-before", "a zero before it", lambda it: b"\0" + it), ("cut", "255 bytes", lambda it: it[:255]),
        ("zero-after", "a zero after it", lambda it: it + b"\0"), ("zero", "zero", lambda it: bytes(256)),
        ("one", "one", lambda it: as_bytes(1)), ("modulus", "the modulus", lambda it: as_bytes(n)),
        ("minus-one", "the modulus less one", lambda it: as_bytes(n - 1)),
        ("negated", "the modulus less the signature", lambda it: as_bytes(n - int.from_bytes(it, "big"))),
    ]:
        family.refused(name, f"RS256: {title}", token("RS256", "rsa-any", pkcs1("rsa-any"), change), "signature_invalid")


def cube_root(value):
    """The smallest number whose cube is not below `value`."""
    low, high = 0, 1 << (value.bit_length() // 3 + 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**3 < value else (low, middle)
    return low


def forgeries():
    """Cube roots of a front that looks right: no private key is used."""
    source = ["Finney 2006, Bleichenbacher's rump session", "CVE-2006-4339"]
    family = Family("rsa-e3-forgery", source, "verify", ["rsa-e3"])
    family.accepted("control", "RS256 with an exponent of 3, by the private key",
                    token("RS256", "rsa-e3", pkcs1("rsa-e3")), PAYLOAD)

    def forged(front):
        def sign(message):
            data = front(message)
            start = int.from_bytes(data.ljust(256, b"\0"), "big")
            root = cube_root(start)
            assert (root**3).to_bytes(256, "big").startswith(data[:-1]), "the front does not fit"
            return root.to_bytes(256, "big")

        return sign

    head = lambda count: b"\0\1" + b"\xff" * count + b"\0"
    garbled = bytes.fromhex("30820100 300d 0609608648016503040201 0500 0420")
    for name, title, front in [
        ("garbage-after-hash", "8 bytes of padding, then the hash, then whatever the cube gives",
         lambda m: head(8) + digest_info("sha256", m)),
        ("one-byte-of-padding", "one byte of padding", lambda m: head(1) + digest_info("sha256", m)),
        ("no-padding", "no padding at all", lambda m: head(0) + digest_info("sha256", m)),
        ("long-sequence", "a sequence long enough to hold the rest (BERserk)", lambda m: head(8) + garbled + hashlib.sha256(m).digest()),
        ("no-digest-info", "the bare hash", lambda m: head(8) + hashlib.sha256(m).digest()),
        ("sha1", "SHA-1, whose front is shorter", lambda m: head(8) + digest_info("sha1", m)),
    ]:
        family.refused(name, title, token("RS256", "rsa-e3", forged(front)), "signature_invalid")
    family.refused("cube-of-one", "the signature 1", token("RS256", "rsa-e3", lambda m: bytes(255) + b"\1"), "signature_invalid")
    family.refused("strict", "strict takes no partner with an exponent of 3, whatever the signature",
                   token("RS256", "rsa-e3", pkcs1("rsa-e3")), "policy", policy="strict", source="FIPS 186-5 appendix A.1.1")


def edwards():
    source = "RFC 8032 section 5.1.7"
    family = Family("ed25519-malleability", source, "verify", ["ed25519"])
    good = token("EdDSA", "ed25519", ed("ed25519"))
    family.accepted("control", "s below L", good, PAYLOAD)
    with_s = lambda change: lambda it: it[:32] + (change(int.from_bytes(it[32:], "little")) % 2**256).to_bytes(32, "little")
    for name, title, change in [
        ("s-plus-l", "s + L", with_s(lambda s: s + L)), ("s-plus-2l", "s + 2 L", with_s(lambda s: s + 2 * L)),
        ("s-plus-8l", "s + 8 L", with_s(lambda s: s + 8 * L)), ("top-bit", "the top bit of s", with_s(lambda s: s | 1 << 255)),
        ("three-bits", "the three top bits of s", with_s(lambda s: s | 7 << 253)),
        ("s-is-l", "s = L", with_s(lambda s: L)), ("s-negative", "L - s", with_s(lambda s: L - s)),
        ("r-sign", "the sign of R", lambda it: it[:31] + bytes([it[31] ^ 0x80]) + it[32:]),
    ]:
        family.refused(name, title, token("EdDSA", "ed25519", ed("ed25519"), change), "signature_invalid")

    family = Family("ed25519-low-order", ["RFC 8032 section 5.1.3", "Chalkias and others 2020, Taming the many EdDSAs"],
                    "verify", ["ed25519"])
    family.accepted("control", "a key and R of the right order", good, PAYLOAD)
    identity = b"\1" + bytes(31)
    for key in ["ed25519-identity", "ed25519-order-2", "ed25519-order-4", "ed25519-not-reduced"]:
        forged = token("EdDSA", key, lambda m: identity + bytes(32))
        family.refused(key, f"R the identity and s = 0 under the key {key}", forged, "policy signature_invalid", keys=[key])
    for name, title, r in [
        ("r-identity", "R the identity", identity), ("r-order-4", "R of order 4", bytes(32)),
        ("r-not-reduced", "R the identity, y not reduced", b"\xee" + b"\xff" * 30 + b"\x7f"),
        ("r-no-point", "R that is no point", b"\2" + bytes(31)),
    ]:
        family.refused(name, f"{title}, with the s of a good signature",
                       token("EdDSA", "ed25519", ed("ed25519"), lambda it: r + it[32:]), "signature_invalid")

    family = Family("ed25519-form", ["RFC 8037 section 3.1", source], "verify", ["ed25519"])
    family.accepted("control", "64 bytes", good, PAYLOAD)
    for name, title, change in [
        ("short", "63 bytes", lambda it: it[:63]), ("long", "65 bytes", lambda it: it + b"\0"),
        ("swapped", "s || R", lambda it: it[32:] + it[:32]), ("reversed", "all bytes reversed", lambda it: it[::-1]),
        ("zeros", "zeros", lambda it: bytes(64)), ("with-message", "signature and message, as NaCl has it", lambda it: it + PAYLOAD),
    ]:
        family.refused(name, title, token("EdDSA", "ed25519", ed("ed25519"), change), "signature_invalid")
    prehashed = lambda m: ed("ed25519")(b"SigEd25519 no Ed25519 collisions\1\0" + hashlib.sha512(m).digest())
    context = lambda m: ed("ed25519")(b"SigEd25519 no Ed25519 collisions\0\3foo" + m)
    family.refused("prehashed", "over the SHA-512 of the message", token("EdDSA", "ed25519", prehashed), "signature_invalid")
    family.refused("context", "with a context", token("EdDSA", "ed25519", context), "signature_invalid")


def all_cases():
    none()
    confusion()
    elliptic()
    rsa()
    edwards()
