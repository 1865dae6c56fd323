"""Tokens in JSON serializations that must be refused by their form: before any key is asked."""

from cases import Family, Repeat

from jose import Jwe, b64, ecdsa, gcm, jwk, text

PAYLOAD, PLAINTEXT = b"payload", b"content"
KW, ES = "ECDH-ES+A256KW", "ECDH-ES"


def flattened(key="p256-kw", alg=KW, place=None, more=None, aad=None):
    """A flattened JWE. `place` says in which part a member of the header stands, if not in the
    protected one; `more` has members to add to a part. The content is sealed under what results."""
    base = Jwe(key, alg, plaintext=PLAINTEXT)
    parts = {"protected": {}, "unprotected": {}, "header": {}}
    for name, value in base.members.items():
        parts[(place or {}).get(name, "protected")][name] = value
    for part, members in (more or {}).items():
        parts[part] |= members
    protected = b64(text(parts["protected"])) if parts["protected"] else ""
    authenticated = protected if aad is None else f"{protected}.{b64(aad)}"
    ciphertext, tag = gcm(base.cek, base.iv, authenticated.encode(), PLAINTEXT)
    token = {
        "protected": protected,
        "unprotected": parts["unprotected"],
        "header": parts["header"],
        "encrypted_key": b64(base.ek),
        "aad": b64(aad or b""),
        "iv": b64(base.iv),
        "ciphertext": b64(ciphertext),
        "tag": b64(tag),
    }
    return {name: value for name, value in token.items() if value or name == "ciphertext"}


def general(recipients, **options):
    """A general JWE of one flattened JWE, its recipient repeated or replaced."""
    token = flattened(**options)
    own = {name: token.pop(name) for name in ("header", "encrypted_key") if name in token}
    return token | {"recipients": recipients(own)}


def jws(protected=None, header=None, payload=PAYLOAD, key="es256"):
    """A flattened JWS."""
    protected = {"alg": "ES256", "kid": key} if protected is None else protected
    first = b64(text(protected)) if protected else ""
    signature = b64(ecdsa(key)(f"{first}.{b64(payload)}".encode()))
    token = {"payload": b64(payload), "protected": first, "header": header or {}, "signature": signature}
    return {name: value for name, value in token.items() if value}


def signatures(*tokens):
    """A general JWS of flattened ones with one payload."""
    return {
        "payload": tokens[0]["payload"],
        "signatures": [{name: value for name, value in token.items() if name != "payload"} for token in tokens],
    }


def decrypt(name, source, keys=("p256-kw",), policy="all"):
    family = Family(name, source, "decrypt", keys, policy)
    family.accepted("control", "the same content, compact", str(Jwe("p256-kw", KW)), PLAINTEXT)
    return family


def verify(name, source, keys=("es256",), policy="all"):
    family = Family(name, source, "verify", keys, policy)
    own = jws()
    family.accepted(
        "control", "the same payload, compact", f"{own['protected']}.{own['payload']}.{own['signature']}", PAYLOAD
    )
    return family


def without(token, *names, **changes):
    return {name: value for name, value in token.items() if name not in names} | changes


