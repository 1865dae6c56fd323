"""Encrypted keys under RSA that must not be opened."""

import hashlib

from cases import Family
from tokens import PLAINTEXT, flipped

from jose import (
    Jwe,
    drawn,
    oaep,
    oaep_encode,
    rsa_numbers,
    rsa_public,
)

REFUSED = "decryption_failed"


def rsa():
    length = 256
    secret = drawn("cek", 32)

    def padded(em):
        return rsa_public("rsa-oaep", int.from_bytes(em, "big"))

    def rsa_jwe(ek, alg="RSA-OAEP", key="rsa-oaep"):
        return str(Jwe(key, alg, cek=secret, ek=ek))

    good = str(Jwe("rsa-oaep", "RSA-OAEP"))
    v15 = lambda message, start=b"\0\2", end=b"\0": (
        start + bytes(byte or 1 for byte in drawn("padding", length - 3 - len(message))) + end + message
    )

    family = Family("rsa1-5", ["RFC 8725 section 3.2", "Bleichenbacher 1998"], "decrypt", ["rsa-oaep"])
    family.accepted("control", "RSA-OAEP", good, PLAINTEXT)
    for name, title, em in [
        ("conforming", "a conforming padding", v15(secret)),
        ("no-zero", "no zero after the padding", v15(secret, end=b"\1")),
        ("wrong-start", "a wrong first byte", v15(secret, start=b"\1\2")),
        ("wrong-type", "block type 1", v15(secret, start=b"\0\1")),
        ("short-cek", "a CEK of 16 bytes", v15(secret[:16])),
    ]:
        family.refused(name, f"RSA1_5: {title}", rsa_jwe(padded(em), "RSA1_5"), "policy")
    family.refused("lower-case", "RSA1_5 in lower case", rsa_jwe(padded(v15(secret)), "rsa1_5"), "policy")
    family.refused("strict", "RSA1_5 under strict", rsa_jwe(padded(v15(secret)), "RSA1_5"), "policy", policy="strict")

    family = Family(
        "bleichenbacher",
        ["RFC 7516 section 11.5", "Bleichenbacher 1998", "RFC 8017 section 7.2"],
        "decrypt",
        ["rsa-oaep"],
    )
    family.accepted("control", "RSA-OAEP", good, PLAINTEXT)
    for name, title, em in [
        ("conforming", "a conforming padding of v1.5", v15(secret)),
        ("no-zero", "no zero after it", v15(secret, end=b"\1")),
        ("wrong-start", "a wrong first byte", v15(secret, start=b"\1\2")),
        ("wrong-type", "block type 1", v15(secret, start=b"\0\1")),
        ("short-padding", "seven bytes of padding", b"\0\2" + b"\1" * 7 + b"\0" + secret.rjust(length - 10, b"\2")),
        ("empty", "an empty message", v15(b"")),
        ("bare", "the bare CEK", secret.rjust(length, b"\0")),
    ]:
        family.refused(name, f"RSA-OAEP whose key is in PKCS #1 v1.5: {title}", rsa_jwe(padded(em)), REFUSED, True)

    manger(good, secret, padded, rsa_jwe)

    family = Family("oaep-hashes", ["RFC 7518 section 4.3", "RFC 8017 section 7.1"], "decrypt", ["rsa-oaep-256"])
    family.accepted("control", "SHA-256 in both places", str(Jwe("rsa-oaep-256", "RSA-OAEP-256")), PLAINTEXT)
    for name, title, hashes in [
        ("sha1", "SHA-1 in both places", ("sha1", "sha1", b"")),
        ("mgf1-sha1", "MGF1 with SHA-1", ("sha256", "sha1", b"")),
        ("label-sha1", "MGF1 with SHA-256 and a label under SHA-1", ("sha1", "sha256", b"")),
        ("sha384", "SHA-384 in both places", ("sha384", "sha384", b"")),
        ("sha512", "SHA-512 in both places", ("sha512", "sha512", b"")),
        ("label", "a label that is not empty", ("sha256", "sha256", b"label")),
        ("label-alg", "the name of the alg as the label", ("sha256", "sha256", b"RSA-OAEP-256")),
    ]:
        ek = oaep("rsa-oaep-256", secret, *hashes)
        family.refused(name, f"RSA-OAEP-256: {title}", rsa_jwe(ek, "RSA-OAEP-256", "rsa-oaep-256"), REFUSED, True)
    family.refused(
        "sha256-as-sha1",
        "RSA-OAEP: SHA-256 in both places",
        rsa_jwe(oaep("rsa-oaep", secret, "sha256")),
        REFUSED,
        True,
        keys=["rsa-oaep"],
    )

    family = Family("rsa-ciphertext-range", "RFC 8017 section 7.1.2", "decrypt", ["rsa-oaep"])
    family.accepted("control", "256 bytes, below the modulus", good, PLAINTEXT)
    n = rsa_numbers("rsa-oaep")[0]
    ek = oaep("rsa-oaep", secret)
    for name, title, changed in [
        ("zero", "zero", bytes(256)),
        ("one", "one", bytes(255) + b"\1"),
        ("modulus", "the modulus", n.to_bytes(256, "big")),
        ("minus-one", "the modulus less one", (n - 1).to_bytes(256, "big")),
        ("ones", "all bits set", b"\xff" * 256),
        ("cut", "255 bytes", ek[:255]),
        ("zero-before", "a zero before it", b"\0" + ek),
        ("empty", "nothing", b""),
    ]:
        family.refused(name, f"the encrypted key is {title}", rsa_jwe(changed), REFUSED, True)

    family = Family("cek-length-rsa", ["RFC 7516 section 11.5", "RFC 7518 section 4.3"], "decrypt", ["rsa-oaep"])
    family.accepted("control", "32 bytes for A256GCM", good, PLAINTEXT)
    for size in [0, 1, 16, 24, 31, 33, 64, 214]:
        family.refused(
            f"bytes-{size}",
            f"a CEK of {size} bytes for A256GCM, the content sealed with what it would be cut or filled to",
            str(
                Jwe(
                    "rsa-oaep",
                    "RSA-OAEP",
                    cek=(drawn("cek", 214)[:size] + bytes(32))[:32],
                    ek=oaep("rsa-oaep", drawn("cek", 214)[:size]),
                )
            ),
            REFUSED,
            True,
        )


