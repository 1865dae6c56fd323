"""JWS whose signature is a MAC, under a symmetric key that is in the token."""

from cases import Family
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import jose
from jose import b64, drawn, ecdsa, jwk, mac, pkcs1, public, spki, text, unb64
from json_forms import signatures
from json_forms import jws as es256_in_json
from tokens import PAYLOAD, flipped

REFUSED = "signature_invalid"
HS = ["HS256", "HS384", "HS512"]
HASH = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def secret(key):
    return unb64(jwk(key)["k"])


def token(key="hs256", alg=None, change=lambda it: it, sign=None, payload=PAYLOAD, **header):
    """A compact JWS; by the key's own alg, if no other is given, and its own kid."""
    alg = alg or jwk(key)["alg"]
    members = {"alg": alg, "kid": key} | header
    members = {name: value for name, value in members.items() if value is not None}
    return jose.jws(members, payload, sign or mac(secret(key), HASH.get(alg, "sha256")), change)


def in_json(key="hs256", header=None, payload=PAYLOAD, sign=None, **protected):
    """A flattened JWS; `protected` in place of its own alg and kid."""
    protected = protected or {"alg": jwk(key)["alg"], "kid": key}
    first = b64(text(protected)) if protected.get("alg") != "" else ""
    signature = (sign or mac(secret(key)))(f"{first}.{b64(payload)}".encode())
    made = {"payload": b64(payload), "protected": first, "header": header or {}, "signature": b64(signature)}
    return {name: value for name, value in made.items() if value}


def verify(name, source, keys=("hs256",), symmetric=("HS256",), **other):
    other = {"policy": "strict", "mac_key": "hs256"} | other
    family = Family(name, source, "verify", keys, symmetric=symmetric, **other)
    family.accepted("control", "a MAC with which nothing is wrong", token(), PAYLOAD)
    return family


def lengths():
    family = verify("mac-length", ["RFC 7518 section 3.2", "RFC 2104 section 5", "RFC 7515 section 5.2 step 8"])
    for name, title, change in [
        ("empty", "no MAC", lambda it: b""),
        ("bytes-1", "1 byte", lambda it: it[:1]),
        ("bytes-10", "10 bytes, the least of RFC 2104", lambda it: it[:10]),
        ("bytes-16", "the first half", lambda it: it[:16]),
        ("bytes-31", "31 bytes", lambda it: it[:31]),
        ("bytes-33", "a byte more", lambda it: it + b"\0"),
        ("twice", "the MAC twice", lambda it: it + it),
        ("kilobytes", "the MAC and 64 KiB of zeros", lambda it: it + bytes(65536)),
    ]:
        family.refused(name, f"a MAC of another length: {title}", token(change=change), REFUSED, True)

    family = verify("mac-changed", ["RFC 7515 section 5.2", "RFC 7515 section 10.1"])
    header, payload, signature = token().split(".")
    for name, title, changed in [
        ("first-bit", "a bit of the first byte", token(change=flipped)),
        ("last-bit", "a bit of the last byte", token(change=lambda it: flipped(it, 31))),
        ("zeros", "a MAC of zeros", token(change=lambda it: bytes(32))),
        ("payload", "another payload", f"{header}.{b64('Payload')}.{signature}"),
        ("header", "a member more in the header", token(sign=lambda _: unb64(signature), typ="JOSE")),
        ("hexadecimal", "the MAC in hexadecimal", token(change=lambda it: it.hex().encode())),
        ("of-payload", "the MAC of the payload alone", token(sign=lambda _: mac(secret("hs256"))(PAYLOAD))),
        ("digest", "the hash of key and message", token(sign=lambda it: keyed_hash(it))),
    ]:
        family.refused(name, title, changed, REFUSED, True)


def keyed_hash(message):
    """What HMAC was made to replace (RFC 2104 section 6): the hash of the key before the message."""
    return jose.hashlib.sha256(secret("hs256") + message).digest()


