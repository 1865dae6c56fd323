"""Claims that a context must not take."""

from cases import Family
from nested import FUTURE, ISSUER, OTHER, PAST, TYP, US, claims, signed


def all_cases():
    def family(name, source, control=None, context="access_token"):
        made = Family(name, source, "open", policy="strict", context=context)
        made.accepted(
            "control", "claims as they must be", signed(control, typ=TYP[context]), control or claims(), context=context
        )
        return made

    def all_of(it, cases, codes="claim"):
        for name, title, change in cases:
            payload = change if isinstance(change, (str, bytes)) else claims(**change)
            it.refused(name, title, signed(payload, typ=TYP[it.context]), codes)

    dates = [
        ("text", "as text", "4102444800"),
        ("true", "true", True),
        ("null", "null", None),
        ("array", "in an array", [FUTURE]),
        ("negative", "below 0", -1),
    ]
    it = family("claim-exp", "RFC 7519 section 4.1.4")
    all_of(it, [(name, f"exp {title}", {"exp": value}) for name, title, value in dates])
    all_of(
        it,
        [
            ("absent", "no exp", {"exp": ...}),
            ("past", "exp in the past", {"exp": PAST + 60}),
            ("milliseconds", "exp in milliseconds, over 2^53 microseconds", {"exp": FUTURE * 10**7}),
        ],
    )
    it = family("claim-nbf", "RFC 7519 section 4.1.5", claims(nbf=PAST))
    all_of(it, [(name, f"nbf {title}", {"nbf": value}) for name, title, value in dates])
    all_of(
        it,
        [
            ("future", "nbf in 2100", {"nbf": FUTURE - 1}),
            ("huge", "nbf 1e300", claims(nbf=0).replace('"nbf":0', '"nbf":1e300')),
        ],
    )
    it = family("claim-iat", "RFC 7519 section 4.1.6")
    all_of(it, [(name, f"iat {title}", {"iat": value}) for name, title, value in dates])
    all_of(it, [("future", "iat in 2100", {"iat": FUTURE - 1}), ("object", "an object", {"iat": {}})])
    it = family("claim-aud", ["RFC 7519 section 4.1.3", "CVE-2020-26160", "CVE-2025-27370"], claims(aud=["x", US]))
    all_of(
        it,
        [
            ("absent", "no aud", {"aud": ...}),
            ("empty", "an empty array", {"aud": []}),
            ("other", "another audience", {"aud": OTHER}),
            ("suffix", "our name and more", {"aud": US + ".attacker.example"}),
            ("object", "an object with our name", {"aud": {US: True}}),
            ("mixed", "our name and a number", {"aud": [US, 1]}),
            ("nested", "our name in an array in an array", {"aud": [[US]]}),
            ("case", "our name in upper case", {"aud": US.upper()}),
        ],
    )
    it = family("claim-iss", ["RFC 7519 section 4.1.1", "CVE-2025-30144"])
    all_of(
        it,
        [
            ("absent", "no iss", {"iss": ...}),
            ("other", "another issuer", {"iss": OTHER}),
            ("array", "an array with the issuer", {"iss": [ISSUER]}),
            ("array-of-two", "an array with the issuer and another", {"iss": ["https://attacker.example", ISSUER]}),
            ("slash", "a slash after it", {"iss": ISSUER + "/"}),
            ("case", "in upper case", {"iss": ISSUER.upper()}),
            ("null", "null", {"iss": None}),
            ("prefix", "the issuer and more", {"iss": ISSUER + ".attacker.example"}),
        ],
    )
    it = family("claim-types", ["RFC 7519 section 4.1.2", "RFC 7519 section 4.1.7"])
    all_of(
        it,
        [
            ("sub-number", "a number for sub", {"sub": 1}),
            ("sub-array", "an array for sub", {"sub": ["alice"]}),
            ("sub-null", "null for sub", {"sub": None}),
            ("jti-number", "a number for jti", {"jti": 1}),
            ("jti-object", "an object for jti", {"jti": {}}),
            ("jti-true", "true for jti", {"jti": True}),
        ],
    )
    it = family("claims-json", ["RFC 7519 section 4", "RFC 8259"])
    all_of(
        it,
        [
            ("array", "an array", "[]"),
            ("null", "null", "null"),
            ("twice", "the claims twice", claims() + claims()),
            ("empty", "nothing", b""),
            ("bom", "a BOM before", "\ufeff" + claims()),
            ("not-utf-8", "a byte that is not UTF-8", claims().encode().replace(b"alice", b"al\xffce")),
            ("comment", "a comment", claims()[:-1] + "/**/}"),
            ("nul", "a NUL after", claims() + "\0"),
        ],
        "malformed",
    )
    it = family("claims-duplicate", ["RFC 7519 section 4", "RFC 7515 section 10.12"])
    doubled = lambda member, value: claims().replace("{", "{" + f'"{member}":{value},', 1)
    all_of(
        it,
        [
            ("aud", "aud twice", doubled("aud", '"https://attacker.example"')),
            ("iss", "iss twice", doubled("iss", '"https://attacker.example"')),
            ("exp", "exp twice", doubled("exp", "1")),
            ("sub", "sub twice", doubled("sub", '"root"')),
            ("same", "sub twice, with the same value", doubled("sub", '"alice"')),
            ("escaped", "sub once more, escaped", doubled("s\\u0075b", '"root"')),
            ("nested", "a member twice in an object", doubled("x", '{"a":1,"a":2}')),
            ("deep", "a member twice, ten deep", doubled("x", "[" * 10 + '{"a":1,"a":2}' + "]" * 10)),
        ],
        "malformed",
    )
    it = family("claims-depth", ["RFC 8259 section 9", "CWE-674"])
    deep = lambda count, left, right: claims()[:-1] + ',"x":' + left * count + "1" + right * count + "}"
    all_of(
        it,
        [
            ("arrays-33", "arrays, 33 deep", deep(33, "[", "]")),
            ("arrays-10000", "arrays, 10,000 deep", deep(10_000, "[", "]")),
            ("objects-1000", "objects, 1,000 deep", deep(1000, '{"a":', "}")),
            ("open", "10,000 arrays that are not closed", claims()[:-1] + ',"x":' + "[" * 10_000),
        ],
        "malformed",
    )

    it = family("issuer-of-another-key", "RFC 8725 section 3.8", context="logout_token")
    it.accepted(
        "control-other",
        "the other issuer with its own key",
        signed(claims(iss=OTHER), "logout+jwt", "other-issuer"),
        claims(iss=OTHER),
    )
    it.refused(
        "issuer-by-other",
        "the other issuer's key says the first issuer",
        signed(typ="logout+jwt", key="other-issuer"),
        "claim",
    )
    it.refused("other-by-issuer", "the issuer's key says the other", signed(claims(iss=OTHER), "logout+jwt"), "claim")
    it.refused(
        "kid-of-issuer",
        "the other issuer's key with the kid of the first",
        signed(typ="logout+jwt", key="other-issuer", kid="issuer"),
        "signature_invalid",
    )
    it.refused(
        "no-kid",
        "the other issuer's key, no kid, says the first",
        signed(typ="logout+jwt", key="other-issuer", kid=...),
        "claim",
    )
    it.refused("array", "both issuers in an array", signed(claims(iss=[ISSUER, OTHER]), "logout+jwt"), "claim")
    it.refused(
        "stranger", "an issuer that nobody knows", signed(claims(iss="https://stranger.example"), "logout+jwt"), "claim"
    )

    at = PAST + 100
    it = Family(
        "lifetime",
        ["RFC 7519 sections 4.1.4 to 4.1.6", "CWE-613"],
        "open",
        policy="strict",
        context="short_lived",
        at=at,
    )
    short = lambda **changes: signed(claims(**{"iat": PAST, "exp": PAST + 300} | changes), "short+jwt")
    it.accepted("control", "300 seconds, in the middle of them", short(), claims(iat=PAST, exp=PAST + 300))
    it.accepted(
        "control-skew", "9 seconds after exp, with a skew of 10", short(exp=at - 9), claims(iat=PAST, exp=at - 9)
    )
    for name, title, changes in [
        ("longer", "301 seconds", {"exp": PAST + 301}),
        ("no-iat", "no iat", {"iat": ...}),
        ("century", "until 2100", {"exp": FUTURE}),
        ("expired", "10 seconds after exp, with a skew of 10", {"exp": at - 10}),
        ("early", "nbf 11 seconds ahead", {"nbf": at + 11}),
        ("from-ahead", "iat 11 seconds ahead", {"iat": at + 11, "exp": at + 100}),
        ("fraction", "300.5 seconds", {"exp": PAST + 300.5}),
    ]:
        it.refused(name, title, short(**changes), "claim")
