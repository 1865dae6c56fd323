"""Tokens that must not open in a context: nesting, types, claims, issuers."""

from cases import Family
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jose import Jwe, b64, ecdsa, jwk, jws, mac, public, spki, text

US, ISSUER, OTHER = "https://us.example", "https://issuer.example", "https://other-issuer.example"
PAST, FUTURE = 1_700_000_000, 4_102_444_800  # 2023-11-14 and 2100-01-01, in UTC
CLAIMS = {"iss": ISSUER, "aud": US, "sub": "alice", "iat": PAST, "exp": FUTURE, "jti": "1"}
TYP = {
    "id_token": "JWT",
    "request_object": "oauth-authz-req+jwt",
    "access_token": "at+jwt",
    "logout_token": "logout+jwt",
    "short_lived": "short+jwt",
    "vp_response": "vp+jwt",
    "vci_response": "vci+jwt",
    "shared_response": "shared+jwt",
}


def claims(**changes):
    members = CLAIMS | changes
    return text({name: value for name, value in members.items() if value is not ...})


def signed(payload=None, typ="JWT", key="issuer", **header):
    members = {"alg": "ES256", "kid": jwk(key)["kid"], "typ": typ} | header
    members = {name: value for name, value in members.items() if value is not ...}
    return jws(members, claims() if payload is None else payload, ecdsa(key))


def sealed(inner, key="p256-kw", alg="ECDH-ES+A256KW", **given):
    given.setdefault("header", {"cty": "JWT"})
    if isinstance(inner, str):
        inner = inner.encode()
    return str(Jwe(key, alg, plaintext=inner, **given))


def unsigned(typ, payload=None, **header):
    payload = text({"aud": US, "vp_token": "x"}) if payload is None else payload
    return sealed(payload, "p256-es", "ECDH-ES", header={"typ": typ} | header)


def shared(payload=None, key="a256kw", alg=None, **given):
    """A token under a symmetric key, for the context that takes them."""
    given["header"] = {"typ": TYP["shared_response"]} | given.get("header", {})
    return sealed(text({"aud": US}) if payload is None else payload, key, alg or jwk(key)["alg"], **given)


def token_of(context):
    """A token that the context takes, and what it gives."""
    typ = TYP[context]
    if context == "shared_response":
        return shared(), text({"aud": US})
    if context in ("vp_response", "vci_response"):
        return unsigned(typ), text({"aud": US, "vp_token": "x"})
    if context in ("id_token", "request_object"):
        return sealed(signed(typ=typ)), claims()
    return signed(typ=typ), claims()


