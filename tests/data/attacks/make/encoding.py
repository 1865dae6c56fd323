"""base64url, parts, and one form passed off as another."""

from cases import Family, Repeat
from tokens import PAYLOAD, PLAINTEXT, decrypt, es256, es_header, kw, verify

from jose import (
    b64,
    ecdsa,
    text,
)


def encoding():
    def changed(token, part, change):
        parts = token.split(".")
        parts[part] = change(parts[part])
        return ".".join(parts)

    # In each, the part means the same octets to a decoder that is not strict.
    signed = verify("base64url", ["RFC 7515 section 2", "RFC 4648 section 3.5"])
    token, sealed_token = es256(), str(kw())
    bits = lambda part: part[:-1] + chr(ord(part[-1]) + 1)
    signed_as_is = lambda data: f"{data}.{b64(ecdsa('es256')(data.encode()))}"
    header, payload, _ = token.split(".")
    assert all(len(part) % 4 for part in token.split(".") + sealed_token.split(".")[1:2])
    for name, title, value in [
        (
            "header-bits",
            "bits that carry nothing in the header, signed with them",
            signed_as_is(f"{bits(header)}.{payload}"),
        ),
        (
            "payload-bits",
            "bits that carry nothing in the payload, signed with them",
            signed_as_is(f"{header}.{bits(payload)}"),
        ),
        ("signature-bits", "bits that carry nothing in the signature", changed(token, 2, bits)),
        ("padded", "padding", changed(token, 2, lambda it: it + "==")),
        ("line-end", "a line end in the signature", changed(token, 2, lambda it: it[:40] + "\n" + it[40:])),
        ("blank", "a blank in the payload, signed with it", signed_as_is(f"{header}.{payload[:4]} {payload[4:]}")),
        ("one-letter", "one letter too many", changed(token, 2, lambda it: it + "AAA")),
        ("star", "a letter of no alphabet", changed(token, 2, lambda it: it[:9] + "*" + it[10:])),
    ]:
        signed.refused(name, title, value, "malformed")
    standard = next(
        t for t in (es256(payload=PAYLOAD + bytes([i])) for i in range(99)) if {"-", "_"} & set(t.split(".")[2])
    )
    signed.refused(
        "standard-alphabet",
        "the alphabet of base64",
        changed(standard, 2, lambda it: it.replace("-", "+").replace("_", "/")),
        "malformed",
    )
    sealed = decrypt("base64url-jwe", ["RFC 7516 section 2", "RFC 4648 section 3.5"])
    for name, title, value in [
        ("key-bits", "bits that carry nothing in the encrypted key", changed(sealed_token, 1, bits)),
        ("tag-bits", "bits that carry nothing in the tag", changed(sealed_token, 4, bits)),
        ("key-padded", "padding of the encrypted key", changed(sealed_token, 1, lambda it: it + "==")),
        ("iv-blank", "a blank in the IV", changed(sealed_token, 2, lambda it: it + " ")),
        ("ciphertext-bits", "bits that carry nothing in the ciphertext", changed(sealed_token, 3, bits)),
        ("tag-line-end", "a line end in the tag", changed(sealed_token, 4, lambda it: it[:8] + "\r\n" + it[8:])),
        ("iv-standard", "the alphabet of base64 in the IV", changed(sealed_token, 2, lambda it: "+/" + it[2:])),
        ("tag-letter", "one letter of a tag", changed(sealed_token, 4, lambda it: "A")),
    ]:
        sealed.refused(name, title, value, "malformed")

    family = verify("white-space-and-wrappers", ["RFC 7515 section 7.1", "CWE-20"])
    for name, title, value in [
        ("blank-before", "a blank before the token", " " + token),
        ("line-end-after", "a line end after the token", token + "\n"),
        ("bom", "a BOM before the token", "\ufeff" + token),
        ("nul", "a NUL after the token", token + "\0"),
        ("bearer", "the word Bearer before it", "Bearer " + token),
        ("quoted", "the token in quotes", f'"{token}"'),
        ("percent", "percent-encoded dots", token.replace(".", "%2E")),
        ("folded", "a line end after each dot", token.replace(".", ".\n")),
    ]:
        family.refused(name, title, value, "malformed")
    family = decrypt("look-alikes", ["Unicode Technical Report 36", "CWE-1007"])
    for name, title, value in [
        ("full-width-dot", "full-width dots", sealed_token.replace(".", "\uff0e")),
        ("one-dot-leader", "one dot leaders", sealed_token.replace(".", "\u2024")),
        ("zero-width", "a zero-width space after the header", sealed_token.replace(".", "\u200b.", 1)),
        ("cyrillic", "a Cyrillic letter in the tag", sealed_token[:-1] + "\u0410"),
        ("soft-hyphen", "a soft hyphen in the header", sealed_token[:5] + "\u00ad" + sealed_token[5:]),
        ("not-utf-8", "a byte that is not UTF-8", sealed_token.encode() + b"\xff"),
        ("utf-16", "the token in UTF-16", sealed_token.encode("utf-16-le")),
        ("bom", "a BOM before the token", "\ufeff" + sealed_token),
    ]:
        family.refused(name, title, value, "malformed")


