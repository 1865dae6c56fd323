"""Encrypted tokens that must not decrypt."""

import hashlib
import json
import zlib

from cryptography.hazmat.primitives import keywrap

from cases import Family
from jose import (
    P256, P384, P521, Jwe, b64, cbc, drawn, ecdsa, gcm, jwk, jws, mgf1, number, oaep, oaep_encode,
    public, rsa_numbers, rsa_public, unb64, xor,
)

PLAINTEXT = b"content"
KW, ES = "ECDH-ES+A256KW", "ECDH-ES"
REFUSED = "decryption_failed"


def kw(**given):
    return Jwe("p256-kw", KW, **given)


def es(**given):
    return Jwe("p256-es", ES, **given)


def flipped(data, index=0):
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1:]


def rsa():
    length = 256
    secret = drawn("cek", 32)

    def padded(em):
        return rsa_public("rsa-oaep", int.from_bytes(em, "big"))

    def rsa_jwe(ek, alg="RSA-OAEP", key="rsa-oaep"):
        return str(Jwe(key, alg, cek=secret, ek=ek))

    good = str(Jwe("rsa-oaep", "RSA-OAEP"))
    v15 = lambda message, start=b"\0\2", end=b"\0": (
        start + bytes(byte or 1 for byte in drawn("padding", length - 3 - len(message))) + end + message)

    family = Family("rsa1-5", ["RFC 8725 section 3.2", "Bleichenbacher 1998"], "decrypt", ["rsa-oaep"])
    family.accepted("control", "RSA-OAEP", good, PLAINTEXT)
    for name, title, em in [
        ("conforming", "a conforming padding", v15(secret)), ("no-zero", "no zero after the padding", v15(secret, end=b"\1")),
        ("wrong-start", "a wrong first byte", v15(secret, start=b"\1\2")),
        ("wrong-type", "block type 1", v15(secret, start=b"\0\1")), ("short-cek", "a CEK of 16 bytes", v15(secret[:16])),
    ]:
        family.refused(name, f"RSA1_5: {title}", rsa_jwe(padded(em), "RSA1_5"), "policy")
    family.refused("lower-case", "RSA1_5 in lower case", rsa_jwe(padded(v15(secret)), "rsa1_5"), "policy")
    family.refused("strict", "RSA1_5 under strict", rsa_jwe(padded(v15(secret)), "RSA1_5"), "policy", policy="strict")

    family = Family("bleichenbacher", ["RFC 7516 section 11.5", "Bleichenbacher 1998", "RFC 8017 section 7.2"], "decrypt", ["rsa-oaep"])
    family.accepted("control", "RSA-OAEP", good, PLAINTEXT)
    for name, title, em in [
        ("conforming", "a conforming padding of v1.5", v15(secret)), ("no-zero", "no zero after it", v15(secret, end=b"\1")),
        ("wrong-start", "a wrong first byte", v15(secret, start=b"\1\2")), ("wrong-type", "block type 1", v15(secret, start=b"\0\1")),
        ("short-padding", "seven bytes of padding", b"\0\2" + b"\1" * 7 + b"\0" + secret.rjust(length - 10, b"\2")),
        ("empty", "an empty message", v15(b"")), ("bare", "the bare CEK", secret.rjust(length, b"\0")),
    ]:
        family.refused(name, f"RSA-OAEP whose key is in PKCS #1 v1.5: {title}", rsa_jwe(padded(em)), REFUSED, True)

    manger(good, secret, padded, rsa_jwe)

    family = Family("oaep-hashes", ["RFC 7518 section 4.3", "RFC 8017 section 7.1"], "decrypt", ["rsa-oaep-256"])
    family.accepted("control", "SHA-256 in both places", str(Jwe("rsa-oaep-256", "RSA-OAEP-256")), PLAINTEXT)
    for name, title, hashes in [
        ("sha1", "SHA-1 in both places", ("sha1", "sha1", b"")), ("mgf1-sha1", "MGF1 with SHA-1", ("sha256", "sha1", b"")),
        ("label-sha1", "MGF1 with SHA-256 and a label under SHA-1", ("sha1", "sha256", b"")),
        ("sha384", "SHA-384 in both places", ("sha384", "sha384", b"")), ("sha512", "SHA-512 in both places", ("sha512", "sha512", b"")),
        ("label", "a label that is not empty", ("sha256", "sha256", b"label")),
        ("label-alg", "the name of the alg as the label", ("sha256", "sha256", b"RSA-OAEP-256")),
    ]:
        ek = oaep("rsa-oaep-256", secret, *hashes)
        family.refused(name, f"RSA-OAEP-256: {title}", rsa_jwe(ek, "RSA-OAEP-256", "rsa-oaep-256"), REFUSED, True)
    family.refused("sha256-as-sha1", "RSA-OAEP: SHA-256 in both places",
                   rsa_jwe(oaep("rsa-oaep", secret, "sha256")), REFUSED, True, keys=["rsa-oaep"])

    family = Family("rsa-ciphertext-range", "RFC 8017 section 7.1.2", "decrypt", ["rsa-oaep"])
    family.accepted("control", "256 bytes, below the modulus", good, PLAINTEXT)
    n = rsa_numbers("rsa-oaep")[0]
    ek = oaep("rsa-oaep", secret)
    for name, title, changed in [
        ("zero", "zero", bytes(256)), ("one", "one", bytes(255) + b"\1"), ("modulus", "the modulus", n.to_bytes(256, "big")),
        ("minus-one", "the modulus less one", (n - 1).to_bytes(256, "big")), ("ones", "all bits set", b"\xff" * 256),
        ("cut", "255 bytes", ek[:255]), ("zero-before", "a zero before it", b"\0" + ek), ("empty", "nothing", b""),
    ]:
        family.refused(name, f"the encrypted key is {title}", rsa_jwe(changed), REFUSED, True)

    family = Family("cek-length-rsa", ["RFC 7516 section 11.5", "RFC 7518 section 4.3"], "decrypt", ["rsa-oaep"])
    family.accepted("control", "32 bytes for A256GCM", good, PLAINTEXT)
    for size in [0, 1, 16, 24, 31, 33, 64, 214]:
        family.refused(f"bytes-{size}", f"a CEK of {size} bytes for A256GCM, the content sealed with what it would be cut or filled to",
                       str(Jwe("rsa-oaep", "RSA-OAEP", cek=(drawn("cek", 214)[:size] + bytes(32))[:32],
                               ek=oaep("rsa-oaep", drawn("cek", 214)[:size]))), REFUSED, True)


