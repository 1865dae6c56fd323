"""JSON texts that must not be read, and too large ones."""

import json

from cases import Repeat
from tokens import HEADER, KW, PAYLOAD, decrypt, es256, kw, verify

from jose import (
    Jwe,
    b64,
)


def json_forms():
    """Each in the header of a JWS and of a JWE: one parser reads both, and a test says so."""
    forms = [
        ("trailing-comma", "a comma before the end", lambda it: it[:-1] + ",}"),
        ("comment", "a comment", lambda it: it[:-1] + "/* */}"),
        ("single-quotes", "single quotes", lambda it: it.replace('"', "'")),
        ("no-quotes", "names without quotes", lambda it: it.replace('"alg"', "alg")),
        ("object-twice", "two objects", lambda it: it + it),
        ("garbage-after", "a letter after the object", lambda it: it + "x"),
        ("array", "the object in an array", lambda it: f"[{it}]"),
        ("text", "the object in a text", json.dumps),
    ]
    signed, sealed = verify("json-syntax", "RFC 8259 section 2"), decrypt("json-syntax-jwe", "RFC 8259 section 2")
    for name, title, change in forms:
        signed.refused(name, f"the header has {title}", es256(change(HEADER)), "malformed")
        sealed.refused(name, f"the header has {title}", str(kw(header=change)), "malformed")

    signed = verify("json-white-space", ["RFC 8259 section 2", "RFC 7515 appendix A.1"])
    signed.accepted(
        "control-white-space", "white space that JSON allows", es256('{"alg":"ES256",\r\n "kid":"es256"}'), PAYLOAD
    )
    for name, title, header in [
        ("bom", "a BOM before the header", "\ufeff" + HEADER),
        ("form-feed", "a form feed", HEADER.replace(",", ",\f")),
        ("no-break", "a no-break space", HEADER.replace(",", ",\u00a0")),
        ("nul-after", "a NUL after the header", HEADER + "\0"),
        ("nul-before", "a NUL before the header", "\0" + HEADER),
        ("vertical-tab", "a vertical tab", HEADER.replace(",", ",\v")),
        ("line-separator", "a line separator", HEADER.replace(",", ",\u2028")),
        ("raw-line-end", "a line end in a text", HEADER.replace("es256", "es\n256")),
    ]:
        signed.refused(name, title, es256(header), "malformed")

    signed = verify("json-values", ["RFC 8259 section 3", "RFC 7515 section 4"])
    for name, title, header in [
        ("empty", "nothing", ""),
        ("null", "null", "null"),
        ("number", "a number", "1"),
        ("true", "true", "true"),
        ("empty-object", "an object of nothing", "{}"),
        ("empty-array", "an array of nothing", "[]"),
        ("open", "an object that is not closed", HEADER[:-1]),
        ("text", "a text", '"ES256"'),
    ]:
        token = es256(header) if header else "." + es256().split(".", 1)[1]
        signed.refused(name, f"the header is {title}", token, "malformed")

    signed = verify("json-numbers", ["RFC 8259 section 6", "RFC 7493 section 2.2"])
    for name, title, value in [
        ("overflow", "1e999, which no double holds", "1e999"),
        ("nan", "NaN", "NaN"),
        ("infinity", "Infinity", "-Infinity"),
        ("leading-zero", "a leading zero", "01"),
        ("plus", "a plus sign", "+1"),
        ("hex", "hexadecimal", "0x10"),
        ("no-fraction", "a point and nothing after it", "1."),
        ("minus", "a minus sign alone", "-"),
    ]:
        signed.refused(name, f"a member with {title}", es256(HEADER[:-1] + f',"x":{value}}}'), "malformed")

    signed = verify("json-unicode", ["RFC 8259 sections 7 and 8", "RFC 7493 section 2.1", "RFC 8725 section 3.7"])
    for name, title, header in [
        ("lone-high", "a high surrogate alone", HEADER[:-1] + ',"x":"\\ud800"}'),
        ("lone-low", "a low surrogate alone", HEADER[:-1] + ',"x":"\\udc00"}'),
        ("reversed", "a surrogate pair the wrong way round", HEADER[:-1] + ',"x":"\\udc00\\ud800"}'),
        ("cut-escape", "an escape that is cut", HEADER[:-1] + ',"x":"\\u00"}'),
        ("not-utf-8", "a byte that is not UTF-8", HEADER[:-1].encode() + b',"x":"\xff"}'),
        ("overlong", "a quote in two bytes", HEADER.encode().replace(b'"kid"', b'\xc0\xa2kid"')),
        ("utf-16", "UTF-16", HEADER.encode("utf-16")),
        ("cesu-8", "a surrogate in three bytes", HEADER[:-1].encode() + b',"x":"\xed\xa0\x80"}'),
    ]:
        signed.refused(name, f"the header has {title}", es256(header), "malformed")

    signed = verify("duplicate-members", ["RFC 7515 section 10.12", "RFC 7493 section 2.3"])
    nested = HEADER[:-1] + ',"x":%s}'
    for name, title, header in [
        ("alg-same", "alg twice, with the same value", HEADER.replace("{", '{"alg":"ES256",')),
        ("alg-none-first", "alg none, then ES256", HEADER.replace("{", '{"alg":"none",')),
        ("alg-none-last", "alg ES256, then none", HEADER[:-1] + ',"alg":"none"}'),
        ("kid", "kid twice", HEADER[:-1] + ',"kid":"other"}'),
        ("escaped", "alg once more, escaped", HEADER[:-1] + ',"\\u0061lg":"none"}'),
        ("nested", "a member twice in an object", nested % '{"a":1,"a":2}'),
        ("in-array", "a member twice in an object in an array", nested % '[{"a":1,"a":1}]'),
        ("unknown", "an unknown member twice", HEADER[:-1] + ',"x":1,"x":1}'),
    ]:
        signed.refused(name, title, es256(header), "malformed")
    sealed = decrypt("duplicate-members-jwe", ["RFC 7516 section 4", "RFC 7493 section 2.3"])
    for name, title, change in [
        ("alg", "alg twice", lambda it: it.replace("{", '{"alg":"dir",', 1)),
        ("enc", "enc twice", lambda it: it[:-1] + ',"enc":"A128GCM"}'),
        ("kid", "kid twice", lambda it: it[:-1] + ',"kid":"other"}'),
        ("epk", "epk twice", lambda it: it[:-1] + ',"epk":{}}'),
        ("epk-x", "x twice in epk", lambda it: it.replace('"x":', '"x":"AA","x":', 1)),
        ("escaped", "enc once more, escaped", lambda it: it[:-1] + ',"e\\u006ec":"A128GCM"}'),
    ]:
        sealed.refused(name, title, str(kw(header=change)), "malformed")

    deep = lambda count, left, right: HEADER[:-1] + ',"x":' + left * count + "1" + right * count + "}"
    signed = verify("json-depth", ["RFC 8259 section 9", "CWE-674"])
    signed.accepted("control-deep", "30 arrays in each other", es256(deep(30, "[", "]")), PAYLOAD)
    for name, title, header in [
        ("arrays-33", "33 arrays", deep(33, "[", "]")),
        ("arrays-1000", "1,000 arrays", deep(1000, "[", "]")),
        ("objects-1000", "1,000 objects", deep(1000, '{"a":', "}")),
        ("mixed", "200 objects in arrays", deep(200, '[{"a":', "}]")),
        ("open", "5,000 arrays that are not closed", HEADER[:-1] + ',"x":' + "[" * 5000),
    ]:
        signed.refused(name, f"{title} in each other", es256(header), "malformed")
    rest = es256().split(".", 1)[1]
    signed.refused("million", "a million arrays in each other", [Repeat(b64("[[["), 333_333), ".", rest], "malformed")