def algorithms():
    keys = ["hs256", "hs512"]
    source = ["RFC 8725 section 3.1", "RFC 7517 section 4.4", "RFC 7518 section 3.2"]
    family = verify("mac-key-bound-to-alg", source, keys, HS)
    family.accepted("control-hs512", "HS512 with the key of HS512", token("hs512"), PAYLOAD, mac_key="hs512")
    for name, title, key, alg in [
        ("hs384", "HS384 with the key of HS256", "hs256", "HS384"),
        ("hs512", "HS512 with the key of HS256, which is long enough", "hs256", "HS512"),
        ("hs256", "HS256 with the key of HS512", "hs512", "HS256"),
        ("hs384-of-hs512", "HS384 with the key of HS512", "hs512", "HS384"),
    ]:
        family.refused(name, title, token(key, alg), "policy", mac_key=key)
    hs512 = mac(secret("hs256"), "sha512")
    family.refused("cut", "HS256 with the MAC of HS512, cut", token(sign=lambda it: hs512(it)[:32]), REFUSED, True)
    family.refused("hash", "HS256 with the MAC of HS512", token(sign=hs512), REFUSED, True)
    family.refused("no-kid", "HS512 with the key of HS256, and no kid", token(alg="HS512", kid=None), "policy")
    family.refused(
        "key-cut",
        "HS256 with the first half of the key",
        token(sign=mac(secret("hs256")[:32])),
        REFUSED,
        True,
    )

    family = verify(
        "mac-alg-confusion", ["RFC 8725 section 2.1", "RFC 8725 section 3.1", "CVE-2015-9235"], symmetric=HS
    )
    for name, title, alg, sign in [
        ("none", "none with a good MAC", "none", None),
        ("none-empty", "none and no MAC", "none", lambda _: b""),
        ("es256", "ES256 with the MAC as the signature", "ES256", None),
        ("es256-twice", "ES256 with the MAC as r and as s", "ES256", lambda it: mac(secret("hs256"))(it) * 2),
        ("rs256", "RS256 with the MAC as the signature", "RS256", None),
        ("lower-case", "hs256", "hs256", None),
        ("hyphen", "HS-256", "HS-256", None),
        ("kw", "an alg of JWE with the MAC", "A128KW", None),
    ]:
        family.refused(name, f"under the key of HS256: {title}", token(alg=alg, sign=sign), "policy")


def public_keys():
    rsa, ec, okp = spki("rsa-rs256"), spki("es256"), spki("ed25519")
    source = ["RFC 8725 section 2.1", "CVE-2015-9235", "CVE-2016-10555", "CVE-2024-54150", "CVE-2026-48526"]
    family = verify("mac-by-public-key", source)
    pem = rsa.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, title, value, kid in [
        ("rsa-pem", "an RSA key in PEM", pem, None),
        ("rsa-pem-our-kid", "an RSA key in PEM, and our kid", pem, "hs256"),
        ("rsa-der", "an RSA key in DER", rsa.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), None),
        ("modulus", "the octets of a modulus", unb64(jwk("rsa-rs256")["n"]), None),
        ("rsa-jwk", "an RSA key as a JWK", text(public("rsa-rs256")).encode(), None),
        ("point", "a point, 65 bytes", ec.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), None),
        ("x", "the coordinate x, our kid", unb64(jwk("es256")["x"]), "hs256"),
        ("ed25519", "the 32 bytes of an Ed25519 key", okp.public_bytes(Encoding.Raw, PublicFormat.Raw), None),
    ]:
        made = token(sign=mac(value), kid=kid)
        family.refused(name, f"a MAC with a public key as the secret: {title}", made, REFUSED, True)

    source = ["RFC 8725 section 2.1", "RFC 8725 section 3.10", "CVE-2018-0114"]
    family = verify("mac-header-borne-key", source, policy="all")
    own = {"kty": "oct", "k": b64(drawn("attacker", 32))}
    sign = mac(drawn("attacker", 32))
    for name, title, header in [
        ("jwk", "a symmetric jwk that made the MAC", {"jwk": own}),
        ("jwk-alg", "the same with alg and kid in it", {"jwk": own | {"alg": "HS256", "kid": "hs256"}}),
        ("jku", "a jku", {"jku": "https://attacker.example/keys"}),
        ("x5c", "an x5c", {"x5c": ["AAAA"]}),
        ("k", "a member k", {"k": own["k"]}),
    ]:
        family.refused(name, f"the key in the header: {title}", token(sign=sign, **header), REFUSED, True)
    for name, header in [("jwk", {"jwk": own}), ("jku", {"jku": "https://attacker.example/keys"})]:
        family.refused(
            f"{name}-strict",
            f"the key in the header: {name} under strict, with a good MAC",
            token(**header),
            "policy",
            policy="strict",
        )


