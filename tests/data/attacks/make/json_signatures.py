"""JWS in JSON serializations that are well formed: which signatures must verify, and over what."""

from cases import Family
from json_forms import PAYLOAD, jws, signatures, without

from jose import b64, drawn, ecdsa, public, text

ISSUER, OTHER = "https://issuer.example", "https://other-issuer.example"
SOURCE = ["RFC 7515 section 5.2", "CVE-2016-9122"]


def broken(token):
    return token | {"signature": b64(drawn("no signature", 64))}


def verify(name, source, keys, control, require=None, policy="all"):
    family = Family(name, source, "verify", keys, policy, require=require)
    family.accepted("control", "a JWS in JSON with which nothing is wrong", control, PAYLOAD)
    return family


def rules():
    first, second = jws(key="issuer"), jws(key="other-issuer")
    stranger = jws(key="stranger")
    none = {"payload": first["payload"], "protected": b64('{"alg":"none"}'), "signature": ""}
    both = ["issuer", "other-issuer"]
    family = verify("json-jws-all", SOURCE, both, signatures(first, second), "all")
    for name, title, tokens, code in [
        ("second-broken", "the second does not verify", [first, broken(second)], "signature_invalid"),
        ("first-broken", "the first does not verify", [broken(first), second], "signature_invalid"),
        ("stranger", "the second is a stranger's", [first, stranger], "policy"),
        ("none", "the second is none", [first, none], "policy"),
        ("hmac", "the second is an HMAC", [first, jws({"alg": "HS256", "kid": "issuer"}, key="issuer")], "policy"),
        (
            "crit",
            "the second has a critical extension",
            [first, jws({"alg": "ES256", "kid": "issuer", "crit": ["x"], "x": 1}, key="issuer")],
            "policy",
        ),
        ("empty", "the second is empty", [first, second | {"signature": "AA"}], "signature_invalid"),
        (
            "stranger-as-us",
            "the second is a stranger's with our kid",
            [first, jws({"alg": "ES256", "kid": "other-issuer"}, key="stranger")],
            "signature_invalid",
        ),
    ]:
        family.refused(name, f"all must verify: {title}", signatures(*tokens), code)

    family = verify("json-jws-any", SOURCE, both, signatures(broken(first), second), "any")
    for name, title, tokens, code in [
        ("all-broken", "none verifies", [broken(first), broken(second)], "signature_invalid"),
        ("strangers", "all are strangers'", [stranger, stranger], "key_not_found"),
        ("none", "a broken one, and none", [broken(first), none], "signature_invalid"),
        (
            "own-jwk",
            "a stranger's that brings its key",
            [broken(first), jws({"alg": "ES256", "jwk": public("stranger")}, key="stranger")],
            "signature_invalid",
        ),
        (
            "swapped",
            "two signatures, swapped",
            [first | {"signature": second["signature"]}, second | {"signature": first["signature"]}],
            "signature_invalid",
        ),
        (
            "of-other-payload",
            "both of another payload",
            [jws(key="issuer", payload=b"x") | {"payload": first["payload"]}, broken(second)],
            "signature_invalid",
        ),
    ]:
        family.refused(name, f"any must verify: {title}", signatures(*tokens), code)

    family = verify("json-jws-issuers", SOURCE, both, signatures(first, second), f"all-of:{ISSUER},{OTHER}")
    family.accepted(
        "control-any-of",
        "one of the issuers, the other does not verify",
        signatures(broken(first), second),
        PAYLOAD,
        require=f"any-of:{ISSUER},{OTHER}",
    )
    for name, title, tokens, require in [
        ("one-of-two", "one of two issuers", [first], None),
        ("same-twice", "one issuer twice", [first, first], None),
        ("second-broken", "the other's does not verify", [first, broken(second)], None),
        (
            "kid-of-other",
            "one issuer's, with the kid of the other",
            [first, jws({"alg": "ES256", "kid": "other-issuer"}, key="issuer")],
            None,
        ),
        (
            "says-iss",
            "one issuer's, whose header says it is the other's",
            [first, jws({"alg": "ES256", "kid": "issuer", "iss": OTHER}, key="issuer")],
            None,
        ),
        ("not-the-one", "the other's where this one must have signed", [second], f"all-of:{ISSUER}"),
        ("not-among", "the other's where one of these must have signed", [second, second], f"any-of:{ISSUER}"),
        (
            "stranger",
            "a stranger's with the kid of the issuer",
            [jws({"alg": "ES256", "kid": "issuer"}, key="stranger"), second],
            f"any-of:{ISSUER}",
        ),
    ]:
        family.refused(
            name,
            title,
            signatures(*tokens),
            "signature_invalid",
            require=require or f"all-of:{ISSUER},{OTHER}",
        )


