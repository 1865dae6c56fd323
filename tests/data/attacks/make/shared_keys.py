"""JWE under a symmetric key that is in the token: AES key wrap, AES in GCM as a key wrap, and the key
itself as the content encryption key."""

from cases import Family, Repeat
from cryptography.hazmat.primitives import keywrap

from agreement import wrapped
from jose import Jwe, b64, drawn, gcm, jwk, public, text, unb64, xor
from tokens import PLAINTEXT, flipped

REFUSED = "decryption_failed"
KW = "A128KW"
GCMKW = "A256GCMKW"


def kw(**given):
    return Jwe("a128kw", KW, **given)


def gcmkw(**given):
    return Jwe("a256gcmkw", GCMKW, **given)


def direct(**given):
    return Jwe("dir", "dir", **given)


def secret(key):
    return unb64(jwk(key)["k"])


def decrypt(name, source, key, title, token, **other):
    """A family of one symmetric key, which policy names by its alg."""
    other = {"policy": "strict", "symmetric": [jwk(key)["alg"]]} | other
    family = Family(name, source, "decrypt", [key], **other)
    family.accepted("control", title, token if isinstance(token, dict) else str(token), PLAINTEXT)
    return family


def key_wrap():
    family = decrypt(
        "shared-kw-integrity",
        ["RFC 3394 section 2.2.3", "RFC 7518 section 4.4", "RFC 7516 section 11.5"],
        "a128kw",
        "wrapped as RFC 3394 says",
        kw(),
    )
    ek = kw().ek
    before, after = kw().compact().split(b64(ek))
    for name, title, changed in [
        ("first-byte", "the first byte is another", flipped(ek)),
        ("last-byte", "the last byte is another", flipped(ek, 39)),
        ("blocks-swapped", "two blocks are swapped", ek[:8] + ek[16:24] + ek[8:16] + ek[24:]),
        ("short", "32 bytes: a block less", ek[:32]),
        ("long", "48 bytes: a block more", ek + ek[-8:]),
        ("not-of-eight", "41 bytes", ek + b"\0"),
        ("empty", "nothing", b""),
    ]:
        family.refused(name, f"the wrapped key: {title}", kw().compact(ek=changed), REFUSED, True)
    family.refused("huge", "the wrapped key: 768 KiB", [before, Repeat("AAAA", 262_144), after], REFUSED, True)

    family = decrypt(
        "shared-kw-confusion",
        ["RFC 3394 section 2.2.3.1", "RFC 5649", "RFC 7518 section 4.4"],
        "a128kw",
        "wrapped under our key with the initial value of RFC 3394",
        kw(),
    )
    for name, title, wrap in [
        ("with-padding", "wrapped with padding (RFC 5649)", keywrap.aes_key_wrap_with_padding),
        ("zero-iv", "the initial value zero", lambda key, cek: wrapped(key, cek, bytes(8))),
        (
            "padding-iv",
            "the initial value of RFC 5649",
            lambda key, cek: wrapped(key, cek, bytes.fromhex("a65959a600000020")),
        ),
        ("in-the-clear", "the CEK in the clear", lambda _, cek: cek),
        ("with-its-iv", "the CEK in the clear after the initial value", lambda _, cek: b"\xa6" * 8 + cek),
        ("zero-key", "wrapped under zeros", lambda _, cek: keywrap.aes_key_wrap(bytes(16), cek)),
        ("twice", "wrapped twice", lambda key, cek: keywrap.aes_key_wrap(key, keywrap.aes_key_wrap(key, cek))),
        ("kid-as-key", "wrapped under the kid", lambda _, cek: keywrap.aes_key_wrap(b"a128kw".ljust(16, b"\0"), cek)),
    ]:
        family.refused(name, title, str(kw(wrap=wrap)), REFUSED, True)

    family = decrypt(
        "shared-kw-cek-length",
        ["RFC 7516 section 11.5", "RFC 7518 section 5.3"],
        "a128kw",
        "a CEK of 32 bytes for A256GCM",
        kw(),
    )
    for size in [16, 24]:
        cek = drawn("cek", size)
        family.refused(
            f"bytes-{size}", f"a CEK of {size} bytes, and a content sealed with it", str(kw(cek=cek)), REFUSED, True
        )
    for size in [40, 48, 64, 1024]:
        cek = drawn("cek", size)
        token = kw(cek=cek[:32], wrap=lambda key, _, cek=cek: keywrap.aes_key_wrap(key, cek))
        family.refused(
            f"bytes-{size}", f"a CEK of {size} bytes, and a content sealed with the first 32", str(token), REFUSED, True
        )
    long = drawn("cek", 32)
    family.refused(
        "a128gcm",
        "a CEK of 32 bytes for A128GCM, and a content sealed with the first 16",
        str(kw(enc="A128GCM", cek=long[:16], wrap=lambda key, _: keywrap.aes_key_wrap(key, long))),
        REFUSED,
        True,
    )
    family.refused(
        "of-cbc",
        "the 32 bytes of A128CBC-HS256 for A128GCM, which has the half",
        str(kw(enc="A128GCM", cek=long[16:], wrap=lambda key, _: keywrap.aes_key_wrap(key, long))),
        REFUSED,
        True,
    )
    content(
        "shared-kw-content",
        ["RFC 7516 section 5.2", "RFC 7518 section 5.3"],
        "a128kw",
        kw(),
        kw(label="another token"),
    )