def kids():
    keys = ["hs256", "hs256-other", "a128kw"]
    family = verify("mac-kid", ["RFC 7515 section 4.1.4", "RFC 8725 section 3.10"], keys, ["HS256", "A128KW"])
    family.accepted("control-no-kid", "no kid: the caller names the key", token(kid=None), PAYLOAD)
    for name, title, kid in [
        ("other", "the kid of another key of HS256", "hs256-other"),
        ("of-kw", "the kid of a key of A128KW", "a128kw"),
        ("nobody", "a kid that nobody has", "nobody"),
        ("upper-case", "our kid in upper case", "HS256"),
        ("path", "a path to an empty file", "../../../dev/null"),
    ]:
        family.refused(name, f"a good MAC, and {title}", token(kid=kid), "key_not_found")
    for name, title, kid in [("by-other", "our kid", "hs256"), ("by-other-no-kid", "no kid", None)]:
        made = token(sign=mac(secret("hs256-other")), kid=kid)
        family.refused(name, f"a MAC by another key of HS256, and {title}", made, REFUSED, True)
    family.refused(
        "by-kw-key", "a MAC with the octets of the key of A128KW", token(sign=mac(secret("a128kw"))), REFUSED, True
    )

    family = verify(
        "mac-with-weak-secret", ["RFC 8725 section 3.5", "RFC 7518 section 3.2", "CVE-2026-45363"], symmetric=["HS256"]
    )
    for name, title, value in [
        ("empty", "an empty secret", b""),
        ("zero-32", "32 zeros", bytes(32)),
        ("zero-64", "64 zeros", bytes(64)),
        ("kid", "the kid", b"hs256"),
        ("secret", "the word secret", b"secret"),
        ("base64url", "the text of k, not decoded", jwk("hs256")["k"].encode()),
        ("null", "the word null", b"null"),
    ]:
        family.refused(name, f"a MAC with another secret: {title}", token(sign=mac(value)), REFUSED, True)


def where_signatures_are_believed():
    """`verify` with public keys believes no MAC, whatever key of ours made it."""
    source = ["RFC 8725 section 2.1", "RFC 8725 section 3.1"]
    given = {"policy": "strict", "symmetric": HS}
    family = Family("mac-where-signatures-are", source, "verify", ["es256", "rsa-any"], **given)
    family.accepted("control", "ES256 by the private key", jose.jws(ES256, PAYLOAD, ecdsa("es256")), PAYLOAD)
    pem = spki("es256").public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, title, made, code in [
        ("own", "by a key of ours with its kid", token(), "key_not_found"),
        ("no-kid", "by a key of ours, and no kid", token(kid=None), "policy"),
        ("kid-of-ec", "by a key of ours with the kid of a public key", token(kid="es256"), "policy"),
        ("public-key", "by the public key with its kid", token(sign=mac(pem), kid="es256"), "policy"),
        ("hs512", "HS512 by a key of ours", token("hs512"), "key_not_found"),
        ("json", "in JSON, by a key of ours", in_json(), "key_not_found"),
        ("empty", "no MAC at all", token(change=lambda _: b"", kid="es256"), "policy"),
    ]:
        family.refused(name, f"a MAC where signatures are believed: {title}", made, code)

    both = ["issuer", "other-issuer"]
    one = es256_in_json(key="issuer")
    own, broken = in_json(), one | {"signature": b64(drawn("no signature", 64))}
    claimed = in_json(alg="HS256", kid="issuer")
    source = ["RFC 7515 section 5.2", "CVE-2016-9122", "RFC 8725 section 2.1"]
    family = Family("mac-among-signatures", source, "verify", both, require="any", **given)
    family.accepted("control", "any: a signature beside a MAC that nobody looks at", signatures(one, own), PAYLOAD)
    for name, title, parts, require, code in [
        ("all", "a signature and a MAC", [one, own], "all", "policy"),
        ("all-first", "a MAC and a signature", [own, one], "all", "policy"),
        ("all-claimed", "a signature, and a MAC with the kid of the issuer", [one, claimed], "all", "policy"),
        ("any", "a signature that does not verify and a MAC", [broken, own], "any", REFUSED),
        ("any-macs", "two MACs", [own, own], "any", "key_not_found"),
        ("any-claimed", "two MACs with the kid of the issuer", [claimed, claimed], "any", "policy"),
        ("any-of", "MACs with the kid of the issuer", [claimed, own], "any-of:https://issuer.example", REFUSED),
        (
            "all-of",
            "a signature, and a MAC for the other issuer",
            [one, in_json(alg="HS256", kid="other-issuer")],
            ALL_OF,
            "policy",
        ),
    ]:
        rule = require.split(":")[0]
        family.refused(name, f"{rule} must verify: {title}", signatures(*parts), code, require=require)

    family = verify("mac-beside-others", ["RFC 7515 section 7.2.1", "RFC 7515 section 5.2"], ["hs256", "hs256-other"])
    family.accepted("control-general", "one MAC in the general form", signatures(own), PAYLOAD)
    es, other = es256_in_json(), in_json("hs256-other")
    for name, title, parts, code in [
        ("twice", "our MAC twice", [own, own], "policy"),
        ("two-keys", "MACs by two keys of ours", [own, other], "policy"),
        ("signature", "our MAC and a signature", [own, es], "policy"),
        ("none", "our MAC and none", [own, es | {"protected": b64('{"alg":"none"}'), "signature": ""}], "policy"),
        ("broken", "our MAC and one that is wrong", [own, own | {"signature": b64(bytes(32))}], "policy"),
        ("no-header", "our MAC and one without a header", [own, {"signature": b64(bytes(32))}], "malformed"),
    ]:
        family.refused(name, f"a MAC stands alone: {title}", signatures(*parts), code)