def nesting():
    def family(name, source):
        made = Family(name, source, "open", policy="strict", context="id_token")
        made.accepted("control", "signed by the issuer, then sealed to us", sealed(signed()), claims(), encrypted=True)
        return made

    none = f"{b64(text({'alg': 'none', 'typ': 'JWT'}))}.{b64(claims())}."
    pem = spki("issuer").public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    it = family("unprotected-nested-jwt", ["RFC 8725 sections 2.3 and 3.3", "CVE-2026-29000"])
    for name, title, inner, code in [
        ("alg-none", "a JWT of alg none inside", none, "policy"),
        ("stripped", "the signature stripped", signed().rsplit(".", 1)[0] + ".", "signature_invalid"),
        ("claims", "bare claims inside", claims(), "malformed"),
        ("two-parts", "header and claims without the last dot", none[:-1], "malformed"),
        (
            "hmac",
            "HS256 with the issuer's public key",
            jws({"alg": "HS256", "kid": "issuer", "typ": "JWT"}, claims(), mac(pem)),
            "policy",
        ),
        ("stranger", "signed by nobody we trust", signed(key="stranger"), "key_not_found"),
        (
            "stranger-as-issuer",
            "signed by a stranger with the issuer's kid",
            signed(key="stranger", kid="issuer"),
            "signature_invalid",
        ),
        (
            "own-jwk",
            "signed by the key that its header brings",
            signed(key="stranger", kid=..., jwk=public("stranger")),
            "policy",
        ),
    ]:
        it.refused(name, title, sealed(inner), code, True)

    it = family("not-nested", ["RFC 8725 section 3.12", "RFC 7519 section 7.2"])
    it.refused("inner-alone", "the signed token, not encrypted", signed(), "malformed")
    it.refused("inner-alone-typ", "the signed token of another context", signed(typ="at+jwt"), "malformed")
    it.refused("no-cty", "no cty", sealed(signed(), header={}), "policy")
    it.refused("cty-text", "cty text/plain", sealed(signed(), header={"cty": "text/plain"}), "policy")
    it.refused("cty-jwe", "cty JWE", sealed(signed(), header={"cty": "JWE"}), "policy")
    it.refused("cty-empty", "an empty cty", sealed(signed(), header={"cty": ""}), "policy")
    it.refused("cty-nul", "cty JWT and a NUL", sealed(signed(), header={"cty": "JWT\0"}), "policy")
    it.refused("cty-array", "cty in an array", sealed(signed(), header={"cty": ["JWT"]}), "malformed")

    it = family("jwe-inside-jwe", ["RFC 7519 section 5.2", "RFC 8725 section 3.3"])
    it.refused("once", "a JWE in the JWE", sealed(sealed(signed())), "malformed", True)
    it.refused("twice", "a JWE in a JWE in the JWE", sealed(sealed(sealed(signed()))), "malformed", True)
    it.refused("unsigned", "an unsigned response in the JWE", sealed(unsigned("vp+jwt")), "malformed", True)
    it.refused("claims", "claims in a JWE in the JWE", sealed(sealed(claims())), "malformed", True)
    it.refused("signed-jwe", "a signature over a JWE", sealed(signed(sealed(signed()))), "malformed", True)
    it.refused(
        "signed-jwe-cty",
        "a signature over a JWE, with cty JWT",
        sealed(signed(sealed(signed()), cty="JWT")),
        "policy",
        True,
    )
    it.refused("signed-jws", "a signature over a signed token", sealed(signed(signed(), cty="JWT")), "policy", True)

    it = family("nested-content", ["RFC 7515 section 7.1", "RFC 7519 section 7.2"])
    inner = signed()
    for name, title, content in [
        ("empty", "nothing inside", ""),
        ("dots", "two dots inside", ".."),
        ("line-end", "a line end after the token", inner + "\n"),
        ("bom", "a BOM before the token", "\ufeff" + inner),
        ("blank", "a blank before the token", " " + inner),
        ("text", "the token in quotes", f'"{inner}"'),
        ("twice", "the token twice", f"{inner}.{inner}"),
        ("binary", "no text at all", bytes(range(256))),
    ]:
        it.refused(name, title, sealed(content), "malformed", True)

    it = family("nested-json-serialization", "RFC 7519 section 3")
    header, payload, signature = inner.split(".")
    flattened = {"protected": header, "payload": payload, "signature": signature}
    for name, title, content in [
        ("flattened", "a flattened JWS inside", flattened),
        ("no-signatures", "a JWS without signatures inside", {"payload": payload, "signatures": []}),
        (
            "general",
            "a general JWS inside",
            {"payload": payload, "signatures": [{"protected": header, "signature": signature}]},
        ),
        (
            "unprotected-alg",
            "a JWS of an unprotected alg inside",
            {"header": {"alg": "none"}, "payload": payload, "signature": ""},
        ),
    ]:
        it.refused(name, title, sealed(text(content)), "malformed", True)

    it = family("nested-header", "RFC 7515 section 4.1")
    for name, title, header in [
        ("cty", "cty inside", {"cty": "JWT"}),
        ("crit", "a critical extension inside", {"crit": ["exp"], "exp": FUTURE}),
        ("enc", "alg and enc of a JWE inside", {"alg": "dir", "enc": "A256GCM"}),
        ("enc-only", "enc inside", {"enc": "A256GCM"}),
        ("zip", "zip inside", {"zip": "DEF"}),
        ("b64", "b64 inside", {"b64": False, "crit": ["b64"]}),
        ("jku", "jku inside", {"jku": "https://attacker.example/"}),
        ("alg", "another alg inside", {"alg": "ES384"}),
    ]:
        it.refused(name, title, sealed(signed(**header)), "policy", True)

    it = family("outer-header", ["RFC 7519 section 5.3", "RFC 7516 section 4.1"])
    outer = lambda **header: sealed(signed(), header={"cty": "JWT"} | header)
    it.refused("crit", "a critical extension outside", outer(crit=["exp"], exp=FUTURE), "policy")
    it.refused("zip", "zip outside", outer(zip="DEF"), "policy")
    it.refused("jwk", "jwk outside", outer(jwk=public("stranger-kw")), "policy")
    it.refused("other-key", "the kid of the key of another context", outer(kid="p256-es"), "policy")
    it.refused(
        "stranger",
        "sealed to a key that we do not hold, with our kid",
        sealed(signed(), "stranger-kw", header={"cty": "JWT", "kid": "p256-kw"}),
        "decryption_failed",
        True,
    )
    it.refused("other-alg", "ECDH-ES, to a key of ECDH-ES+A256KW", sealed(signed(), alg="ECDH-ES"), "policy")
    it.refused(
        "other-context-key", "sealed to the key of another context", sealed(signed(), "p256-es", "ECDH-ES"), "policy"
    )


