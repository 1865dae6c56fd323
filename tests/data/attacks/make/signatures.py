"""Signatures that are not there, and keys used for what they are not."""

from cases import Family
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tokens import PAYLOAD, signed, token, unsigned

from jose import (
    digest_info,
    ecdsa,
    jwk,
    mac,
    pkcs1,
    pss,
    public,
    spki,
    text,
    unb64,
)


def none():
    family = Family("alg-none", ["RFC 8725 section 3.2", "RFC 7515 section 8", "CVE-2018-1000531"], "verify", ["es256"])
    family.accepted("control", "the same payload, signed", signed(), PAYLOAD)
    signature = unb64(signed().rsplit(".", 1)[1])
    for name, title, alg, last, code in [
        ("none", "alg none and no signature (RFC 7519 section 6.1)", "none", b"", "policy"),
        ("none-with-signature", "alg none with a signature that is not looked at", "none", signature, "policy"),
        ("capital-first", "alg None", "None", b"", "policy"),
        ("upper-case", "alg NONE", "NONE", b"", "policy"),
        ("mixed-case", "alg nOnE", "nOnE", b"", "policy"),
        ("blank-after", "alg none and a blank", "none ", b"", "policy"),
        ("empty", "alg is an empty text", "", b"", "malformed"),
    ]:
        family.refused(name, title, unsigned({"alg": alg, "kid": "es256"}, last), code)
    family.refused("absent", "no alg at all", unsigned({"kid": "es256"}), "malformed")

    family = Family("null-signature", "CVE-2020-28042", "verify", ["es256", "rsa-rs256", "ed25519"])
    family.accepted("control", "the signature is there", signed(), PAYLOAD)
    for alg, key in [("ES256", "es256"), ("RS256", "rsa-rs256"), ("EdDSA", "ed25519")]:
        stripped = unsigned({"alg": alg, "kid": key})
        family.refused(f"{key}-stripped", f"{alg} with nothing after the last dot", stripped, "signature_invalid")
        family.refused(f"{key}-no-part", f"{alg} without the part of the signature", stripped[:-1], "malformed")
    family.refused(
        "one-zero",
        "a signature of one zero byte",
        unsigned({"alg": "ES256", "kid": "es256"}, b"\0"),
        "signature_invalid",
    )
    family.refused(
        "es256-null",
        "a signature that says null",
        unsigned({"alg": "ES256", "kid": "es256"}, b"null"),
        "signature_invalid",
    )


def confusion():
    source = ["RFC 8725 section 2.1", "CVE-2015-9235", "CVE-2016-10555", "CVE-2022-23541", "CVE-2024-54150"]
    family = Family("hmac-with-rsa-public-key", source, "verify", ["rsa-any"])
    family.accepted("control", "RS256 by the private key", token("RS256", "rsa-any", pkcs1("rsa-any")), PAYLOAD)
    key = spki("rsa-any")
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, title, secret in [
        ("pem", "the PEM file as the secret", pem),
        ("pem-line-end", "a line end before the PEM file (CVE-2026-34950)", b"\n" + pem),
        ("pem-stripped", "the PEM file without its last line end", pem.rstrip()),
        ("der", "SubjectPublicKeyInfo", key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
        ("pkcs1-pem", "an RSAPublicKey in PEM", key.public_bytes(Encoding.PEM, PublicFormat.PKCS1)),
        ("jwk", "the JWK as text", text(public("rsa-any")).encode()),
        ("modulus", "the octets of the modulus", unb64(jwk("rsa-any")["n"])),
    ]:
        family.refused(name, f"HS256 with {title}", token("HS256", "rsa-any", mac(secret)), "policy")
    family.refused(
        "hs512", "HS512 with the PEM file as the secret", token("HS512", "rsa-any", mac(pem, "sha512")), "policy"
    )
    family.refused("no-kid", "HS256 with the PEM file, no kid", token("HS256", "rsa-any", mac(pem), kid=None), "policy")

    family = Family(
        "hmac-with-point", ["RFC 8725 section 2.1", "CVE-2022-29217", "CVE-2024-33663"], "verify", ["es256", "ed25519"]
    )
    family.accepted("control", "ES256 by the private key", signed(), PAYLOAD)
    key = spki("es256")
    okp = spki("ed25519")
    for name, title, kid, secret in [
        (
            "pem",
            "the PEM file as the secret",
            "es256",
            key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        ),
        ("der", "SubjectPublicKeyInfo", "es256", key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
        ("openssh", "the public key of OpenSSH", "es256", key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)),
        ("point", "the point, 65 bytes", "es256", key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)),
        ("x", "the coordinate x", "es256", unb64(jwk("es256")["x"])),
        ("jwk", "the JWK as text", "es256", text(public("es256")).encode()),
        ("ed25519-x", "the 32 bytes of an Ed25519 key", "ed25519", unb64(jwk("ed25519")["x"])),
        (
            "ed25519-openssh",
            "the Ed25519 key of OpenSSH",
            "ed25519",
            okp.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        ),
    ]:
        family.refused(name, f"HS256 with {title}", token("HS256", kid, mac(secret)), "policy")

    family = Family("hmac-with-weak-secret", "RFC 8725 section 3.5", "verify", ["es256"])
    family.accepted("control", "ES256 by the private key", signed(), PAYLOAD)
    for name, title, secret in [
        ("empty", "an empty secret", b""),
        ("zero", "a secret of 32 zeros", bytes(32)),
        ("kid", "the kid as the secret", b"es256"),
        ("secret", "the word secret", b"secret"),
    ]:
        family.refused(name, f"HS256 with {title}", token("HS256", "es256", mac(secret)), "policy")
    family.refused(
        "truncated", "an HMAC cut to 16 bytes", token("HS256", "es256", mac(b"secret"), lambda it: it[:16]), "policy"
    )
    family.refused("none", "HS256 and no HMAC", token("HS256", "es256", mac(b""), lambda it: b""), "policy")

    family = Family(
        "key-bound-to-alg", ["RFC 8725 section 3.1", "RFC 7517 section 4.4"], "verify", ["rsa-rs256", "es256", "es384"]
    )
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
    family.accepted("control", "ES256", signed(), PAYLOAD)
    for name, title, alg in [
        ("lower-case", "in lower case", "es256"),
        ("blank-after", "with a blank after it", "ES256 "),
        ("blank-before", "with a blank before it", " ES256"),
        ("nul", "with a NUL after it", "ES256\0"),
        ("cyrillic", "with a Cyrillic E", "\u0415S256"),
        ("full-width", "in full-width letters", "\uff25\uff33\uff12\uff15\uff16"),
        ("hyphen", "with a hyphen", "ES-256"),
        ("uri", "as the URI of XML signatures", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"),
    ]:
        family.refused(name, f"ES256 {title}", signed(alg=alg), "policy")

    family = Family("alg-unknown", "RFC 7515 section 5.2", "verify", ["es256"])
    family.accepted("control", "ES256", signed(), PAYLOAD)
    for name, title, alg in [
        ("es256k", "ES256K with a key of P-256", "ES256K"),
        ("rs1", "RS1: RSA with SHA-1", "RS1"),
        ("jwe", "an alg of JWE", "ECDH-ES"),
        ("dir", "dir", "dir"),
        ("enc", "an enc of JWE", "A256GCM"),
        ("invented", "a name that nobody registered", "XX256"),
        ("ed448", "Ed448", "Ed448"),
        ("long", "a name of 8 KiB", "ES256" * 1600),
    ]:
        family.refused(name, title, signed(alg=alg), "policy")


def all_cases():
    none()
    confusion()