def parts():
    token, sealed_token = es256(), str(kw())
    header, payload, signature = token.split(".")
    family = verify("number-of-parts", "RFC 7515 section 7.1")
    for name, title, value in [
        ("one", "one part", header),
        ("two", "two parts", f"{header}.{payload}"),
        ("four", "four parts", token + ".AAAA"),
        ("empty-fourth", "a dot after the signature", token + "."),
        ("six", "six parts", token + "." + token),
        ("empty", "nothing", ""),
        ("dots", "two dots", ".."),
        ("dot-before", "a dot before the token", "." + token),
    ]:
        family.refused(name, title, value, "malformed")
    family = decrypt("number-of-parts-jwe", "RFC 7516 section 7.1")
    four = sealed_token.rsplit(".", 1)[0]
    for name, title, value in [
        ("one", "one part", sealed_token.split(".")[0]),
        ("three", "three parts", ".".join(sealed_token.split(".")[:3])),
        ("four", "four parts", four),
        ("six", "six parts", sealed_token + ".AAAA"),
        ("empty-sixth", "a dot after the tag", sealed_token + "."),
        ("dots", "four dots", "...."),
        ("no-header", "no header", "." + sealed_token.split(".", 1)[1]),
        ("twice", "the token twice", f"{sealed_token}.{sealed_token}"),
    ]:
        family.refused(name, title, value, "malformed")
    family = verify("dot-flood", ["CVE-2025-27144", "CWE-400"])
    family.refused("dots", "a million dots", [Repeat(".", 1_000_000)], "malformed")
    family.refused("after-token", "a token and a million dots", [token, Repeat(".", 1_000_000)], "malformed")
    family.refused("parts", "a million parts", [Repeat("AAAA.", 1_000_000)], "malformed")
    family.refused("spaces", "a token and a million blanks", [token, Repeat(" ", 1_000_000)], "malformed")
    family.refused(
        "jwe",
        "a JWE and a million dots",
        [sealed_token, Repeat(".", 1_000_000)],
        "malformed",
        operation="decrypt",
        keys=["p256-kw"],
    )
    family.accepted(
        "control-jwe", "the JWE without them", sealed_token, PLAINTEXT, operation="decrypt", keys=["p256-kw"]
    )

    empties = decrypt("empty-parts", ["RFC 7516 section 5.2", "RFC 7518 section 5.3"])
    for name, title, given in [
        ("key", "no encrypted key", {"ek": b""}),
        ("iv", "no IV", {"iv": b""}),
        ("tag", "no tag", {"tag": b""}),
        ("ciphertext", "no ciphertext, with the tag of another", {"ciphertext": b""}),
        ("all", "nothing but the header", {"ek": b"", "iv": b"", "ciphertext": b"", "tag": b""}),
    ]:
        empties.refused(name, title, kw().compact(**given), "decryption_failed", True)
    empties.accepted("control-empty", "an empty content with its own tag", str(kw(plaintext=b"")), b"")


def forms():
    token, sealed_token = es256(), str(kw())
    source = ["RFC 7516 section 9", "CVE-2022-3102", "CVE-2022-39174", "CVE-2023-51774"]
    family = Family("sign-encrypt-confusion", source, "verify", ["es256", "rsa-any"])
    family.accepted("control", "a JWS", token, PAYLOAD)
    family.refused("jwe", "a JWE", sealed_token, "malformed")
    family.refused("enc", "a JWS with enc", es256(es_header(enc="A256GCM")), "policy")
    for name, alg in [
        ("oaep", "RSA-OAEP"),
        ("ecdh", "ECDH-ES"),
        ("dir", "dir"),
        ("a128kw", "A128KW"),
        ("enc", "A128GCM"),
    ]:
        family.refused(f"alg-{name}", f"a JWS whose alg is {alg}", es256(es_header(alg=alg)), "policy")
    family.refused("rsa-dir", "alg dir and enc, signed", es256(es_header(alg="dir", enc="A256GCM")), "policy")
    family = Family("encrypt-sign-confusion", source, "decrypt", ["p256-kw", "rsa-oaep"])
    family.accepted("control", "a JWE", sealed_token, PLAINTEXT)
    family.refused("jws", "a JWS", token, "malformed")
    family.refused("jws-five", "a JWS with two empty parts", f"{token}..", "policy")
    for alg in ["ES256", "RS256", "HS256", "EdDSA", "none"]:
        family.refused(f"alg-{alg.lower()}", f"a JWE whose alg is {alg}", str(kw(header={"alg": alg})), "policy")
    family.refused(
        "payload",
        "a JWE whose content is in the clear",
        f"{kw().protected}...{b64(PLAINTEXT)}.",
        "decryption_failed",
        True,
    )

    header, payload, signature = token.split(".")
    flattened = {"protected": header, "payload": payload, "signature": signature}
    names = ("protected", "encrypted_key", "iv", "ciphertext", "tag")
    encrypted = dict(zip(names, sealed_token.split("."), strict=True))
    family = Family(
        "polyglot",
        ["Tervoort 2023, Three New Attacks Against JSON Web Tokens", "CVE-2022-39227"],
        "verify",
        ["es256"],
    )
    family.accepted("control", "a compact JWS", token, PAYLOAD)
    for name, title, value in [
        ("both-forms", "an object that is a JWS and a JWE", text(flattened | encrypted)),
        ("compact-in-json", "a compact token as the payload member and no more", text({"payload": token})),
        ("json-then-compact", "an object and a compact token", text(flattened) + token),
        ("compact-then-json", "a compact token and an object", token + text(flattened)),
        ("jws-and-jwe", "a JWS and a JWE, a dot between", f"{token}.{sealed_token}"),
        ("array", "an array of tokens", text([token, token])),
        ("json-text", "a compact token as a JSON text", text(token)),
    ]:
        family.refused(name, title, value, "malformed")
    family.refused(
        "both-as-jwe",
        "an object that is a JWS and a JWE, to decrypt",
        text(flattened | encrypted),
        "malformed",
        operation="decrypt",
        keys=["p256-kw"],
    )
    family.accepted("control-jwe", "a compact JWE", sealed_token, PLAINTEXT, operation="decrypt", keys=["p256-kw"])


def all_cases():
    encoding()
    parts()
    forms()