def manger(good, secret, padded, rsa_jwe):
    family = Family("manger", ["Manger 2001", "RFC 8017 section 7.1.2 note"], "decrypt", ["rsa-oaep"])
    family.accepted("control", "Y = 0, the label's hash, a separator", good, PLAINTEXT)
    head = hashlib.sha1(b"").digest()
    room = 256 - 2 * 20 - 2
    first = lambda value: bytes([value]) + oaep_encode(256, secret, "sha1")[1:]
    db = lambda data: oaep_encode(256, b"", "sha1", db=data)
    for name, title, em in [
        ("y-one", "Y = 1", first(1)), ("y-two", "Y = 2", first(2)),
        ("wrong-label-hash", "another hash of the label", db(flipped(head) + bytes(room - 33) + b"\1" + secret)),
        ("last-of-label-hash", "the last byte of the label's hash", db(flipped(head, 19) + bytes(room - 33) + b"\1" + secret)),
        ("no-separator", "zeros to the end, no separator", db(head + bytes(room))),
        ("wrong-separator", "2 in place of the separator", db(head + bytes(room - 33) + b"\2" + secret)),
        ("padding-not-zero", "a padding that is not zero", db(head + b"\3" + bytes(room - 34) + b"\1" + secret)),
        ("all-wrong", "Y = 1 and another hash of the label", b"\1" + db(flipped(head) + bytes(room - 33) + b"\1" + secret)[1:]),
    ]:
        family.refused(name, title, rsa_jwe(padded(em)), REFUSED, True)


