"""RSA signatures that must not verify."""

import hashlib

from cases import Family
from tokens import PAYLOAD, token

from jose import (
    digest_info,
    pkcs1,
    pss,
    rsa_numbers,
    rsa_private,
)


def rsa():
    any_key = ["rsa-any"]
    good = token("PS256", "rsa-any", pss("rsa-any"))
    family = Family("pss-salt-length", "RFC 7518 section 3.5", "verify", any_key)
    family.accepted("control", "a salt as long as the hash", good, PAYLOAD)
    for salt in [0, 20, 31, 33, 48, 64, "max"]:
        family.refused(
            f"salt-{salt}",
            f"PS256 with a salt of {salt} bytes",
            token("PS256", "rsa-any", pss("rsa-any", salt=salt)),
            "signature_invalid",
        )
    family.refused(
        "ps512-salt-32",
        "PS512 with a salt of 32 bytes",
        token("PS512", "rsa-any", pss("rsa-any", "sha512", 32)),
        "signature_invalid",
    )

    family = Family("pss-hashes", "RFC 7518 section 3.5", "verify", any_key)
    family.accepted("control", "SHA-256 in both places", good, PAYLOAD)
    for name, title, options in [
        ("mgf1-sha1", "MGF1 with SHA-1", {"mgf": "sha1"}),
        ("mgf1-sha512", "MGF1 with SHA-512", {"mgf": "sha512"}),
        ("sha1", "SHA-1 in both places", {"hash_name": "sha1", "salt": 20}),
        ("sha384", "SHA-384 in both places", {"hash_name": "sha384", "salt": 48}),
        ("sha512", "SHA-512 in both places", {"hash_name": "sha512", "salt": 64}),
        ("trailer", "the trailer 0xcc of ISO 9796-2", {"trailer": 0xCC}),
        ("no-trailer", "the trailer 0x00", {"trailer": 0}),
    ]:
        family.refused(
            name, f"PS256: {title}", token("PS256", "rsa-any", pss("rsa-any", **options)), "signature_invalid"
        )

    family = Family("rsa-padding-confusion", ["RFC 8017 section 8", "RFC 7518 section 3.3"], "verify", any_key)
    family.accepted("control", "RS256 with PKCS #1 v1.5", token("RS256", "rsa-any", pkcs1("rsa-any")), PAYLOAD)
    raw = lambda message: rsa_private("rsa-any", hashlib.sha256(message).digest().rjust(256, b"\0"))
    for name, title, alg, sign in [
        ("pkcs1-as-pss", "PKCS #1 v1.5 as PS256", "PS256", pkcs1("rsa-any")),
        ("pss-as-pkcs1", "PSS as RS256", "RS256", pss("rsa-any")),
        ("block-type-2", "the padding of encryption", "RS256", pkcs1("rsa-any", block_type=2)),
        ("block-type-0", "block type 0", "RS256", pkcs1("rsa-any", block_type=0)),
        ("no-padding", "the bare hash", "RS256", raw),
        (
            "no-digest-info",
            "the hash without DigestInfo",
            "RS256",
            pkcs1("rsa-any", lambda message: hashlib.sha256(message).digest()),
        ),
    ]:
        family.refused(name, title, token(alg, "rsa-any", sign), "signature_invalid")

    family = Family(
        "rsa-digest-info", ["RFC 8017 section 9.2", "Finney 2006, Bleichenbacher's rump session"], "verify", any_key
    )
    family.accepted("control", "DigestInfo as RFC 8017 has it", token("RS256", "rsa-any", pkcs1("rsa-any")), PAYLOAD)
    digest = lambda message: hashlib.sha256(message).digest()
    for name, title, info in [
        ("sha1", "SHA-1 under RS256", lambda m: digest_info("sha1", m)),
        ("sha512", "SHA-512 under RS256", lambda m: digest_info("sha512", m)),
        (
            "other-oid",
            "SHA-256 called SHA-512/256",
            lambda m: bytes.fromhex("3031300d060960864801650304020605000420") + digest(m),
        ),
        ("no-null", "parameters left out", lambda m: bytes.fromhex("302f300b0609608648016503040201 0420") + digest(m)),
        ("garbage-after", "octets after the hash", lambda m: digest_info("sha256", m) + bytes(8)),
        (
            "long-form",
            "lengths in the long form of BER",
            lambda m: bytes.fromhex("308132300d06096086480165030402010500048120") + digest(m),
        ),
        (
            "garbage-in-parameters",
            "octets in the parameters",
            lambda m: bytes.fromhex("3039301506096086480165030402010408 4141414141414141 0420") + digest(m),
        ),
        (
            "garbage-in-sequence",
            "octets at the end of the sequence",
            lambda m: bytes.fromhex("3033300d060960864801650304020105000420") + digest(m) + b"\x05\0",
        ),
    ]:
        family.refused(name, title, token("RS256", "rsa-any", pkcs1("rsa-any", info)), "signature_invalid")

    forgeries()

    family = Family("rsa-signature-range", "RFC 8017 section 8.2.2", "verify", any_key)
    family.accepted("control", "256 bytes, below the modulus", token("RS256", "rsa-any", pkcs1("rsa-any")), PAYLOAD)
    n = rsa_numbers("rsa-any")[0]
    as_bytes = lambda value: value.to_bytes(256, "big")
    for name, title, change in [
        ("zero-before", "a zero before it", lambda it: b"\0" + it),
        ("cut", "255 bytes", lambda it: it[:255]),
        ("zero-after", "a zero after it", lambda it: it + b"\0"),
        ("zero", "zero", lambda it: bytes(256)),
        ("one", "one", lambda it: as_bytes(1)),
        ("modulus", "the modulus", lambda it: as_bytes(n)),
        ("minus-one", "the modulus less one", lambda it: as_bytes(n - 1)),
        ("negated", "the modulus less the signature", lambda it: as_bytes(n - int.from_bytes(it, "big"))),
    ]:
        family.refused(
            name, f"RS256: {title}", token("RS256", "rsa-any", pkcs1("rsa-any"), change), "signature_invalid"
        )


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
    family.accepted(
        "control", "RS256 with an exponent of 3, by the private key", token("RS256", "rsa-e3", pkcs1("rsa-e3")), PAYLOAD
    )

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
        (
            "garbage-after-hash",
            "8 bytes of padding, then the hash, then whatever the cube gives",
            lambda m: head(8) + digest_info("sha256", m),
        ),
        ("one-byte-of-padding", "one byte of padding", lambda m: head(1) + digest_info("sha256", m)),
        ("no-padding", "no padding at all", lambda m: head(0) + digest_info("sha256", m)),
        (
            "long-sequence",
            "a sequence long enough to hold the rest (BERserk)",
            lambda m: head(8) + garbled + hashlib.sha256(m).digest(),
        ),
        ("no-digest-info", "the bare hash", lambda m: head(8) + hashlib.sha256(m).digest()),
        ("sha1", "SHA-1, whose front is shorter", lambda m: head(8) + digest_info("sha1", m)),
    ]:
        family.refused(name, title, token("RS256", "rsa-e3", forged(front)), "signature_invalid")
    family.refused(
        "cube-of-one", "the signature 1", token("RS256", "rsa-e3", lambda m: bytes(255) + b"\1"), "signature_invalid"
    )
    family.refused(
        "strict",
        "strict takes no partner with an exponent of 3, whatever the signature",
        token("RS256", "rsa-e3", pkcs1("rsa-e3")),
        "policy",
        policy="strict",
        source="FIPS 186-5 appendix A.1.1",
    )


def all_cases():
    rsa()
