"""Key agreement and key wrap: points, party information, wrapped keys."""

import json

from cases import Family
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from tokens import ES, KW, PLAINTEXT, es, flipped, kw

from jose import (
    P256,
    P384,
    P521,
    Jwe,
    b64,
    drawn,
    jwk,
    number,
    public,
    unb64,
    xor,
)

REFUSED = "decryption_failed"


def key_wrap():
    family = Family("aes-kw-integrity", ["RFC 3394 section 2.2.3", "RFC 5649"], "decrypt", ["p256-kw"])
    family.accepted("control", "wrapped as RFC 3394 says", str(kw()), PLAINTEXT)
    ek = kw().ek
    for name, title, changed in [
        ("first-byte", "the first byte is another", flipped(ek)),
        ("last-byte", "the last byte is another", flipped(ek, 39)),
        ("not-of-eight", "39 bytes", ek[:39]),
        ("short", "32 bytes", ek[:32]),
        ("long", "48 bytes", ek + bytes(8)),
        ("one-block", "8 bytes", ek[:8]),
        ("empty", "nothing", b""),
        ("huge", "64 KiB", ek + bytes(65536 - 40)),
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
        (
            "derived-128",
            "a derived key of 16 bytes, twice",
            {"wrap": lambda key, cek: keywrap.aes_key_wrap(key[:16], cek)},
        ),
        ("enc-as-algorithm-id", "the AlgorithmID of direct agreement", {"algorithm_id": "A256GCM"}),
        ("other-algorithm-id", "the AlgorithmID of A128KW", {"algorithm_id": "ECDH-ES+A128KW"}),
        ("zero-key", "wrapped under zeros", {"wrap": lambda key, cek: keywrap.aes_key_wrap(bytes(32), cek)}),
    ]:
        family.refused(name, title, str(kw(**given)), REFUSED, True)

    family = Family("cek-length-wrapped", ["RFC 7516 section 11.5", "RFC 7518 section 5"], "decrypt", ["p256-kw"])
    family.accepted("control", "32 bytes for A256GCM", str(kw()), PLAINTEXT)
    for size in [16, 24, 40, 48, 64, 1024]:
        cek = drawn("cek", 1024)[:size]
        family.refused(
            f"bytes-{size}",
            f"a CEK of {size} bytes for A256GCM",
            str(kw(cek=(cek + bytes(32))[:32], wrap=lambda key, _: keywrap.aes_key_wrap(key, cek))),
            REFUSED,
            True,
        )
    short = drawn("cek", 16)
    family.refused(
        "cbc-half",
        "16 bytes for A128CBC-HS256, used for both halves",
        str(kw(enc="A128CBC-HS256", cek=short + short, wrap=lambda key, _: keywrap.aes_key_wrap(key, short))),
        REFUSED,
        True,
    )
    family.refused(
        "cbc-as-gcm",
        "the 64 bytes of A256CBC-HS512 for A256GCM, cut",
        str(kw(cek=drawn("cek", 64)[:32], wrap=lambda key, _: keywrap.aes_key_wrap(key, drawn("cek", 64)))),
        REFUSED,
        True,
    )

    family = Family("stray-encrypted-key", "RFC 7516 section 5.2 step 10", "decrypt", ["p256-es"])
    family.accepted("control", "direct agreement and no encrypted key", str(es()), PLAINTEXT)
    for name, title, stray in [
        ("one-byte", "one byte", b"\0"),
        ("wrapped", "the form of a wrapped key", drawn("stray", 40)),
        ("cek", "the key itself", es().cek),
        ("kilobyte", "1 KiB", bytes(1024)),
    ]:
        family.refused(name, f"ECDH-ES with an encrypted key: {title}", es().compact(ek=stray), REFUSED, True)