def jwe_cases():
    family = decrypt("json-jwe-disjoint", "RFC 7516 section 7.2.1")
    for name, title, more in [
        ("alg", "alg in protected and in header", {"header": {"alg": KW}}),
        ("alg-other", "another alg in unprotected", {"unprotected": {"alg": "dir"}}),
        ("enc", "enc in protected and in unprotected", {"unprotected": {"enc": "A256GCM"}}),
        ("kid", "kid in unprotected and in header", {"unprotected": {"kid": "p256-kw"}, "header": {"kid": "p256-kw"}}),
        ("epk", "epk in protected and in header", {"header": {"epk": {}}}),
        ("typ", "typ in protected and in unprotected", {"protected": {"typ": "JWT"}, "unprotected": {"typ": "JWT"}}),
        ("unknown", "an unknown member in unprotected and in header", {"unprotected": {"x": 1}, "header": {"x": 1}}),
        ("all-three", "a member in all three", {"protected": {"x": 1}, "unprotected": {"x": 1}, "header": {"x": 1}}),
    ]:
        place = {"kid": "unprotected"} if name == "kid" else None
        family.refused(name, title, flattened(more=more, place=place), "malformed")

    family = decrypt("json-jwe-unprotected-crit", ["RFC 7516 section 4.1.13", "RFC 7516 section 4.1.3"])
    for name, title, more in [
        ("crit-unprotected", "crit in unprotected", {"unprotected": {"crit": ["x"], "x": 1}}),
        ("crit-header", "crit in header", {"header": {"crit": ["x"], "x": 1}}),
        ("crit-empty", "an empty crit in unprotected", {"unprotected": {"crit": []}}),
        ("zip-unprotected", "zip in unprotected", {"unprotected": {"zip": "DEF"}}),
        ("zip-header", "zip in header", {"header": {"zip": "DEF"}}),
        ("b64-unprotected", "b64 in unprotected", {"unprotected": {"b64": False}}),
        (
            "crit-names-unprotected",
            "a protected crit that names a member of unprotected",
            {"protected": {"crit": ["x"]}, "unprotected": {"x": 1}},
        ),
    ]:
        family.refused(name, title, flattened(more=more), "malformed")

    family = decrypt("json-jwe-strict-unprotected", ["RFC 8725 section 3.1", "RFC 7516 section 7.2.1"], policy="strict")
    for name, title, place in [
        ("alg-shared", "alg in unprotected", {"alg": "unprotected"}),
        ("enc-shared", "enc in unprotected", {"enc": "unprotected"}),
        ("enc-header", "enc in header", {"enc": "header"}),
        ("both", "alg and enc in unprotected", {"alg": "unprotected", "enc": "unprotected"}),
        (
            "all-shared",
            "nothing protected, all in unprotected",
            dict.fromkeys(["alg", "enc", "kid", "epk"], "unprotected"),
        ),
        ("all-header", "nothing protected, all in header", dict.fromkeys(["alg", "enc", "kid", "epk"], "header")),
    ]:
        family.refused(name, f"{title}, under strict", flattened(place=place), "policy")
    family.refused(
        "crit",
        "crit in unprotected, under strict",
        flattened(more={"unprotected": {"crit": ["x"]}}),
        "malformed",
    )

    family = decrypt("json-jwe-recipients", ["RFC 7516 section 7.2.1", "CWE-400"])
    one = flattened()
    own = {"encrypted_key": one["encrypted_key"]}
    front = text(without(one, "encrypted_key", "header"))[:-1] + ',"recipients":['
    family.refused("thousand", "1,000 recipients", [front, Repeat(text(own) + ",", 999), text(own) + "]}"], "malformed")
    family.refused("thirty-three", "33 recipients", general(lambda own: [own] * 33), "malformed")
    family.refused("million", "a million empty recipients", [front, Repeat("{},", 999_999), "{}]}"], "malformed")
    for name, title, value in [
        ("none", "no recipient", []),
        ("null", "null", None),
        ("object", "an object", own),
        ("texts", "texts", ["x"]),
        ("nested", "arrays", [[own]]),
    ]:
        family.refused(
            name, f"recipients is {title}" if value else f"recipients: {title}", general(lambda _: value), "malformed"
        )

    family = decrypt(
        "json-jwe-direct-to-several",
        ["RFC 7516 section 7.2.1", "RFC 7518 sections 4.5 and 4.6"],
        keys=["p256-es", "p256-kw"],
    )
    direct = lambda recipients: general(recipients, key="p256-es", alg=ES)
    family.refused("agreement", "ECDH-ES with two recipients", direct(lambda own: [{}, {}]), "malformed")
    family.refused(
        "agreement-and-wrap",
        "ECDH-ES beside ECDH-ES+A256KW",
        general(
            lambda own: [{"header": {"alg": ES}}, {"header": {"alg": KW}, **own}],
            key="p256-es",
            alg=ES,
            place={"alg": "header"},
        ),
        "malformed",
    )
    family.refused(
        "dir",
        "dir with two recipients",
        general(lambda own: [{"header": {"alg": "dir"}}] * 2, place={"alg": "header"}),
        "malformed",
    )
    family.refused(
        "dir-and-wrap",
        "dir beside ECDH-ES+A256KW",
        general(lambda own: [{"header": {"alg": "dir"}}, own], place={"alg": "header"}),
        "malformed",
    )

    family = decrypt("json-jwe-form", "RFC 7516 sections 7.2.1 and 7.2.2")
    for name, title, token in [
        ("both-forms", "recipients and encrypted_key", one | {"recipients": [own]}),
        ("recipients-and-header", "recipients and header", general(lambda own: [own]) | {"header": {"x": 1}}),
        ("no-ciphertext", "no ciphertext", without(one, "ciphertext")),
        ("ciphertext-number", "a number for ciphertext", one | {"ciphertext": 1}),
        ("ciphertext-null", "null for ciphertext", one | {"ciphertext": None}),
        ("protected-object", "an object for protected", one | {"protected": Jwe("p256-kw", KW).members}),
        ("unprotected-text", "a text for unprotected", one | {"unprotected": b64("{}")}),
        ("tag-array", "an array for tag", one | {"tag": [one["tag"]]}),
    ]:
        family.refused(name, title, token, "malformed")
    family = decrypt("json-jwe-values", "RFC 7516 section 7.2.1")
    for name, value in [
        ("header", []),
        ("header", None),
        ("encrypted_key", None),
        ("encrypted_key", 1),
        ("iv", None),
        ("aad", {}),
        ("aad", None),
        ("protected", None),
    ]:
        kind = {list: "array", type(None): "null", int: "number", dict: "object"}[type(value)]
        family.refused(f"{name}-{kind}", f"{name} is of the type {kind}", one | {name: value}, "malformed")

    family = decrypt("json-jwe-duplicates", ["RFC 7516 section 4", "RFC 7493 section 2.3"])
    line = text(one)
    for name in ["ciphertext", "protected", "encrypted_key", "tag", "iv"]:
        family.refused(name, f"{name} twice", line[:-1] + f',"{name}":"{one[name]}"}}', "malformed")
    family.refused("escaped", "tag once more, escaped", line[:-1] + f',"t\\u0061g":"{one["tag"]}"}}', "malformed")
    family.refused(
        "in-unprotected", "a member twice in unprotected", line[:-1] + ',"unprotected":{"x":1,"x":2}}', "malformed"
    )
    family.refused(
        "recipients", "recipients twice", text(general(lambda own: [own]))[:-1] + ',"recipients":[]}', "malformed"
    )

    family = decrypt("json-jwe-base64url", ["RFC 7516 section 7.2.1", "RFC 4648 section 3.5"])
    for name, title, changes in [
        ("tag-bits", "bits that carry nothing in tag", {"tag": one["tag"][:-1] + chr(ord(one["tag"][-1]) + 1)}),
        ("tag-padded", "padding of tag", {"tag": one["tag"] + "=="}),
        ("iv-blank", "a blank in iv", {"iv": one["iv"] + " "}),
        ("ciphertext-line-end", "a line end in ciphertext", {"ciphertext": one["ciphertext"] + "\n"}),
        ("protected-json", "protected as JSON", {"protected": text(Jwe("p256-kw", KW).members)}),
        ("key-dot", "a dot in encrypted_key", {"encrypted_key": one["encrypted_key"] + "."}),
        ("aad-padded", "padding of aad", {"aad": "QQ=="}),
        ("iv-standard", "the alphabet of base64 in iv", {"iv": "+/" + one["iv"][2:]}),
    ]:
        family.refused(name, title, one | changes, "malformed")

    family = decrypt("json-jwe-text", "RFC 8259 section 2")
    for name, title, token in [
        ("garbage-after", "a letter after the object", line + "x"),
        ("twice", "the object twice", line + line),
        ("bom", "a BOM before it", "\ufeff" + line),
        ("nul", "a NUL after it", line + "\0"),
        ("comment", "a comment", line[:-1] + "/**/}"),
        ("array", "the object in an array", f"[{line}]"),
        (
            "deep",
            "10,000 arrays in unprotected",
            [line[:-1] + ',"unprotected":{"x":', Repeat("[", 10_000), Repeat("]", 10_000), "}}"],
        ),
        ("cut", "the last brace is missing", line[:-1]),
    ]:
        family.refused(name, title, token, "malformed")

    family = decrypt("json-jwe-protected", "RFC 7516 section 4")
    inside = lambda data: one | {"protected": b64(data)}
    header = text(Jwe("p256-kw", KW).members)
    for name, title, token, code in [
        ("array", "the protected header is an array", inside("[]"), "malformed"),
        ("empty-text", "the protected header is an empty text", one | {"protected": ""}, "malformed"),
        ("duplicate", "alg twice in the protected header", inside(header[:-1] + f',"alg":"{KW}"}}'), "malformed"),
        ("none", "no header at all", without(one, "protected"), "malformed"),
        ("no-alg", "no alg in any part", inside('{"enc":"A256GCM"}'), "malformed"),
        ("no-enc", "no enc in any part", inside(f'{{"alg":"{KW}"}}'), "malformed"),
        (
            "unprotected-json",
            "alg none, unprotected beside a protected alg",
            one | {"unprotected": {"alg": "none"}},
            "malformed",
        ),
    ]:
        family.refused(name, title, token, code)