def types():
    it = Family("typ-confusion", "RFC 8725 section 3.11", "open", policy="strict", context="access_token")
    it.accepted("control", "typ at+jwt", signed(typ="at+jwt"), claims())
    it.accepted(
        "control-long", "typ application/at+jwt (RFC 7515 section 4.1.9)", signed(typ="application/AT+JWT"), claims()
    )
    for name, title, typ in [
        ("absent", "no typ", ...),
        ("jwt", "typ JWT", "JWT"),
        ("logout", "typ of another context", "logout+jwt"),
        ("suffix", "a longer typ", "at+jwt2"),
        ("blank", "at+jwt and a blank", "at+jwt "),
        ("parameter", "a parameter of the media type", "at+jwt; v=1"),
        ("array", "typ in an array", ["at+jwt"]),
        ("slash", "application/x/at+jwt", "application/x/at+jwt"),
    ]:
        it.refused(name, title, signed(typ=typ), "malformed" if isinstance(typ, list) else "policy")

    it = Family(
        "unsigned-context",
        ["OpenID4VP 1.0 section 8.3", "RFC 8725 section 3.12"],
        "open",
        policy="strict",
        context="vp_response",
    )
    it.accepted(
        "control",
        "claims that nobody signed, sealed to us",
        unsigned("vp+jwt"),
        text({"aud": US, "vp_token": "x"}),
        encrypted=True,
    )
    it.refused("nested", "a nested token", unsigned("vp+jwt", signed(), cty="JWT"), "policy")
    it.refused("nested-no-cty", "a signed token inside, and no cty", unsigned("vp+jwt", signed()), "malformed", True)
    it.refused("other-typ", "typ of another unsigned context", unsigned("vci+jwt"), "policy")
    it.refused("no-typ", "no typ", sealed(text({"aud": US}), "p256-es", "ECDH-ES", header={}), "policy")
    it.refused("other-audience", "for somebody else", unsigned("vp+jwt", text({"aud": OTHER})), "claim", True)
    it.refused("no-audience", "no aud", unsigned("vp+jwt", "{}"), "claim", True)
    it.refused("expired", "expired", unsigned("vp+jwt", text({"aud": US, "exp": PAST})), "claim", True)
    it.refused("array", "an array", unsigned("vp+jwt", "[]"), "malformed", True)

    it = Family(
        "cross-context",
        ["RFC 8725 section 3.12", "RFC 8725 section 2.8"],
        "open",
        policy="strict",
        context="id_token",
        symmetric=["A256KW"],
    )
    for context in TYP:
        if context == "short_lived":
            continue
        token, gives = token_of(context)
        it.accepted(
            f"control-{context}",
            f"a token of {context} in {context}",
            token,
            gives,
            context=context,
            encrypted=context.startswith(("id", "req", "v", "shared")),
        )
    for here, there in [
        ("id_token", "request_object"),
        ("request_object", "id_token"),
        ("access_token", "logout_token"),
        ("logout_token", "access_token"),
        ("access_token", "id_token"),
        ("vp_response", "vci_response"),
        ("vp_response", "id_token"),
        ("id_token", "vp_response"),
    ]:
        token, _ = token_of(here)
        reaches = (here, there) in {("id_token", "request_object"), ("request_object", "id_token")}
        code = "malformed" if (here, there) == ("access_token", "id_token") else "policy"
        it.refused(f"{here}-as-{there}", f"a token of {here} in {there}", token, code, reaches, context=there)

    it = Family(
        "half-of-nested",
        ["RFC 8725 section 3.12", "RFC 7519 section 11.2"],
        "open",
        policy="strict",
        context="access_token",
    )
    it.accepted("control", "a token of access_token", signed(typ="at+jwt"), claims())
    it.refused("id-token", "the signed half of an ID token, sent bare", signed(), "policy")
    it.refused(
        "request-object", "the signed half of a request object, sent bare", signed(typ=TYP["request_object"]), "policy"
    )
    it.refused(
        "sealed",
        "an access token, sealed, as an ID token",
        sealed(signed(typ="at+jwt")),
        "policy",
        True,
        context="id_token",
    )
    it.refused(
        "sealed-logout",
        "a logout token, sealed, as a request object",
        sealed(signed(typ="logout+jwt")),
        "policy",
        True,
        context="request_object",
    )
    it.refused(
        "resealed",
        "the signed half of an ID token, sealed anew to another context",
        unsigned("vp+jwt", signed(), cty="JWT"),
        "policy",
        context="vp_response",
    )