ES256 = {"alg": "ES256", "kid": "es256"}
ALL_OF = "all-of:https://issuer.example,https://other-issuer.example"


def headers():
    family = verify("mac-header", ["RFC 7515 section 4.1", "RFC 7797 section 3", "RFC 7515 section 4.1.11"])
    for name, title, header, code in [
        ("crit", "a critical extension", {"crit": ["x"], "x": 1}, "policy"),
        ("crit-empty", "an empty crit", {"crit": []}, "malformed"),
        ("enc", "the enc of a JWE", {"enc": "A256GCM"}, "policy"),
        ("zip", "zip", {"zip": "DEF"}, "policy"),
        ("b64", "b64 false, which strict does not take", {"b64": False, "crit": ["b64"]}, "policy"),
        ("b64-not-critical", "b64 false, and crit does not say so", {"b64": False}, "malformed"),
        ("alg-array", "alg in an array", {"alg": ["HS256"]}, "malformed"),
        ("kid-null", "null for kid", {"kid": ...}, "malformed"),
    ]:
        header = {member: None if value is ... else value for member, value in header.items()}
        members = {"alg": "HS256", "kid": "hs256"} | header
        family.refused(name, f"a good MAC over {title}", jose.jws(members, PAYLOAD, mac(secret("hs256"))), code)

    family = verify("mac-json", ["RFC 7515 section 7.2", "RFC 8725 section 3.1"])
    own = in_json()
    family.accepted("control-json", "a MAC in JSON", own, PAYLOAD)
    for name, title, made, code, reaches in [
        (
            "alg-unprotected",
            "alg in header, under strict",
            in_json(header={"alg": "HS256"}, kid="hs256"),
            "policy",
            False,
        ),
        ("alg-twice", "alg in both headers", own | {"header": {"alg": "HS256"}}, "malformed", False),
        ("crit-unprotected", "crit in header", own | {"header": {"crit": ["x"], "x": 1}}, "malformed", False),
        (
            "jwk-unprotected",
            "a symmetric jwk in header",
            own | {"header": {"jwk": {"kty": "oct", "k": "AA"}}},
            "policy",
            False,
        ),
        ("payload", "another payload", own | {"payload": b64("Payload")}, REFUSED, True),
        ("empty", "an empty signature", own | {"signature": ""}, REFUSED, True),
        ("detached", "no payload", {name: own[name] for name in ("protected", "signature")}, "malformed", False),
        ("none", "our MAC, alg none", own | {"protected": b64('{"alg":"none"}')}, "policy", False),
    ]:
        family.refused(name, f"a MAC in JSON: {title}", made, code, reaches)

    def raw(payload, encoded=False):
        protected = {"alg": "HS256", "kid": "hs256"} | ({} if encoded else {"b64": False, "crit": ["b64"]})
        first = b64(text(protected))
        made = mac(secret("hs256"))(f"{first}.{payload}".encode())
        return {"payload": payload, "protected": first, "signature": b64(made)}

    unencoded, encoded = raw("payload"), raw(b64("payload"), encoded=True)
    family = verify("mac-unencoded", ["RFC 7797 sections 3 and 5", "RFC 7797 section 8"], policy="all")
    family.accepted("control-json", "a MAC of a payload that is not encoded", unencoded, PAYLOAD)
    for name, title, made, code in [
        ("other", "another payload", unencoded | {"payload": "Payload"}, REFUSED),
        ("encoded", "the payload in base64url", unencoded | {"payload": b64("payload")}, REFUSED),
        ("made-encoded", "b64 taken out of the header", encoded | {"signature": unencoded["signature"]}, REFUSED),
        ("made-unencoded", "b64 put into the header", unencoded | {"signature": encoded["signature"]}, REFUSED),
        ("dot", "the dot moved into the payload", unencoded | {"payload": ".payload"}, REFUSED),
        ("b64-unprotected", "b64 in header", encoded | {"header": {"b64": False}}, "malformed"),
        ("strict", "the same under strict", unencoded, "policy"),
    ]:
        policy = "strict" if name == "strict" else "all"
        family.refused(name, f"a MAC of a bare payload: {title}", made, code, code == REFUSED, policy=policy)

    family = verify("mac-form", ["RFC 7515 section 7.1", "RFC 7515 section 5.2", "RFC 4648 section 3.5"])
    header, payload, signature = token().split(".")
    for name, title, made in [
        ("two-parts", "the last dot and the MAC missing", f"{header}.{payload}"),
        ("four-parts", "a part more", f"{token()}.{signature}"),
        ("jwe", "two empty parts more", f"{token()}.."),
        ("padded", "the MAC padded", token() + "="),
        ("free-bits", "bits in the last letter that carry nothing", token()[:-1] + free_bit(token()[-1])),
        ("standard", "the alphabet of base64", f"{header}.{payload}.+/{signature[2:]}"),
        ("line-end", "a line end in the MAC", f"{header}.{payload}.{signature[:20]}\n{signature[20:]}"),
        ("no-header", "no header", f".{payload}.{signature}"),
    ]:
        family.refused(name, title, made, "malformed")