def jws_cases():
    own = jws()
    line = text(own)
    family = verify("json-jws-form", ["RFC 7515 sections 7.2.1 and 7.2.2", "CVE-2024-21664"])
    for name, title, token in [
        ("no-signatures", "no signature in signatures", signatures(own) | {"signatures": []}),
        ("both-forms", "signature and signatures", own | signatures(own)),
        ("header-and-signatures", "header and signatures", signatures(own) | {"header": {"x": 1}}),
        ("no-signature", "no signature", without(own, "signature")),
        (
            "signatures-object",
            "an object for signatures",
            {"payload": own["payload"], "signatures": without(own, "payload")},
        ),
        ("signatures-null", "null for signatures", {"payload": own["payload"], "signatures": None}),
        ("payload-number", "a number for payload", own | {"payload": 1}),
        ("payload-object", "an object for payload", own | {"payload": {}}),
    ]:
        family.refused(name, title, token, "malformed")
    family = verify("json-jws-disjoint", ["RFC 7515 section 7.2.1", "CVE-2016-9122"])
    protected = {"alg": "ES256", "kid": "es256"}
    for name, title, header in [
        ("alg", "alg in protected and in header", {"alg": "ES256"}),
        ("alg-none", "alg none in header beside ES256 in protected", {"alg": "none"}),
        ("kid", "kid in both", {"kid": "es256"}),
        ("kid-other", "another kid in header", {"kid": "other"}),
    ]:
        family.refused(name, title, jws(header=header), "malformed")
    family.refused("unknown", "an unknown member in both", jws(protected | {"x": 1}, {"x": 1}), "malformed")
    family.refused("general", "alg in both, in the general form", signatures(jws(header={"alg": "ES256"})), "malformed")
    family = verify("json-jws-unprotected-crit", ["RFC 7515 section 4.1.11", "RFC 7797 section 3"])
    for name, title, more, header in [
        ("crit", "crit in header", {}, {"crit": ["x"], "x": 1}),
        ("crit-empty", "an empty crit in header", {}, {"crit": []}),
        ("b64", "b64 in header", {}, {"b64": False}),
        ("b64-crit", "b64 and crit in header", {}, {"b64": False, "crit": ["b64"]}),
        ("crit-names-header", "a protected crit that names a member of header", {"crit": ["x"]}, {"x": 1}),
        ("crit-b64-header", "a protected crit that names b64, which is in header", {"crit": ["b64"]}, {"b64": False}),
    ]:
        family.refused(name, title, jws(protected | more, header), "malformed")
    family = verify("json-jws-strict-unprotected", ["RFC 8725 section 3.1", "RFC 7515 section 7.2.1"], policy="strict")
    family.refused("alg", "alg in header, under strict", jws({"kid": "es256"}, {"alg": "ES256"}), "policy")
    family.refused("all", "nothing protected, under strict", jws({}, protected), "policy")
    family.refused(
        "general",
        "nothing protected, in the general form, under strict",
        signatures(jws({}, protected)),
        "policy",
    )
    family.refused("jwk", "a jwk in header, under strict", jws(header={"jwk": jwk("stranger")}), "policy")
    family = verify("json-jws-none", ["RFC 8725 section 3.2", "RFC 7515 appendix A.5"])
    none = {"payload": own["payload"], "signature": ""}
    for name, title, token, code in [
        ("header", "alg none in header, no signature", none | {"header": {"alg": "none"}}, "policy"),
        ("protected", "alg none in protected, no signature", none | {"protected": b64('{"alg":"none"}')}, "policy"),
        (
            "general",
            "alg none in the general form",
            {"payload": own["payload"], "signatures": [{"protected": b64('{"alg":"none"}'), "signature": ""}]},
            "policy",
        ),
        ("no-alg", "no header and no signature", none, "malformed"),
        ("no-alg-general", "an empty signature object", {"payload": own["payload"], "signatures": [{}]}, "malformed"),
        (
            "good-signature",
            "alg none in header, and the signature of another",
            none | {"header": {"alg": "none"}, "signature": own["signature"]},
            "policy",
        ),
    ]:
        family.refused(name, title, token, code)
    family = verify("json-jws-duplicates", ["RFC 7515 section 4", "RFC 7493 section 2.3"])
    for name in ["payload", "signature", "protected"]:
        family.refused(name, f"{name} twice", line[:-1] + f',"{name}":"{own[name]}"}}', "malformed")
    family.refused(
        "payload-other", "another payload before the signed one", line.replace("{", '{"payload":"QQ",', 1), "malformed"
    )
    family.refused("escaped", "payload once more, escaped", line[:-1] + ',"p\\u0061yload":"QQ"}', "malformed")
    family.refused("signatures", "signatures twice", text(signatures(own))[:-1] + ',"signatures":[]}', "malformed")
    family.refused("in-header", "a member twice in header", line[:-1] + ',"header":{"x":1,"x":2}}', "malformed")
    family = verify("json-jws-signatures", ["RFC 7515 section 7.2.1", "CWE-400"])
    one = text(without(own, "payload"))
    front = f'{{"payload":"{own["payload"]}","signatures":['
    family.refused("thousand", "1,000 signatures", [front, Repeat(one + ",", 999), one + "]}"], "malformed")
    family.refused("thirty-three", "33 signatures", signatures(*[own] * 33), "malformed")
    family.refused("million", "a million empty signatures", [front, Repeat("{},", 999_999), "{}]}"], "malformed")
    family.refused("texts", "texts in signatures", {"payload": own["payload"], "signatures": ["x"]}, "malformed")
    family.refused(
        "nested", "signatures in signatures", {"payload": own["payload"], "signatures": [signatures(own)]}, "malformed"
    )
    family = verify("json-jws-text", "RFC 8259 section 2")
    for name, title, token in [
        ("garbage-after", "a letter after the object", line + "x"),
        ("twice", "the object twice", line + line),
        ("bom", "a BOM before it", "\ufeff" + line),
        ("nul", "a NUL after it", line + "\0"),
        ("array", "the object in an array", f"[{line}]"),
        ("single-quotes", "single quotes", line.replace('"', "'")),
        (
            "deep",
            "10,000 arrays in header",
            [line[:-1] + ',"header":{"x":', Repeat("[", 10_000), Repeat("]", 10_000), "}}"],
        ),
        ("cut", "the last brace is missing", line[:-1]),
    ]:
        family.refused(name, title, token, "malformed")
    family = verify("json-jws-b64", "RFC 7797 sections 3 and 6")
    raw = lambda header, payload: {
        "payload": payload,
        "protected": b64(text(header)),
        "signature": b64(ecdsa("es256")(f"{b64(text(header))}.{payload}".encode())),
    }
    family.refused(
        "not-critical",
        "b64 false, and crit does not say so",
        raw(protected | {"b64": False}, "payload"),
        "malformed",
    )
    family.refused(
        "text",
        "b64 is the text false",
        raw(protected | {"b64": "false", "crit": ["b64"]}, "payload"),
        "malformed",
    )
    family.refused(
        "differs",
        "two signatures of which one has b64 false",
        signatures(own, raw(protected | {"b64": False, "crit": ["b64"]}, own["payload"])),
        "malformed",
    )
    family.refused(
        "payload-not-base64url",
        "a payload that is not base64url, signed as it is, and b64 is not there",
        raw(protected, "a.b"),
        "malformed",
    )


def all_cases():
    jwe_cases()
    jws_cases()