def sizes():
    signed = verify("header-size", ["RFC 8259 section 9", "CWE-400"])
    long = lambda length: es256(HEADER[:-1] + f',"x":"{"x" * length}"}}')
    signed.accepted("control-kilobyte", "a member of 8 KiB", long(8192), PAYLOAD)
    rest = es256().split(".", 1)[1]
    signed.refused("over-16-kib", "a header of 16 KiB and more", long(16 * 1024), "malformed")
    signed.refused(
        "members", "2,000 members", es256(HEADER[:-1] + "".join(f',"m{i}":{i}' for i in range(2000)) + "}"), "malformed"
    )
    signed.refused("megabytes", "a header of 3 MiB", [Repeat(b64("xxx"), 1 << 20), ".", rest], "malformed")
    signed.refused(
        "over-any-limit",
        "a token of 33 MiB",
        [b64(HEADER), ".", Repeat("AAAA", 33 << 18), ".", rest.split(".")[1]],
        "malformed",
    )
    signed.refused("digits", "a number of 20,000 digits", es256(HEADER[:-1] + f',"x":{"1" * 20_000}}}'), "malformed")
    signed.refused(
        "crit", "3,000 names in crit", es256(HEADER[:-1] + ',"crit":[' + ",".join(['"x"'] * 5000) + "]}"), "malformed"
    )
    sealed = decrypt("header-size-jwe", ["RFC 8259 section 9", "CWE-400"])
    member = lambda length: lambda it: it[:-1] + f',"x":"{"x" * length}"}}'
    sealed.refused("over-16-kib", "a header of 16 KiB and more", str(kw(header=member(16 * 1024))), "malformed")
    sealed.refused("apu", "apu of 12 KiB", str(Jwe("p256-kw", KW, apu=bytes(12 * 1024))), "malformed")
    sealed.refused(
        "over-any-limit",
        "a ciphertext of 33 MiB",
        [kw().protected, ".", b64(kw().ek), ".", b64(kw().iv), ".", Repeat("AAAA", 33 << 18), ".", b64(kw().tag)],
        "malformed",
    )
    sealed.refused(
        "megabytes",
        "a header of 3 MiB",
        [Repeat(b64("xxx"), 1 << 20), ".", kw().compact().split(".", 1)[1]],
        "malformed",
    )


def all_cases():
    json_forms()
    sizes()