def wrapped(key, cek, iv):
    """RFC 3394 section 2.2.1 with an initial value of one's own."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    a, r = iv, [cek[i : i + 8] for i in range(0, len(cek), 8)]
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

    source = [
        "RFC 7518 section 4.6.1.1",
        "SP 800-56A revision 3 section 5.6.2.3.4",
        "RFC 8725 section 3.4",
        "CVE-2017-16007",
    ]
    family = Family("invalid-curve", source, "decrypt", ["p256-kw", "p384-kw", "p521-es"])
    family.accepted("control", "a point of P-256", str(kw()), PLAINTEXT)
    x, y = (number(kw().members["epk"][name]) for name in "xy")
    twisted = next(x for x in range(2, 50) if pow(x**3 - 3 * x + P256.b, (P256.p - 1) // 2, P256.p) == P256.p - 1)
    for name, title, jwe_of, change in [
        ("small-order", "a point of order 2 on another curve: y = 0", kw, set_xy(P256, 2, 0)),
        ("order-three", "a point of order 3 on another curve", kw, set_xy(P256, *order_three(P256))),
        ("y-changed", "one bit of y is another", kw, set_xy(P256, x, y ^ 1)),
        ("on-twist", "an x of the twist", kw, set_xy(P256, twisted, 1)),
        (
            "on-secp256k1",
            "the base point of secp256k1",
            kw,
            set_xy(
                P256,
                0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
                0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
            ),
        ),
        ("p384", "off P-384", p384, set_xy(P384, P384.g[0], P384.g[1] ^ 1)),
        ("p521", "off P-521", p521, set_xy(P521, P521.g[0], P521.g[1] ^ 1)),
        ("swapped", "x and y swapped", kw, set_xy(P256, y, x)),
    ]:
        family.refused(name, title, with_epk(jwe_of, change), "malformed")

    family = Family(
        "point-form", ["RFC 7518 section 6.2.1.2", "SP 800-56A revision 3 section 5.6.2.3.4"], "decrypt", ["p256-kw"]
    )
    family.accepted("control", "two coordinates of 32 bytes", str(kw()), PLAINTEXT)
    octets = P256.octets
    for name, title, change in [
        ("infinity", "x = 0, y = 0, for the point at infinity", set_xy(P256, 0, 0)),
        ("x-not-reduced", "x = p + 5, which fits 32 bytes", set_xy(P256, P256.p + 5, 1)),
        ("y-is-p", "y = p", set_xy(P256, 0, P256.p)),
        ("compressed", "a compressed point as x", lambda epk: epk.update(x=b64(b"\2" + octets(x)), y="")),
        ("whole-point", "the whole point as x", lambda epk: epk.update(x=b64(b"\4" + octets(x) + octets(y)), y="")),
        ("no-y", "no y", lambda epk: epk.pop("y") and None),
        (
            "zero-before",
            "a zero before each coordinate",
            lambda epk: epk.update(x=b64(b"\0" + octets(x)), y=b64(b"\0" + octets(y))),
        ),
        ("empty", "empty coordinates", lambda epk: epk.update(x="", y="")),
    ]:
        family.refused(name, title, with_epk(kw, change), "malformed")

    family = Family("epk-kind", "RFC 7518 section 4.6.1.1", "decrypt", ["p256-kw"])
    family.accepted("control", "an EC key on P-256", str(kw()), PLAINTEXT)
    good = kw().members["epk"]
    for name, title, value in [
        ("okp", "kty OKP with the curve P-256", good | {"kty": "OKP"}),
        ("rsa", "an RSA key", public("rsa-oaep")),
        ("oct", "a symmetric key", {"kty": "oct", "k": "AAAA"}),
        ("null", "null", None),
        ("text", "a text", b64("epk")),
        ("array", "an array with the key", [good]),
        ("no-kty", "no kty", {m: good[m] for m in ("crv", "x", "y")}),
        ("number-x", "a number for x", good | {"x": 1}),
    ]:
        token = kw(
            header=lambda data, value=value: data.replace(
                json.dumps(good, separators=(",", ":")), json.dumps(value, separators=(",", ":"))
            )
        )
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
        ("ed25519", "Ed25519", {"kty": "OKP", "crv": "Ed25519", "x": jwk("ed25519")["x"]}, x25519, "policy"),
        ("x448", "X448", {"kty": "OKP", "crv": "X448", "x": b64(bytes(56))}, x25519, "malformed"),
        ("lower-case", "the curve in lower case", good | {"crv": "p-256"}, kw, "malformed"),
    ]:
        family.refused(name, title, str(jwe_of(header={"epk": value})), codes)

    family = Family("epk-private", "RFC 7518 section 4.6.1.1", "decrypt", ["p256-kw", "x25519-es"])
    family.accepted("control", "the public members only", str(kw()), PLAINTEXT)
    for name, title, jwe_of, d in [
        ("p256", "a private scalar", kw, b64(drawn("d", 32))),
        ("own", "our own private scalar", kw, jwk("p256-kw")["d"]),
        ("x25519", "an X25519 private key", x25519, b64(drawn("d", 32))),
        ("empty", "an empty d", kw, ""),
        ("number", "a number for d", kw, 1),
    ]:
        family.refused(name, title, with_epk(jwe_of, lambda epk: epk.update(d=d)), "malformed")

    family = Family("x25519-low-order", ["RFC 7748 section 6.1", "RFC 8037 section 3.2"], "decrypt", ["x25519-es"])
    family.accepted("control", "a point of the right order", str(x25519()), PLAINTEXT)
    points = [
        ("zero", "0", "00" * 32),
        ("one", "1", "01" + "00" * 31),
        ("order-8", "a point of order 8", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        ("other-order-8", "the other of order 8", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        ("minus-one", "p - 1", "ec" + "ff" * 30 + "7f"),
        ("p", "p, which is 0", "ed" + "ff" * 30 + "7f"),
        ("p-plus-one", "p + 1, which is 1", "ee" + "ff" * 30 + "7f"),
        ("zero-top-bit", "0 with the top bit", "00" * 31 + "80"),
    ]
    for name, title, point in points:
        family.refused(name, title, with_epk(x25519, lambda epk: epk.update(x=b64(bytes.fromhex(point)))), "malformed")

    family = Family("x25519-form", ["RFC 8037 section 2", "RFC 7748 section 5"], "decrypt", ["x25519-es"])
    family.accepted("control", "32 bytes", str(x25519()), PLAINTEXT)
    own = unb64(x25519().members["epk"]["x"])
    for name, title, change in [
        ("short", "31 bytes", {"x": b64(own[:31])}),
        ("long", "33 bytes", {"x": b64(own + b"\0")}),
        ("prefixed", "0x40 before it, as OpenPGP has it", {"x": b64(b"\x40" + own)}),
        ("empty", "nothing", {"x": ""}),
        ("hex", "hexadecimal", {"x": own.hex()}),
        ("ec", "kty EC", {"kty": "EC"}),
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
        ("not-base64url", "apu in base64", "+/=="),
        ("padded", "apu with padding", "QQ=="),
        ("number", "a number for apu", 1),
        ("array", "an array for apu", ["QQ"]),
        ("long", "apu of 2,000 bytes", b64(bytes(2000))),
        ("trailing-bits", "apu that is not canonical", "QR"),
        ("blank", "apu with a blank", "QQ "),
        ("null", "null for apu", None),
    ]:
        if value is None:
            token = str(es(header=lambda data: data[:-1] + ',"apu":null}'))
        else:
            token = with_apu(value)
        family.refused(name, title, token, "malformed")

    family = Family("party-info-changed", "RFC 7518 section 4.6.2", "decrypt", ["p256-es"])
    family.accepted("control", "apu and apv as they were agreed on", str(es(apu=b"Alice", apv=b"Bob")), PLAINTEXT)
    for name, title, header in [
        ("swapped", "apu and apv swapped", {"apu": b64("Bob"), "apv": b64("Alice")}),
        ("no-apu", "apu left out", {"apu": None}),
        ("moved", "a letter moved from apv to apu", {"apu": b64("AliceB"), "apv": b64("ob")}),
        ("other", "another apv", {"apv": b64("Eve")}),
        ("empty", "apu is empty", {"apu": ""}),
    ]:
        family.refused(
            name,
            f"{title}, sealed under the changed header",
            str(es(apu=b"Alice", apv=b"Bob", header=header)),
            REFUSED,
            True,
        )
    for name, title, given in [
        ("other-enc", "the AlgorithmID of A128GCM", {"algorithm_id": "A128GCM"}),
        ("alg-as-algorithm-id", "the alg as AlgorithmID", {"algorithm_id": "ECDH-ES"}),
    ]:
        family.refused(name, title, str(es(apu=b"Alice", apv=b"Bob", **given)), REFUSED, True)


def all_cases():
    key_wrap()
    epk()