def replicated():
    """Claims that the header of the JWE repeats, for whoever routes by it."""
    it = Family("replicated-claims", "RFC 7519 section 5.3", "open", policy="strict", context="id_token")
    outer = lambda **header: sealed(signed(), header={"cty": "JWT"} | header)
    same = outer(iss=ISSUER, aud=US, sub="alice")
    it.accepted("control", "iss, aud and sub as they are inside", same, claims(), encrypted=True)
    for name, title, header in [
        ("iss", "another iss", {"iss": OTHER}),
        ("sub", "another sub", {"sub": "root"}),
        ("aud", "another aud", {"aud": OTHER}),
        ("aud-array", "the same aud in an array", {"aud": [US]}),
        ("sub-number", "a number for sub", {"sub": 1}),
        ("iss-slash", "a slash after iss", {"iss": ISSUER + "/"}),
    ]:
        it.refused(name, f"the header says {title}", outer(**header), "claim", True)

    it = Family(
        "json-in-context", ["RFC 7519 section 3", "RFC 7516 section 7.2"], "open", policy="strict", context="id_token"
    )
    token = sealed(signed())
    it.accepted("control", "the same, compact", token, claims(), encrypted=True)
    header, key, iv, ciphertext, tag = token.split(".")
    rest = {"iv": iv, "ciphertext": ciphertext, "tag": tag}
    it.refused("flattened", "a nested JWT, flattened", {"protected": header, "encrypted_key": key} | rest, "malformed")
    it.refused(
        "general",
        "a nested JWT, general",
        {"protected": header, "recipients": [{"encrypted_key": key}]} | rest,
        "malformed",
    )
    it.refused(
        "blanks",
        "a flattened one after blanks",
        "  " + text({"protected": header, "encrypted_key": key} | rest),
        "malformed",
    )
    header, payload, signature = signed(typ="at+jwt").split(".")
    jws_json = {"protected": header, "payload": payload, "signature": signature}
    it.refused("signed", "a signed JWT, flattened", jws_json, "malformed", context="access_token")
    it.refused(
        "signed-general",
        "a signed JWT, general",
        {"payload": payload, "signatures": [{"protected": header, "signature": signature}]},
        "malformed",
        context="access_token",
    )


def all_cases():
    replicated()
    nesting()
    types()