def key_wrap():
    family = Family("aes-kw-integrity", ["RFC 3394 section 2.2.3", "RFC 5649"], "decrypt", ["p256-kw"])
    family.accepted("control", "wrapped as RFC 3394 says", str(kw()), PLAINTEXT)
    ek = kw().ek
    for name, title, changed in [
        ("first-byte", "the first byte is another", flipped(ek)), ("last-byte", "the last byte is another", flipped(ek, 39)),
        ("not-of-eight", "39 bytes", ek[:39]), ("short", "32 bytes", ek[:32]), ("long", "48 bytes", ek + bytes(8)),
        ("one-block", "8 bytes", ek[:8]), ("empty", "nothing", b""), ("huge", "64 KiB", ek + bytes(65536 - 40)),
    ]:
        family.refused(name, f"the wrapped key: {title}", kw().compact(ek=changed), REFUSED, True)

    family = Family("aes-kw-confusion", ["RFC 3394 section 2.2.3.1", "RFC 7518 section 4.6.2"], "decrypt", ["p256-kw"])
    family.accepted("control", "A256KW under the derived key", str(kw()), PLAINTEXT)

    def raw_wrap(iv):
        return lambda key, cek: wrapped(key, cek, iv)

    for name, title, given in [
        ("with-padding", "wrapped with padding (RFC 5649)", {"wrap": keywrap.aes_key_wrap_with_padding}),
        ("zero-iv", "the initial value zero", {"wrap": raw_wrap(bytes(8))}),
        ("padding-iv", "the initial value of RFC 5649", {"wrap": raw_wrap(bytes.fromhex("a65959a600000020"))}),
        ("in-the-clear", "the CEK in the clear", {"wrap": lambda key, cek: cek}),
        ("derived-128", "a derived key of 16 bytes, twice", {"wrap": lambda key, cek: keywrap.aes_key_wrap(key[:16], cek)}),
        ("enc-as-algorithm-id", "the AlgorithmID of direct agreement", {"algorithm_id": "A256GCM"}),
        ("other-algorithm-id", "the AlgorithmID of A128KW", {"algorithm_id": "ECDH-ES+A128KW"}),
        ("zero-key", "wrapped under zeros", {"wrap": lambda key, cek: keywrap.aes_key_wrap(bytes(32), cek)}),
    ]:
        family.refused(name, title, str(kw(**given)), REFUSED, True)

    family = Family("cek-length-wrapped", ["RFC 7516 section 11.5", "RFC 7518 section 5"], "decrypt", ["p256-kw"])
    family.accepted("control", "32 bytes for A256GCM", str(kw()), PLAINTEXT)
    for size in [16, 24, 40, 48, 64, 1024]:
        cek = drawn("cek", 1024)[:size]
        family.refused(f"bytes-{size}", f"a CEK of {size} bytes for A256GCM",
                       str(kw(cek=(cek + bytes(32))[:32], wrap=lambda key, _: keywrap.aes_key_wrap(key, cek))), REFUSED, True)
    short = drawn("cek", 16)
    family.refused("cbc-half", "16 bytes for A128CBC-HS256, used for both halves",
                   str(kw(enc="A128CBC-HS256", cek=short + short, wrap=lambda key, _: keywrap.aes_key_wrap(key, short))), REFUSED, True)
    family.refused("cbc-as-gcm", "the 64 bytes of A256CBC-HS512 for A256GCM, cut",
                   str(kw(cek=drawn("cek", 64)[:32], wrap=lambda key, _: keywrap.aes_key_wrap(key, drawn("cek", 64)))), REFUSED, True)

    family = Family("stray-encrypted-key", "RFC 7516 section 5.2 step 10", "decrypt", ["p256-es"])
    family.accepted("control", "direct agreement and no encrypted key", str(es()), PLAINTEXT)
    for name, title, stray in [("one-byte", "one byte", b"\0"), ("wrapped", "the form of a wrapped key", drawn("stray", 40)),
                               ("cek", "the key itself", es().cek), ("kilobyte", "1 KiB", bytes(1024))]:
        family.refused(name, f"ECDH-ES with an encrypted key: {title}", es().compact(ek=stray), f"{REFUSED} malformed", True)