def content(name, source, key, token, other):
    """A good key, and something wrong with what it opens."""
    family = decrypt(name, source, key, "a token with which nothing is wrong", token)
    added = b64(text(token.members | {"x": 1}))
    for name, title, parts in [
        ("tag-empty", "no tag", {"tag": b""}),
        ("tag-4", "a tag of 4 bytes", {"tag": token.tag[:4]}),
        ("tag-12", "a tag of 12 bytes, as GCM alone would allow", {"tag": token.tag[:12]}),
        ("tag-17", "a tag of 17 bytes", {"tag": token.tag + b"\0"}),
        ("tag-moved", "a byte of the tag moved into the ciphertext", moved(token)),
        ("iv-empty", "no IV", {"iv": b""}),
        ("of-another", "ciphertext and tag of another token", {"ciphertext": other.ciphertext, "tag": other.tag}),
        ("header", "a member is added to the header", {"protected": added}),
    ]:
        family.refused(name, title, token.compact(**parts), REFUSED, True)


def moved(token):
    return {"ciphertext": token.ciphertext + token.tag[:1], "tag": token.tag[1:]}


def gcm_key_wrap():
    source = ["RFC 7518 section 4.7.1.1", "NIST SP 800-38D section 5.2.1.1"]
    family = decrypt("gcmkw-iv", source, "a256gcmkw", "an iv of 12 bytes", gcmkw())
    for name, title, value in [
        ("absent", "no iv", None),
        ("number", "a number for iv", 0),
        ("padded", "padding of base64 after iv", gcmkw().members["iv"] + "="),
        ("standard", "the alphabet of base64 in iv", "+/" + gcmkw().members["iv"][2:]),
    ]:
        family.refused(name, title, str(gcmkw(header={"iv": value})), "malformed")
    family.refused("empty", "an empty iv", str(gcmkw(header={"iv": ""})), REFUSED, True)
    for size in [8, 13, 16]:
        token = gcmkw(key_iv=drawn("key iv", size))
        family.refused(
            f"bytes-{size}", f"an iv of {size} bytes, and a tag that is right for it", str(token), REFUSED, True
        )

    source = ["RFC 7518 section 4.7.1.2", "NIST SP 800-38D appendix C", "CVE-2025-54887"]
    family = decrypt("gcmkw-tag", source, "a256gcmkw", "a tag of 16 bytes", gcmkw())
    tag = unb64(gcmkw().members["tag"])
    family.refused("absent", "no tag", str(gcmkw(header={"tag": None})), "malformed")
    family.refused("array", "tag in an array", str(gcmkw(header={"tag": [b64(tag)]})), "malformed")
    for name, title, value in [
        ("empty", "an empty tag", b""),
        ("bytes-4", "the first 4 bytes of the tag", tag[:4]),
        ("bytes-8", "the first 8 bytes of the tag", tag[:8]),
        ("bytes-12", "the first 12 bytes of the tag", tag[:12]),
        ("bytes-15", "the first 15 bytes of the tag", tag[:15]),
        ("bytes-17", "the tag and a byte more", tag + b"\0"),
    ]:
        family.refused(name, title, str(gcmkw(header={"tag": b64(value)})), REFUSED, True)

    token, other = gcmkw(), gcmkw(label="another token")
    family = decrypt(
        "gcmkw-changed", ["RFC 7518 section 4.7", "RFC 7516 section 11.5"], "a256gcmkw", "nothing is changed", token
    )
    ek, iv, tag = token.ek, unb64(token.members["iv"]), unb64(token.members["tag"])
    own = {"iv": b64(iv), "tag": b64(tag)}
    for name, title, changed, members in [
        ("key", "the first byte of the encrypted key is another", flipped(ek), own),
        ("iv", "the first byte of iv is another", ek, own | {"iv": b64(flipped(iv))}),
        ("tag", "the last byte of tag is another", ek, own | {"tag": b64(flipped(tag, 15))}),
        ("swapped", "iv and tag are swapped", ek, {"iv": own["tag"], "tag": own["iv"]}),
        ("tag-in-key", "the tag after the encrypted key, and there", ek + tag, own),
        ("short", "31 bytes of the encrypted key", ek[:31], own),
        ("empty", "no encrypted key", b"", own),
        ("of-another", "the encrypted key of another token", other.ek, own),
    ]:
        changed = gcmkw(cek=token.cek, ek=changed, header=members)
        family.refused(name, f"the key wrap is changed: {title}", str(changed), REFUSED, True)

    one = gcmkw(key_iv=bytes(12))
    two = gcmkw(key_iv=bytes(12), label="another token")
    chosen = drawn("chosen cek", 32)
    family = decrypt(
        "gcmkw-iv-reused",
        [
            "RFC 7518 section 4.7.1.1",
            "NIST SP 800-38D section 8",
            "Joux 2006, Authentication failures in NIST version of GCM",
        ],
        "a256gcmkw",
        "the first token under an IV",
        one,
    )
    family.accepted("control-again", "another token under the same IV", str(two), PLAINTEXT)
    tags = {"one": unb64(one.members["tag"]), "two": unb64(two.members["tag"])}
    # Whoever knows the CEK of one token knows the key stream of its IV.
    stream, both = xor(one.ek, one.cek), xor(one.ek, two.ek)
    for name, title, cek, ek, tag in [
        ("tag-of-other", "the tag of the other token of the IV", one.cek, one.ek, tags["two"]),
        ("key-of-other", "the encrypted key of the other token of the IV", two.cek, two.ek, tags["one"]),
        (
            "chosen",
            "a CEK of one's own under the key stream, and the tag of the first",
            chosen,
            xor(stream, chosen),
            tags["one"],
        ),
        (
            "chosen-zero",
            "a CEK of one's own under the key stream, and a tag of zeros",
            chosen,
            xor(stream, chosen),
            bytes(16),
        ),
        ("sum", "the sum of both encrypted keys, and of both tags", xor(stream, both), both, xor(*tags.values())),
        ("stream", "the key stream itself: a CEK of zeros", bytes(32), stream, tags["one"]),
    ]:
        token = gcmkw(cek=cek, ek=ek, header={"iv": b64(bytes(12)), "tag": b64(tag)})
        family.refused(name, title, str(token), REFUSED, True)

    family = decrypt(
        "gcmkw-confusion",
        ["RFC 7518 section 4.7", "RFC 8725 section 3.1"],
        "a256gcmkw",
        "the CEK under our key, nothing else authenticated",
        gcmkw(),
    )
    cek, iv = gcmkw().cek, drawn("key iv", 12)
    sealed = lambda key, aad=b"", cek=cek: gcm(key, iv, aad, cek)
    own = secret("a256gcmkw")
    for name, title, cek, (ek, tag) in [
        ("zero-key", "under zeros", cek, sealed(bytes(32))),
        ("half-key", "under half of our key", cek, sealed(own[:16])),
        ("kid-as-key", "under the kid", cek, sealed(b"a256gcmkw".ljust(32, b"\0"))),
        ("with-aad", "with alg as authenticated data", cek, sealed(own, b"A256GCMKW")),
        ("key-wrap", "wrapped as A256KW does", cek, (keywrap.aes_key_wrap(own, cek), bytes(16))),
        ("in-the-clear", "the CEK in the clear", cek, (cek, bytes(16))),
        ("short-cek", "a CEK of 16 bytes", cek[:16], sealed(own, cek=cek[:16])),
        ("long-cek", "a CEK of 64 bytes", cek, sealed(own, cek=cek + cek)),
    ]:
        token = gcmkw(cek=cek, ek=ek, header={"iv": b64(iv), "tag": b64(tag)})
        family.refused(name, f"the key wrap: {title}", str(token), REFUSED, True)


