"""What a JWE may name: algorithms, compression, keys."""

import zlib

from cases import Family
from tokens import ES, KW, PLAINTEXT, kw

from jose import (
    Jwe,
    b64,
    drawn,
    jwk,
    public,
)

REFUSED = "decryption_failed"


def policy():
    family = Family("enc-spelling", "RFC 7516 section 4.1.2", "decrypt", ["p256-kw"])
    family.accepted("control", "A256GCM", str(kw()), PLAINTEXT)
    for name, title, enc in [
        ("lower-case", "in lower case", "a256gcm"),
        ("blank", "with a blank after it", "A256GCM "),
        ("of-alg", "an alg", "A256KW"),
        ("none", "none", "none"),
        ("empty", "an empty text", ""),
        ("bare-cbc", "CBC without a tag", "A256CBC"),
        ("xc20p", "XC20P, which nobody registered", "XC20P"),
        ("cyrillic", "with a Cyrillic A", "\u0410256GCM"),
    ]:
        family.refused(name, f"enc {title}", str(kw(header={"enc": enc})), "policy")
    family.refused("absent", "no enc", str(kw(header={"enc": None})), "malformed")

    family = Family("jwe-alg-spelling", "RFC 7516 section 4.1.1", "decrypt", ["p256-kw"])
    family.accepted("control", KW, str(kw()), PLAINTEXT)
    for name, title, alg in [
        ("lower-case", "in lower case", "ecdh-es+a256kw"),
        ("blank", "with a blank after it", KW + " "),
        ("none", "none", "none"),
        ("nul", "with a NUL after it", KW + "\0"),
        ("percent", "percent-encoded", "ECDH-ES%2BA256KW"),
        ("space", "with a blank for the plus", "ECDH-ES A256KW"),
        ("unicode-plus", "with a full-width plus", "ECDH-ES\uff0bA256KW"),
        ("1pu", "ECDH-1PU+A256KW, which nobody registered", "ECDH-1PU+A256KW"),
    ]:
        family.refused(name, f"alg {title}", str(kw(header={"alg": alg})), "policy")

    family = Family(
        "jwe-key-bound-to-alg",
        ["RFC 8725 section 3.1", "RFC 7517 section 4.4"],
        "decrypt",
        ["rsa-oaep", "rsa-oaep-256", "p256-kw", "p256-es", "p256-kw128"],
    )
    family.accepted(
        "control", "RSA-OAEP-256 with the key of RSA-OAEP-256", str(Jwe("rsa-oaep-256", "RSA-OAEP-256")), PLAINTEXT
    )
    for name, key, alg in [
        ("oaep-with-oaep-256", "rsa-oaep-256", "RSA-OAEP"),
        ("oaep-256-with-oaep", "rsa-oaep", "RSA-OAEP-256"),
        ("oaep-512-with-oaep", "rsa-oaep", "RSA-OAEP-512"),
        ("direct-with-wrap", "p256-kw", ES),
        ("wrap-with-direct", "p256-es", KW),
        ("wrap-128-with-256", "p256-kw", "ECDH-ES+A128KW"),
        ("wrap-256-with-128", "p256-kw128", KW),
        ("wrap-192", "p256-kw", "ECDH-ES+A192KW"),
    ]:
        family.refused(name, f"{alg} with the key {key}", str(Jwe(key, alg)), "policy")

    family = Family(
        "strict-refuses",
        ["RFC 8725 section 3.2", "requirements of the profile strict"],
        "decrypt",
        ["p256-kw", "rsa-oaep", "p256-kw128"],
        policy="strict",
    )
    family.accepted("control", "A256GCM under strict", str(kw()), PLAINTEXT)
    for enc in ["A192GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"]:
        family.refused(enc.lower(), f"{enc} under strict", str(kw(enc=enc)), "policy")
    family.refused("rsa-oaep", "RSA-OAEP with SHA-1 under strict", str(Jwe("rsa-oaep", "RSA-OAEP")), "policy")
    family.refused("a128kw", "ECDH-ES+A128KW under strict", str(Jwe("p256-kw128", "ECDH-ES+A128KW")), "policy")

    source = ["RFC 8725 section 3.6", "CVE-2024-28176", "CVE-2024-28180", "CVE-2024-29371"]
    family = Family("compressed", source, "decrypt", ["p256-kw", "p256-es"])
    family.accepted("control", "the same content, not compressed", str(kw(plaintext=b"x" * 100)), b"x" * 100)
    deflate = lambda data: (lambda it: it.compress(data) + it.flush())(zlib.compressobj(9, zlib.DEFLATED, -15))
    for name, title, zip_, plaintext in [
        ("deflate", "DEF, compressed well", "DEF", deflate(b"x" * 100)),
        ("bomb", "DEF, 16 MiB of zeros in 16 KiB", "DEF", deflate(bytes(1 << 24))),
        ("nested-bomb", "DEF of DEF of 64 MiB", "DEF", deflate(deflate(bytes(1 << 26)))),
        ("empty", "an empty zip", "", b"x"),
        ("gzip", "zip GZIP", "GZIP", zlib.compress(b"x")),
        ("lower-case", "def", "def", deflate(b"x")),
        ("truncated", "DEF, cut", "DEF", deflate(b"x" * 100)[:-2]),
    ]:
        family.refused(name, title, str(kw(plaintext=plaintext, header={"zip": zip_})), "policy")
    family.refused("number", "a number for zip", str(kw(header={"zip": 1})), "malformed")

    source = ["RFC 7518 section 4.8.1.2", "Tervoort 2023, Three New Attacks Against JSON Web Tokens", "CVE-2023-51775"]
    family = Family("pbes2", source, "decrypt", ["p256-kw"])
    family.accepted("control", KW, str(kw()), PLAINTEXT)
    for name, title, p2c in [
        ("huge", "a count of 2^31 - 1", 2**31 - 1),
        ("over-64-bits", "a count of 2^64", 2**64),
        ("one", "a count of 1", 1),
        ("zero", "a count of 0", 0),
        ("negative", "a count below 0", -1),
        ("text", "the count as text", "4096"),
        ("fraction", "a count of 1.5", 1.5),
    ]:
        header = {"alg": "PBES2-HS256+A128KW", "p2s": b64(drawn("p2s", 8)), "p2c": p2c}
        family.refused(name, title, str(kw(header=header)), "policy")
    family.refused(
        "no-count", "no count", str(kw(header={"alg": "PBES2-HS512+A256KW", "p2s": "AAAAAAAAAAA"})), "policy"
    )

    keys = ["es256", "p256-kw"]
    family = Family("key-of-another-purpose", "RFC 8725 section 3.1", "decrypt", keys)
    family.accepted("control", "to the key for decryption", str(kw()), PLAINTEXT)
    for name, alg in [("kw", KW), ("direct", ES), ("a128kw", "ECDH-ES+A128KW")]:
        family.refused(name, f"{alg} to the key that signs", str(Jwe("es256", alg)), "policy")
    family.refused(
        "its-kid",
        "to the key for decryption, with the kid of the one that signs",
        str(kw(header={"kid": "es256"})),
        "policy",
    )

    family = Family("other-recipient", "RFC 7516 section 4.1.6", "decrypt", ["p256-kw", "p256-es"])
    family.accepted("control", "to us", str(kw()), PLAINTEXT)
    stranger = lambda **given: Jwe("stranger-kw", KW, **given)
    family.refused("stranger", "to a key that we do not hold", str(stranger()), "key_not_found")
    family.refused(
        "as-ours", "to a key that we do not hold, with our kid", str(stranger(header={"kid": "p256-kw"})), REFUSED, True
    )
    family.refused("no-kid", "to a key that we do not hold, with no kid", str(stranger(kid=False)), REFUSED, True)
    family.refused(
        "other-of-ours", "to one of our keys with the kid of another", str(kw(header={"kid": "p256-es"})), "policy"
    )
    family.refused("empty-kid", "an empty kid", str(kw(header={"kid": ""})), "key_not_found")
    family.refused("upper-case", "our kid in upper case", str(kw(header={"kid": "P256-KW"})), "key_not_found")

    family = Family(
        "jwe-header-borne-key",
        ["RFC 8725 section 3.10", "RFC 7516 sections 4.1.4 to 4.1.8"],
        "decrypt",
        ["p256-kw"],
        policy="strict",
    )
    family.accepted("control", "no key in the header", str(kw()), PLAINTEXT)
    for name, title, header in [
        ("jwk", "our own public key as jwk", {"jwk": public("p256-kw")}),
        ("private-jwk", "a private key as jwk", {"jwk": jwk("stranger-kw")}),
        ("jku", "a jku", {"jku": "https://attacker.example/keys"}),
        ("x5u", "an x5u", {"x5u": "file:///etc/passwd"}),
        ("x5c", "an x5c", {"x5c": ["AAAA"]}),
    ]:
        family.refused(name, title, str(kw(header=header)), "policy")


def all_cases():
    policy()