def wrapped(key, cek, iv):
    """RFC 3394 section 2.2.1 with an initial value of one's own."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    a, r = iv, [cek[i:i + 8] for i in range(0, len(cek), 8)]
    for j in range(6):
        for i in range(len(r)):
            block = encryptor.update(a + r[i])
            t = len(r) * j + i + 1
            a, r[i] = xor(block[:8], t.to_bytes(8, "big")), block[8:]
    return a + b"".join(r)


def epk():
    def with_epk(jwe_of, change):
        """The header is sealed too: nothing but the check of the point stands against it."""
        epk = dict(jwe_of().members["epk"])
        changed = change(epk)
        return str(jwe_of(header={"epk": epk if changed is None else changed}))

    p384 = lambda **given: Jwe("p384-kw", KW, **given)
    p521 = lambda **given: Jwe("p521-es", ES, **given)
    set_xy = lambda c, x, y: lambda epk: epk.update(x=b64(c.octets(x)), y=b64(c.octets(y)))

    source = ["RFC 7518 section 4.6.1.1", "SP 800-56A revision 3 section 5.6.2.3.4", "CVE-2017-16007"]
    family = Family("invalid-curve", source, "decrypt", ["p256-kw", "p384-kw", "p521-es"])
    family.accepted("control", "a point of P-256", str(kw()), PLAINTEXT)
    x, y = (number(kw().members["epk"][name]) for name in "xy")
    twisted = next(x for x in range(2, 50) if pow(x**3 - 3 * x + P256.b, (P256.p - 1) // 2, P256.p) == P256.p - 1)
    for name, title, jwe_of, change in [
        ("small-order", "a point of order 2 on another curve: y = 0", kw, set_xy(P256, 2, 0)),
        ("order-three", "a point of order 3 on another curve", kw, set_xy(P256, *order_three(P256))),
        ("y-changed", "one bit of y is another", kw, set_xy(P256, x, y ^ 1)),
        ("on-twist", "an x of the twist", kw, set_xy(P256, twisted, 1)),
        ("on-secp256k1", "the base point of secp256k1", kw, set_xy(
            P256, 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
            0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)),
        ("p384", "off P-384", p384, set_xy(P384, P384.g[0], P384.g[1] ^ 1)),
        ("p521", "off P-521", p521, set_xy(P521, P521.g[0], P521.g[1] ^ 1)),
        ("swapped", "x and y swapped", kw, set_xy(P256, y, x)),
    ]:
        family.refused(name, title, with_epk(jwe_of, change), "malformed")

    family = Family("point-form", ["RFC 7518 section 6.2.1.2", "SP 800-56A revision 3 section 5.6.2.3.4"], "decrypt", ["p256-kw"])
    family.accepted("control", "two coordinates of 32 bytes", str(kw()), PLAINTEXT)
    octets = P256.octets
    for name, title, change in [
        ("infinity", "x = 0, y = 0, for the point at infinity", set_xy(P256, 0, 0)),
        ("x-not-reduced", "x = p + 5, which fits 32 bytes", set_xy(P256, P256.p + 5, 1)),
        ("y-is-p", "y = p", set_xy(P256, 0, P256.p)),
        ("compressed", "a compressed point as x", lambda epk: epk.update(x=b64(b"\2" + octets(x)), y="")),
        ("whole-point", "the whole point as x", lambda epk: epk.update(x=b64(b"\4" + octets(x) + octets(y)), y="")),
        ("no-y", "no y", lambda epk: epk.pop("y") and None),
        ("zero-before", "a zero before each coordinate", lambda epk: epk.update(x=b64(b"\0" + octets(x)), y=b64(b"\0" + octets(y)))),
        ("empty", "empty coordinates", lambda epk: epk.update(x="", y="")),
    ]:
        family.refused(name, title, with_epk(kw, change), "malformed")

    family = Family("epk-kind", "RFC 7518 section 4.6.1.1", "decrypt", ["p256-kw"])
    family.accepted("control", "an EC key on P-256", str(kw()), PLAINTEXT)
    good = kw().members["epk"]
    for name, title, value in [
        ("okp", "kty OKP with the curve P-256", good | {"kty": "OKP"}), ("rsa", "an RSA key", public("rsa-oaep")),
        ("oct", "a symmetric key", {"kty": "oct", "k": "AAAA"}), ("null", "null", None), ("text", "a text", b64("epk")),
        ("array", "an array with the key", [good]), ("no-kty", "no kty", {m: good[m] for m in ("crv", "x", "y")}),
        ("number-x", "a number for x", good | {"x": 1}),
    ]:
        token = kw(header=lambda data, value=value: data.replace(json.dumps(good, separators=(",", ":")),
                                                                  json.dumps(value, separators=(",", ":"))))
        family.refused(name, f"epk is {title}", str(token), "malformed")

    family = Family("epk-other-curve", "RFC 7518 section 4.6.1.1", "decrypt", ["p256-kw", "x25519-es"])
    family.accepted("control", "the curve of our key", str(kw()), PLAINTEXT)
    x25519 = lambda **given: Jwe("x25519-es", ES, **given)
    for name, title, value, jwe_of, codes in [
        ("p384", "P-384 to a key of P-256", p384().members["epk"], kw, "policy"),
        ("p521", "P-521 to a key of P-256", p521().members["epk"], kw, "policy"),
        ("x25519", "X25519 to a key of P-256", x25519().members["epk"], kw, "policy"),
        ("p256", "P-256 to a key of X25519", kw().members["epk"], x25519, "policy"),
        ("secp256k1", "secp256k1", good | {"crv": "secp256k1"}, kw, "malformed"),
        ("ed25519", "Ed25519", {"kty": "OKP", "crv": "Ed25519", "x": jwk("ed25519")["x"]}, x25519, "malformed policy"),
        ("x448", "X448", {"kty": "OKP", "crv": "X448", "x": b64(bytes(56))}, x25519, "malformed"),
        ("lower-case", "the curve in lower case", good | {"crv": "p-256"}, kw, "malformed"),
    ]:
        family.refused(name, title, str(jwe_of(header={"epk": value})), codes)

    family = Family("epk-private", "RFC 7518 section 4.6.1.1", "decrypt", ["p256-kw", "x25519-es"])
    family.accepted("control", "the public members only", str(kw()), PLAINTEXT)
    for name, title, jwe_of, d in [
        ("p256", "a private scalar", kw, b64(drawn("d", 32))), ("own", "our own private scalar", kw, jwk("p256-kw")["d"]),
        ("x25519", "an X25519 private key", x25519, b64(drawn("d", 32))), ("empty", "an empty d", kw, ""),
        ("number", "a number for d", kw, 1),
    ]:
        family.refused(name, title, with_epk(jwe_of, lambda epk: epk.update(d=d)), "malformed")

    family = Family("x25519-low-order", ["RFC 7748 section 6.1", "RFC 8037 section 3.2"], "decrypt", ["x25519-es"])
    family.accepted("control", "a point of the right order", str(x25519()), PLAINTEXT)
    points = [
        ("zero", "0", "00" * 32), ("one", "1", "01" + "00" * 31),
        ("order-8", "a point of order 8", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        ("other-order-8", "the other of order 8", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        ("minus-one", "p - 1", "ec" + "ff" * 30 + "7f"), ("p", "p, which is 0", "ed" + "ff" * 30 + "7f"),
        ("p-plus-one", "p + 1, which is 1", "ee" + "ff" * 30 + "7f"), ("zero-top-bit", "0 with the top bit", "00" * 31 + "80"),
    ]
    for name, title, point in points:
        family.refused(name, title, with_epk(x25519, lambda epk: epk.update(x=b64(bytes.fromhex(point)))), "malformed")

    family = Family("x25519-form", ["RFC 8037 section 2", "RFC 7748 section 5"], "decrypt", ["x25519-es"])
    family.accepted("control", "32 bytes", str(x25519()), PLAINTEXT)
    own = unb64(x25519().members["epk"]["x"])
    for name, title, change in [
        ("short", "31 bytes", {"x": b64(own[:31])}), ("long", "33 bytes", {"x": b64(own + b"\0")}),
        ("prefixed", "0x40 before it, as OpenPGP has it", {"x": b64(b"\x40" + own)}), ("empty", "nothing", {"x": ""}),
        ("hex", "hexadecimal", {"x": own.hex()}), ("ec", "kty EC", {"kty": "EC"}),
    ]:
        family.refused(name, title, with_epk(x25519, lambda epk: epk.update(change)), "malformed")

    party()


def order_three(c):
    """A point with 3 P at infinity under the formulas with a = -3, whatever its b: x^4 - 2 x^2 + ... = 0
    is solved for b by taking any x: 3 x^4 - 18 x^2 + 12 b x - 9 = 0."""
    for x in range(2, 100):
        b = (9 + 18 * x * x - 3 * x**4) * pow(12 * x, -1, c.p) % c.p
        square = (x**3 - 3 * x + b) % c.p
        y = pow(square, (c.p + 1) // 4, c.p)
        if y * y % c.p == square and b != c.b:
            return x, y
    raise ValueError("no such point")


def party():
    family = Family("party-info", "RFC 7518 sections 4.6.1.2 and 4.6.1.3", "decrypt", ["p256-es"])
    family.accepted("control", "apu and apv, both in the derivation", str(es(apu=b"Alice", apv=b"Bob")), PLAINTEXT)
    with_apu = lambda value: str(es(header={"apu": value}))
    for name, title, value in [
        ("not-base64url", "apu in base64", "+/=="), ("padded", "apu with padding", "QQ=="), ("number", "a number for apu", 1),
        ("array", "an array for apu", ["QQ"]), ("long", "apu of 2,000 bytes", b64(bytes(2000))),
        ("trailing-bits", "apu that is not canonical", "QR"), ("blank", "apu with a blank", "QQ "), ("null", "null for apu", None),
    ]:
        if value is None:
            token = str(es(header=lambda data: data[:-1] + ',"apu":null}'))
        else:
            token = with_apu(value)
        family.refused(name, title, token, "malformed")

    family = Family("party-info-changed", "RFC 7518 section 4.6.2", "decrypt", ["p256-es"])
    family.accepted("control", "apu and apv as they were agreed on", str(es(apu=b"Alice", apv=b"Bob")), PLAINTEXT)
    for name, title, header in [
        ("swapped", "apu and apv swapped", {"apu": b64("Bob"), "apv": b64("Alice")}), ("no-apu", "apu left out", {"apu": None}),
        ("moved", "a letter moved from apv to apu", {"apu": b64("AliceB"), "apv": b64("ob")}),
        ("other", "another apv", {"apv": b64("Eve")}), ("empty", "apu is empty", {"apu": ""}),
    ]:
        family.refused(name, f"{title}, sealed under the changed header", str(es(apu=b"Alice", apv=b"Bob", header=header)), REFUSED, True)
    for name, title, given in [
        ("other-enc", "the AlgorithmID of A128GCM", {"algorithm_id": "A128GCM"}),
        ("alg-as-algorithm-id", "the alg as AlgorithmID", {"algorithm_id": "ECDH-ES"}),
    ]:
        family.refused(name, title, str(es(apu=b"Alice", apv=b"Bob", **given)), REFUSED, True)


def content():
    gcm_source = ["RFC 7518 section 5.3", "SP 800-38D section 5.2.1.2"]
    family = Family("gcm-tag", gcm_source, "decrypt", ["p256-kw"])
    token = kw()
    family.accepted("control", "16 bytes", str(token), PLAINTEXT)
    for size in [0, 1, 4, 8, 12, 15]:
        family.refused(f"bytes-{size}", f"the first {size} bytes of the tag", token.compact(tag=token.tag[:size]), REFUSED, True)
    family.refused("long", "the tag and a zero", token.compact(tag=token.tag + b"\0"), REFUSED, True)
    family.refused("flipped", "one bit is another", token.compact(tag=flipped(token.tag, 15)), REFUSED, True)

    family = Family("gcm-iv", ["RFC 7518 section 5.3", "SP 800-38D section 8.2"], "decrypt", ["p256-kw"])
    family.accepted("control", "12 bytes", str(token), PLAINTEXT)
    for size in [8, 11, 13, 16, 32, 64]:
        family.refused(f"bytes-{size}", f"an IV of {size} bytes, and a tag that is right for it", str(kw(iv=drawn("iv", size))), REFUSED, True)
    family.refused("empty", "no IV", token.compact(iv=b""), REFUSED, True)
    family.refused("flipped", "one bit is another", token.compact(iv=flipped(token.iv)), REFUSED, True)

    cbc_token = kw(enc="A256CBC-HS512")
    family = Family("cbc-tag", "RFC 7518 section 5.2.2.1", "decrypt", ["p256-kw"])
    family.accepted("control", "the first half of the HMAC", str(cbc_token), PLAINTEXT)
    whole = kw(enc="A256CBC-HS512", content={"full": True}).tag
    for name, title, tag in [
        ("bytes-0", "no tag", b""), ("bytes-8", "8 bytes", whole[:8]), ("bytes-16", "16 bytes, as A128CBC-HS256", whole[:16]),
        ("bytes-31", "31 bytes", whole[:31]), ("whole", "all 64 bytes", whole), ("second-half", "the second half", whole[32:]),
        ("flipped", "one bit is another", flipped(whole[:32], 31)), ("zeros", "zeros", bytes(32)),
    ]:
        family.refused(name, title, cbc_token.compact(tag=tag), REFUSED, True)

    family = Family("cbc-blocks", "RFC 7518 section 5.2.2.2", "decrypt", ["p256-kw"])
    family.accepted("control", "an IV of 16 bytes and whole blocks", str(cbc_token), PLAINTEXT)
    family.refused("iv-12", "an IV of 12 bytes", cbc_token.compact(iv=cbc_token.iv[:12]), REFUSED, True)
    family.refused("iv-17", "an IV of 17 bytes", cbc_token.compact(iv=cbc_token.iv + b"\0"), REFUSED, True)
    family.refused("iv-empty", "no IV", cbc_token.compact(iv=b""), REFUSED, True)
    family.refused("iv-moved", "the IV moved into the ciphertext", cbc_token.compact(
        iv=bytes(16), ciphertext=cbc_token.iv + cbc_token.ciphertext), REFUSED, True)
    family.refused("half-block", "8 bytes of ciphertext", cbc_token.compact(ciphertext=cbc_token.ciphertext[:8]), REFUSED, True)
    family.refused("no-block", "no ciphertext", cbc_token.compact(ciphertext=b""), REFUSED, True)
    family.refused("dropped-block", "the last block dropped", kw(enc="A256CBC-HS512", plaintext=b"content" * 5).compact(
        ciphertext=kw(enc="A256CBC-HS512", plaintext=b"content" * 5).ciphertext[:-16]), REFUSED, True)
    family.refused("flipped", "one bit of the ciphertext", cbc_token.compact(ciphertext=flipped(cbc_token.ciphertext)), REFUSED, True)

    family = Family("cbc-padding", ["RFC 7518 section 5.2.2.2", "Vaudenay 2002", "RFC 5652 section 6.3"], "decrypt", ["p256-kw"])
    with_padding = lambda padding, plaintext=PLAINTEXT: str(kw(enc="A128CBC-HS256", plaintext=plaintext, content={"padding": padding}))
    family.accepted("control", "nine bytes of 9", with_padding(b"\x09" * 9), PLAINTEXT)
    for name, title, padding in [
        ("zeros", "zeros", bytes(9)), ("too-long", "a length of 17", b"\x11" * 9), ("largest", "a length of 255", b"\xff" * 9),
        ("one-wrong", "one byte of it is another", b"\x08" + b"\x09" * 8), ("ansi", "zeros and a length (ANSI X9.23)", bytes(8) + b"\x09"),
        ("iso", "0x80 and zeros (ISO 7816-4)", b"\x80" + bytes(8)), ("whole-block-wrong", "16, 16 and not all of it", bytes(9) + b"\x0f" + b"\x10" * 15),
        ("longer-than-all", "a length over the whole text", b"\x09" * 8 + b"\x12"),
    ]:
        family.refused(name, f"a padding with a right tag: {title}", with_padding(padding), REFUSED, True)

    family = Family("cbc-al", ["RFC 7518 section 5.2.2.1", "RFC 7518 appendix B"], "decrypt", ["p256-kw"])
    enc = "A128CBC-HS256"
    family.accepted("control", "the bits of the AAD in 8 bytes", str(kw(enc=enc)), PLAINTEXT)
    bits = len(kw(enc=enc).protected) * 8
    for name, title, al in [
        ("none", "no AL", b""), ("bytes", "bytes in place of bits", (bits // 8).to_bytes(8, "big")),
        ("four-bytes", "in 4 bytes", bits.to_bytes(4, "big")), ("little-endian", "little-endian", bits.to_bytes(8, "little")),
        ("wrapped-32", "2^32 more: an AL that overflowed 32 bits", (bits + 2**32).to_bytes(8, "big")),
        ("wrapped-64", "as if the AAD had 2^61 bytes more, all of AL being zero", bytes(8)),
        ("ones", "the largest AL", b"\xff" * 8),
    ]:
        family.refused(name, f"AL: {title}", str(kw(enc=enc, content={"al": al})), REFUSED, True)
    family.refused("halves-swapped", "the halves of the key swapped", str(kw(enc=enc, content={"swapped": True})), REFUSED, True)

    family = Family("aad-changed", "RFC 7516 section 5.1 step 14", "decrypt", ["p256-kw"])
    family.accepted("control", "the header as it was sealed", str(token), PLAINTEXT)
    header = json.dumps(token.members, separators=(",", ":"))
    reordered = json.dumps(dict(reversed(list(token.members.items()))), separators=(",", ":"))
    for name, title, changed in [
        ("blank", "a blank more", header.replace(":", ": ", 1)), ("reordered", "the members in another order", reordered),
        ("member-more", "a member more", header[:-1] + ',"x":1}'), ("escaped", "a letter escaped", header.replace('"alg"', '"\\u0061lg"')),
        ("typ-added", "a typ that was not sealed", header[:-1] + ',"typ":"JWT"}'), ("line-end", "a line end after it", header + "\n"),
    ]:
        family.refused(name, f"the header changed after it was sealed: {title}", token.compact(protected=b64(changed)), REFUSED, True)
    enc_changed = b64(header.replace("A256GCM", "A128CBC-HS256"))
    family.refused("enc-changed", "A256GCM called A128CBC-HS256, which has a key as long", token.compact(protected=enc_changed), REFUSED, True)
    family.refused("enc-changed-cbc", "A128CBC-HS256 called A256GCM", kw(enc=enc).compact(protected=b64(
        json.dumps(kw(enc=enc).members, separators=(",", ":")).replace(enc, "A256GCM"))), REFUSED, True)

    family = Family("parts-mixed", "RFC 7516 section 5.2", "decrypt", ["p256-kw"])
    family.accepted("control", "five parts of one token", str(token), PLAINTEXT)
    other = kw(label="another token")
    for name, title, parts in [
        ("key", "the encrypted key of another token", {"ek": other.ek}), ("iv", "the IV of another token", {"iv": other.iv}),
        ("ciphertext", "the ciphertext of another token", {"ciphertext": other.ciphertext}), ("tag", "the tag of another token", {"tag": other.tag}),
        ("header", "the header of another token", {"protected": other.protected}),
        ("content", "header and key of one, content of another", {"protected": other.protected, "ek": other.ek}),
        ("tag-in-ciphertext", "the tag at the end of the ciphertext", {"ciphertext": token.ciphertext + token.tag, "tag": b""}),
        ("iv-and-tag", "IV and tag swapped", {"iv": token.tag, "tag": token.iv}),
    ]:
        family.refused(name, title, token.compact(**parts), REFUSED, True)


def policy():
    family = Family("enc-spelling", "RFC 7516 section 4.1.2", "decrypt", ["p256-kw"])
    family.accepted("control", "A256GCM", str(kw()), PLAINTEXT)
    for name, title, enc in [
        ("lower-case", "in lower case", "a256gcm"), ("blank", "with a blank after it", "A256GCM "), ("of-alg", "an alg", "A256KW"),
        ("none", "none", "none"), ("empty", "an empty text", ""), ("bare-cbc", "CBC without a tag", "A256CBC"),
        ("xc20p", "XC20P, which nobody registered", "XC20P"), ("cyrillic", "with a Cyrillic A", "\u0410256GCM"),
    ]:
        family.refused(name, f"enc {title}", str(kw(header={"enc": enc})), "policy malformed")
    family.refused("absent", "no enc", str(kw(header={"enc": None})), "policy malformed")

    family = Family("jwe-alg-spelling", "RFC 7516 section 4.1.1", "decrypt", ["p256-kw"])
    family.accepted("control", KW, str(kw()), PLAINTEXT)
    for name, title, alg in [
        ("lower-case", "in lower case", "ecdh-es+a256kw"), ("blank", "with a blank after it", KW + " "), ("none", "none", "none"),
        ("nul", "with a NUL after it", KW + "\0"), ("percent", "percent-encoded", "ECDH-ES%2BA256KW"),
        ("space", "with a blank for the plus", "ECDH-ES A256KW"), ("unicode-plus", "with a full-width plus", "ECDH-ES\uff0bA256KW"),
        ("1pu", "ECDH-1PU+A256KW, which nobody registered", "ECDH-1PU+A256KW"),
    ]:
        family.refused(name, f"alg {title}", str(kw(header={"alg": alg})), "policy malformed")

    family = Family("jwe-key-bound-to-alg", ["RFC 8725 section 3.1", "RFC 7517 section 4.4"], "decrypt",
                    ["rsa-oaep", "rsa-oaep-256", "p256-kw", "p256-es", "p256-kw128"])
    family.accepted("control", "RSA-OAEP-256 with the key of RSA-OAEP-256", str(Jwe("rsa-oaep-256", "RSA-OAEP-256")), PLAINTEXT)
    for name, key, alg in [
        ("oaep-with-oaep-256", "rsa-oaep-256", "RSA-OAEP"), ("oaep-256-with-oaep", "rsa-oaep", "RSA-OAEP-256"),
        ("oaep-512-with-oaep", "rsa-oaep", "RSA-OAEP-512"), ("direct-with-wrap", "p256-kw", ES), ("wrap-with-direct", "p256-es", KW),
        ("wrap-128-with-256", "p256-kw", "ECDH-ES+A128KW"), ("wrap-256-with-128", "p256-kw128", KW), ("wrap-192", "p256-kw", "ECDH-ES+A192KW"),
    ]:
        family.refused(name, f"{alg} with the key {key}", str(Jwe(key, alg)), "policy")

    family = Family("strict-refuses", ["RFC 8725 section 3.2", "requirements of the profile strict"], "decrypt",
                    ["p256-kw", "rsa-oaep", "p256-kw128"], policy="strict")
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
        ("deflate", "DEF, compressed well", "DEF", deflate(b"x" * 100)), ("bomb", "DEF, 16 MiB of zeros in 16 KiB", "DEF", deflate(bytes(1 << 24))),
        ("nested-bomb", "DEF of DEF of 64 MiB", "DEF", deflate(deflate(bytes(1 << 26)))), ("empty", "an empty zip", "", b"x"),
        ("gzip", "zip GZIP", "GZIP", zlib.compress(b"x")), ("lower-case", "def", "def", deflate(b"x")), ("truncated", "DEF, cut", "DEF", deflate(b"x" * 100)[:-2]),
    ]:
        family.refused(name, title, str(kw(plaintext=plaintext, header={"zip": zip_})), "policy malformed")
    family.refused("number", "a number for zip", str(kw(header={"zip": 1})), "malformed policy")

    source = ["RFC 7518 section 4.8.1.2", "RFC 8725 section 3.2", "CVE-2023-51775"]
    family = Family("pbes2", source, "decrypt", ["p256-kw"])
    family.accepted("control", KW, str(kw()), PLAINTEXT)
    for name, title, p2c in [
        ("huge", "a count of 2^31 - 1", 2**31 - 1), ("over-64-bits", "a count of 2^64", 2**64), ("one", "a count of 1", 1), ("zero", "a count of 0", 0),
        ("negative", "a count below 0", -1), ("text", "the count as text", "4096"), ("fraction", "a count of 1.5", 1.5),
    ]:
        header = {"alg": "PBES2-HS256+A128KW", "p2s": b64(drawn("p2s", 8)), "p2c": p2c}
        family.refused(name, title, str(kw(header=header)), "policy malformed")
    family.refused("no-count", "no count", str(kw(header={"alg": "PBES2-HS512+A256KW", "p2s": "AAAAAAAAAAA"})), "policy malformed")

    keys = ["es256", "p256-kw"]
    family = Family("key-of-another-purpose", "RFC 8725 section 3.1", "decrypt", keys)
    family.accepted("control", "to the key for decryption", str(kw()), PLAINTEXT)
    for name, alg in [("kw", KW), ("direct", ES), ("a128kw", "ECDH-ES+A128KW")]:
        family.refused(name, f"{alg} to the key that signs", str(Jwe("es256", alg)), "policy")
    family.refused("its-kid", "to the key for decryption, with the kid of the one that signs", str(kw(header={"kid": "es256"})), "policy")

    family = Family("other-recipient", "RFC 7516 section 4.1.6", "decrypt", ["p256-kw", "p256-es"])
    family.accepted("control", "to us", str(kw()), PLAINTEXT)
    stranger = lambda **given: Jwe("stranger-kw", KW, **given)
    family.refused("stranger", "to a key that we do not hold", str(stranger()), "key_not_found")
    family.refused("as-ours", "to a key that we do not hold, with our kid", str(stranger(header={"kid": "p256-kw"})), REFUSED, True)
    family.refused("no-kid", "to a key that we do not hold, with no kid", str(stranger(kid=False)), REFUSED, True)
    family.refused("other-of-ours", "to one of our keys with the kid of another", str(kw(header={"kid": "p256-es"})), "policy")
    family.refused("empty-kid", "an empty kid", str(kw(header={"kid": ""})), "key_not_found malformed")
    family.refused("upper-case", "our kid in upper case", str(kw(header={"kid": "P256-KW"})), "key_not_found")

    family = Family("jwe-header-borne-key", ["RFC 8725 section 3.10", "RFC 7516 sections 4.1.4 to 4.1.8"], "decrypt", ["p256-kw"], policy="strict")
    family.accepted("control", "no key in the header", str(kw()), PLAINTEXT)
    for name, title, header in [
        ("jwk", "our own public key as jwk", {"jwk": public("p256-kw")}), ("private-jwk", "a private key as jwk", {"jwk": jwk("stranger-kw")}),
        ("jku", "a jku", {"jku": "https://attacker.example/keys"}), ("x5u", "an x5u", {"x5u": "file:///etc/passwd"}),
        ("x5c", "an x5c", {"x5c": ["AAAA"]}),
    ]:
        family.refused(name, title, str(kw(header=header)), "policy malformed")


def all_cases():
    rsa()
    key_wrap()
    epk()
    content()
    policy()