def direct_encryption():
    family = decrypt(
        "dir-encrypted-key",
        ["RFC 7516 section 5.2 step 10", "RFC 7518 section 4.5"],
        "dir",
        "dir and no encrypted key",
        direct(),
    )
    for name, title, ek in [
        ("one-byte", "one byte", b"\0"),
        ("key-length", "as long as the key", drawn("ek", 32)),
        ("wrapped", "the form of a wrapped key", drawn("ek", 40)),
        ("zeros", "32 zeros", bytes(32)),
        ("kilobyte", "1 KiB", bytes(1024)),
        ("tag", "the tag of the content", direct().tag),
        ("of-kw", "the key of a token of A128KW", kw().ek),
    ]:
        family.refused(name, f"dir with an encrypted key: {title}", direct().compact(ek=ek), REFUSED, True)

    family = decrypt(
        "dir-enc",
        ["RFC 7518 section 4.5", "RFC 7518 section 5"],
        "dir",
        "A256GCM with a key of 32 bytes",
        direct(),
        policy="all",
    )
    family.accepted("control-no-kid", "no kid: the key that fits is tried", str(direct(kid=False)), PLAINTEXT)
    own = secret("dir")
    for name, enc, cek in [
        ("a128gcm", "A128GCM", own[:16]),
        ("a192gcm", "A192GCM", own[:24]),
        ("a128cbc", "A128CBC-HS256", own),
        ("a192cbc", "A192CBC-HS384", (own + own)[:48]),
        ("a256cbc", "A256CBC-HS512", own + own),
    ]:
        title = "has the length, and would have to be split" if len(cek) == 32 else "has another length"
        family.refused(name, f"{enc}, for which the key {title}", str(direct(enc=enc, cek=cek)), "policy")
    family.refused(
        "a128gcm-no-kid",
        "A128GCM with the first half of the key, and no kid",
        str(direct(enc="A128GCM", cek=own[:16], kid=False)),
        "key_not_found",
    )
    protected = b64(text(direct().members | {"enc": "A128CBC-HS256"}))
    family.refused(
        "called-cbc",
        "A256GCM called A128CBC-HS256, which has a key as long",
        direct().compact(protected=protected),
        "policy",
    )

    content(
        "dir-content",
        ["RFC 7516 section 5.2", "RFC 7518 section 5.3", "CVE-2025-54887"],
        "dir",
        direct(),
        direct(label="another token"),
    )

    family = decrypt(
        "dir-other-key", ["RFC 7518 section 4.5", "RFC 8725 section 2.1"], "dir", "the key that is shared", direct()
    )
    for name, title, cek in [
        ("zeros", "zeros", bytes(32)),
        ("kid", "the kid", b"dir".ljust(32, b"\0")),
        ("x", "the coordinate x of a public key", unb64(jwk("p256-kw")["x"])),
        ("modulus", "32 bytes of a modulus", unb64(jwk("rsa-oaep")["n"])[:32]),
        ("thumbprint", "a thumbprint of it", drawn("thumbprint", 32)),
    ]:
        family.refused(name, f"sealed with another key: {title}", str(direct(cek=cek)), REFUSED, True)
    for name, title, header in [
        ("epk", "an epk", {"epk": public("p256-kw")}),
        ("p2s", "salt and count of a password", {"p2s": b64(drawn("p2s", 8)), "p2c": 1000}),
    ]:
        token = str(direct(cek=drawn("another key", 32), header=header))
        family.refused(name, f"sealed with another key, and {title} in the header", token, REFUSED, True)


def all_cases():
    key_wrap()
    gcm_key_wrap()
    direct_encryption()