def manger(good, secret, padded, rsa_jwe):
    family = Family("manger", ["Manger 2001", "RFC 8017 section 7.1.2 note"], "decrypt", ["rsa-oaep"])
    family.accepted("control", "Y = 0, the label's hash, a separator", good, PLAINTEXT)
    head = hashlib.sha1(b"").digest()
    room = 256 - 2 * 20 - 2
    first = lambda value: bytes([value]) + oaep_encode(256, secret, "sha1")[1:]
    db = lambda data: oaep_encode(256, b"", "sha1", db=data)
    for name, title, em in [
        ("y-one", "Y = 1", first(1)),
        ("y-two", "Y = 2", first(2)),
        ("wrong-label-hash", "another hash of the label", db(flipped(head) + bytes(room - 33) + b"\1" + secret)),
        (
            "last-of-label-hash",
            "the last byte of the label's hash",
            db(flipped(head, 19) + bytes(room - 33) + b"\1" + secret),
        ),
        ("no-separator", "zeros to the end, no separator", db(head + bytes(room))),
        ("wrong-separator", "2 in place of the separator", db(head + bytes(room - 33) + b"\2" + secret)),
        ("padding-not-zero", "a padding that is not zero", db(head + b"\3" + bytes(room - 34) + b"\1" + secret)),
        (
            "all-wrong",
            "Y = 1 and another hash of the label",
            b"\1" + db(flipped(head) + bytes(room - 33) + b"\1" + secret)[1:],
        ),
    ]:
        family.refused(name, title, rsa_jwe(padded(em)), REFUSED, True)


def all_cases():
    rsa()