def changed():
    own = jws()
    family = verify("json-jws-changed", "RFC 7515 section 5.2", ["es256", "rsa-any"], own)
    protected = {"alg": "ES256", "kid": "es256"}
    family.accepted(
        "control-unprotected", "nothing protected, under all (RFC 7520 section 4.7)", jws({}, protected), PAYLOAD
    )
    open_token = jws({}, protected)
    for name, title, token in [
        ("payload", "another payload", own | {"payload": b64("other")}),
        ("protected", "a member of the protected header more", own | {"protected": b64(text(protected | {"x": 1}))}),
        (
            "protected-removed",
            "the protected header moved to header",
            without(own, "protected") | {"header": protected},
        ),
        (
            "unprotected-moved",
            "header moved to the protected header",
            without(open_token, "header") | {"protected": b64(text(protected))},
        ),
        ("empty-signature", "an empty signature", own | {"signature": ""}),
        ("unprotected-payload", "another payload, nothing protected", open_token | {"payload": b64("other")}),
    ]:
        family.refused(name, title, token, "signature_invalid")
    family.refused(
        "unprotected-alg", "another alg in header", open_token | {"header": {"alg": "PS256", "kid": "es256"}}, "policy"
    )
    family.refused(
        "unprotected-kid",
        "another kid in header",
        open_token | {"header": {"alg": "ES256", "kid": "rsa-any"}},
        "policy",
    )

    def raw(header, payload):
        first = b64(text(header))
        return {"payload": payload, "protected": first, "signature": b64(ecdsa("es256")(f"{first}.{payload}".encode()))}

    unencoded = raw(protected | {"b64": False, "crit": ["b64"]}, "payload")
    family = verify("json-jws-unencoded", "RFC 7797 sections 3 and 5.3", ["es256"], unencoded)
    family.accepted(
        "control-dots", "a payload with dots", raw(protected | {"b64": False, "crit": ["b64"]}, "a.b.c"), "a.b.c"
    )
    for name, title, token in [
        ("other", "another payload", unencoded | {"payload": "Payload"}),
        ("encoded", "the payload in base64url", unencoded | {"payload": b64("payload")}),
        ("dot", "the dot moved into the payload", unencoded | {"payload": ".payload"}),
        (
            "decoded",
            "a payload that was signed encoded",
            raw(protected | {"b64": False, "crit": ["b64"]}, b64("payload")) | {"payload": "payload"},
        ),
        ("made-encoded", "b64 taken out of the protected header", unencoded | {"protected": b64(text(protected))}),
        (
            "made-unencoded",
            "b64 put into the protected header",
            own | {"protected": b64(text(protected | {"b64": False, "crit": ["b64"]}))},
        ),
    ]:
        family.refused(name, title, token, "signature_invalid")


def controls():
    """The families of `json_forms` have these beside the compact ones."""
    own = jws()
    for family, title, token in [
        ("json-jws-form", "a flattened JWS", own),
        ("json-jws-disjoint", "kid in header", jws({"alg": "ES256"}, {"kid": "es256"})),
        ("json-jws-unprotected-crit", "an unknown member in header", jws(header={"x": 1})),
        ("json-jws-none", "a general JWS of one signature", signatures(own)),
        ("json-jws-duplicates", "a flattened JWS", text(own)),
        ("json-jws-signatures", "a general JWS of one signature", signatures(own)),
        ("json-jws-text", "white space that JSON allows", "\n" + text(own) + " "),
        (
            "json-jws-b64",
            "b64 true, and crit says so",
            jws({"alg": "ES256", "kid": "es256", "b64": True, "crit": ["b64"]}),
        ),
    ]:
        Family(family, "RFC 7515 section 7.2", "verify", ["es256"]).accepted("control-json", title, token, PAYLOAD)
    strict = Family("json-jws-strict-unprotected", "RFC 7515 section 7.2", "verify", ["es256"], "strict")
    strict.accepted("control-json", "alg and kid protected, another member not", jws(header={"x": 1}), PAYLOAD)


def all_cases():
    rules()
    changed()
    controls()
