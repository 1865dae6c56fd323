"""Content encryption: tags, initialization vectors, padding, what is authenticated."""

import json

from cases import Family
from tokens import PLAINTEXT, flipped, kw

from jose import (
    b64,
    drawn,
)

REFUSED = "decryption_failed"


def content():
    gcm_source = ["RFC 7518 section 5.3", "SP 800-38D section 5.2.1.2"]
    family = Family("gcm-tag", gcm_source, "decrypt", ["p256-kw"])
    token = kw()
    family.accepted("control", "16 bytes", str(token), PLAINTEXT)
    for size in [0, 1, 4, 8, 12, 15]:
        family.refused(
            f"bytes-{size}", f"the first {size} bytes of the tag", token.compact(tag=token.tag[:size]), REFUSED, True
        )
    family.refused("long", "the tag and a zero", token.compact(tag=token.tag + b"\0"), REFUSED, True)
    family.refused("flipped", "one bit is another", token.compact(tag=flipped(token.tag, 15)), REFUSED, True)

    family = Family("gcm-iv", ["RFC 7518 section 5.3", "SP 800-38D section 8.2"], "decrypt", ["p256-kw"])
    family.accepted("control", "12 bytes", str(token), PLAINTEXT)
    for size in [8, 11, 13, 16, 32, 64]:
        family.refused(
            f"bytes-{size}",
            f"an IV of {size} bytes, and a tag that is right for it",
            str(kw(iv=drawn("iv", size))),
            REFUSED,
            True,
        )
    family.refused("empty", "no IV", token.compact(iv=b""), REFUSED, True)
    family.refused("flipped", "one bit is another", token.compact(iv=flipped(token.iv)), REFUSED, True)

    cbc_token = kw(enc="A256CBC-HS512")
    family = Family("cbc-tag", "RFC 7518 section 5.2.2.1", "decrypt", ["p256-kw"])
    family.accepted("control", "the first half of the HMAC", str(cbc_token), PLAINTEXT)
    whole = kw(enc="A256CBC-HS512", content={"full": True}).tag
    for name, title, tag in [
        ("bytes-0", "no tag", b""),
        ("bytes-8", "8 bytes", whole[:8]),
        ("bytes-16", "16 bytes, as A128CBC-HS256", whole[:16]),
        ("bytes-31", "31 bytes", whole[:31]),
        ("whole", "all 64 bytes", whole),
        ("second-half", "the second half", whole[32:]),
        ("flipped", "one bit is another", flipped(whole[:32], 31)),
        ("zeros", "zeros", bytes(32)),
    ]:
        family.refused(name, title, cbc_token.compact(tag=tag), REFUSED, True)

    family = Family("cbc-blocks", "RFC 7518 section 5.2.2.2", "decrypt", ["p256-kw"])
    family.accepted("control", "an IV of 16 bytes and whole blocks", str(cbc_token), PLAINTEXT)
    family.refused("iv-12", "an IV of 12 bytes", cbc_token.compact(iv=cbc_token.iv[:12]), REFUSED, True)
    family.refused("iv-17", "an IV of 17 bytes", cbc_token.compact(iv=cbc_token.iv + b"\0"), REFUSED, True)
    family.refused("iv-empty", "no IV", cbc_token.compact(iv=b""), REFUSED, True)
    family.refused(
        "iv-moved",
        "the IV moved into the ciphertext",
        cbc_token.compact(iv=bytes(16), ciphertext=cbc_token.iv + cbc_token.ciphertext),
        REFUSED,
        True,
    )
    family.refused(
        "half-block", "8 bytes of ciphertext", cbc_token.compact(ciphertext=cbc_token.ciphertext[:8]), REFUSED, True
    )
    family.refused("no-block", "no ciphertext", cbc_token.compact(ciphertext=b""), REFUSED, True)
    family.refused(
        "dropped-block",
        "the last block dropped",
        kw(enc="A256CBC-HS512", plaintext=b"content" * 5).compact(
            ciphertext=kw(enc="A256CBC-HS512", plaintext=b"content" * 5).ciphertext[:-16]
        ),
        REFUSED,
        True,
    )
    family.refused(
        "flipped",
        "one bit of the ciphertext",
        cbc_token.compact(ciphertext=flipped(cbc_token.ciphertext)),
        REFUSED,
        True,
    )

    family = Family(
        "cbc-padding", ["RFC 7518 section 5.2.2.2", "Vaudenay 2002", "GHSA-rm8v-mxj3-5rmq"], "decrypt", ["p256-kw"]
    )
    with_padding = lambda padding, plaintext=PLAINTEXT: str(
        kw(enc="A128CBC-HS256", plaintext=plaintext, content={"padding": padding})
    )
    family.accepted("control", "nine bytes of 9", with_padding(b"\x09" * 9), PLAINTEXT)
    for name, title, padding in [
        ("zeros", "zeros", bytes(9)),
        ("too-long", "a length of 17", b"\x11" * 9),
        ("largest", "a length of 255", b"\xff" * 9),
        ("one-wrong", "one byte of it is another", b"\x08" + b"\x09" * 8),
        ("ansi", "zeros and a length (ANSI X9.23)", bytes(8) + b"\x09"),
        ("iso", "0x80 and zeros (ISO 7816-4)", b"\x80" + bytes(8)),
        ("whole-block-wrong", "16, 16 and not all of it", bytes(9) + b"\x0f" + b"\x10" * 15),
        ("longer-than-all", "a length over the whole text", b"\x09" * 8 + b"\x12"),
    ]:
        family.refused(name, f"a padding with a right tag: {title}", with_padding(padding), REFUSED, True)

    family = Family("cbc-al", ["RFC 7518 section 5.2.2.1", "CVE-2016-9123"], "decrypt", ["p256-kw"])
    enc = "A128CBC-HS256"
    family.accepted("control", "the bits of the AAD in 8 bytes", str(kw(enc=enc)), PLAINTEXT)
    bits = len(kw(enc=enc).protected) * 8
    for name, title, al in [
        ("none", "no AL", b""),
        ("bytes", "bytes in place of bits", (bits // 8).to_bytes(8, "big")),
        ("four-bytes", "in 4 bytes", bits.to_bytes(4, "big")),
        ("little-endian", "little-endian", bits.to_bytes(8, "little")),
        ("wrapped-32", "2^32 more: an AL that overflowed 32 bits", (bits + 2**32).to_bytes(8, "big")),
        ("wrapped-64", "as if the AAD had 2^61 bytes more, all of AL being zero", bytes(8)),
        ("ones", "the largest AL", b"\xff" * 8),
    ]:
        family.refused(name, f"AL: {title}", str(kw(enc=enc, content={"al": al})), REFUSED, True)
    family.refused(
        "halves-swapped", "the halves of the key swapped", str(kw(enc=enc, content={"swapped": True})), REFUSED, True
    )

    family = Family("aad-changed", "RFC 7516 section 5.1 step 14", "decrypt", ["p256-kw"])
    family.accepted("control", "the header as it was sealed", str(token), PLAINTEXT)
    header = json.dumps(token.members, separators=(",", ":"))
    reordered = json.dumps(dict(reversed(list(token.members.items()))), separators=(",", ":"))
    for name, title, changed in [
        ("blank", "a blank more", header.replace(":", ": ", 1)),
        ("reordered", "the members in another order", reordered),
        ("member-more", "a member more", header[:-1] + ',"x":1}'),
        ("escaped", "a letter escaped", header.replace('"alg"', '"\\u0061lg"')),
        ("typ-added", "a typ that was not sealed", header[:-1] + ',"typ":"JWT"}'),
        ("line-end", "a line end after it", header + "\n"),
    ]:
        family.refused(
            name,
            f"the header changed after it was sealed: {title}",
            token.compact(protected=b64(changed)),
            REFUSED,
            True,
        )
    enc_changed = b64(header.replace("A256GCM", "A128CBC-HS256"))
    family.refused(
        "enc-changed",
        "A256GCM called A128CBC-HS256, which has a key as long",
        token.compact(protected=enc_changed),
        REFUSED,
        True,
    )
    family.refused(
        "enc-changed-cbc",
        "A128CBC-HS256 called A256GCM",
        kw(enc=enc).compact(
            protected=b64(json.dumps(kw(enc=enc).members, separators=(",", ":")).replace(enc, "A256GCM"))
        ),
        REFUSED,
        True,
    )

    family = Family("parts-mixed", "RFC 7516 section 5.2", "decrypt", ["p256-kw"])
    family.accepted("control", "five parts of one token", str(token), PLAINTEXT)
    other = kw(label="another token")
    for name, title, parts in [
        ("key", "the encrypted key of another token", {"ek": other.ek}),
        ("iv", "the IV of another token", {"iv": other.iv}),
        ("ciphertext", "the ciphertext of another token", {"ciphertext": other.ciphertext}),
        ("tag", "the tag of another token", {"tag": other.tag}),
        ("header", "the header of another token", {"protected": other.protected}),
        ("content", "header and key of one, content of another", {"protected": other.protected, "ek": other.ek}),
        (
            "tag-in-ciphertext",
            "the tag at the end of the ciphertext",
            {"ciphertext": token.ciphertext + token.tag, "tag": b""},
        ),
        ("iv-and-tag", "IV and tag swapped", {"iv": token.tag, "tag": token.iv}),
    ]:
        family.refused(name, title, token.compact(**parts), REFUSED, True)


def all_cases():
    content()