def free_bit(letter):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(letter) + 1]


def signed_where_macs_are():
    """`verify` with the name of a symmetric key believes no signature."""
    family = verify("signature-where-macs-are", ["RFC 8725 section 3.1", "RFC 8725 section 2.1"], symmetric=HS)
    for name, alg, key, sign in [
        ("es256", "ES256", "es256", ecdsa("es256")),
        ("rs256", "RS256", "rsa-rs256", pkcs1("rsa-rs256")),
        ("ed25519", "EdDSA", "ed25519", jose.ed("ed25519")),
    ]:
        made = jose.jws({"alg": alg, "kid": key}, PAYLOAD, sign)
        family.refused(name, f"a good {alg} where a MAC is believed", made, "policy")
        made = jose.jws({"alg": alg, "kid": "hs256"}, PAYLOAD, sign)
        family.refused(f"{name}-our-kid", f"a good {alg} with the kid of the key for MACs", made, "policy")
    made = jose.jws({"alg": "HS256", "kid": "es256"}, PAYLOAD, ecdsa("es256"))
    family.refused("called-hs256", "a signature of ES256 called HS256, its own kid", made, "key_not_found")
    made = jose.jws({"alg": "HS256", "kid": "hs256"}, PAYLOAD, ecdsa("es256"))
    family.refused("called-hs256-our-kid", "a signature of ES256 called HS256, our kid", made, REFUSED, True)


def all_cases():
    lengths()
    algorithms()
    public_keys()
    kids()
    where_signatures_are_believed()
    headers()
    signed_where_macs_are()
