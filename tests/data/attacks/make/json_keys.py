"""JWE in JSON serializations that are well formed and reach a key: what is authenticated, whose key
is whose."""

from cases import Family
from jose import Jwe, b64, gcm, jwk, text, unb64
from json_forms import ES, KW, PLAINTEXT, flattened, general, without

REFUSED = "decryption_failed"


def recipients(*given, protected=None, aad=None):
    """A general JWE to several keys, one CEK. Each is (key, alg) and changes of its object."""
    bases = [
        Jwe(key, alg, plaintext=PLAINTEXT, cek=bytes(range(32)), label=f"{key} {n}")
        for n, (key, alg, _) in enumerate(given)
    ]
    protected = b64(text(protected or {"enc": "A256GCM"}))
    authenticated = protected if aad is None else f"{protected}.{b64(aad)}"
    iv = bytes(12)
    ciphertext, tag = gcm(bytes(range(32)), iv, authenticated.encode(), PLAINTEXT)
    objects = []
    for base, (_, _, changes) in zip(bases, given, strict=True):
        header = {name: value for name, value in base.members.items() if name != "enc"}
        one = {"header": header, "encrypted_key": b64(base.ek)}
        objects.append(changes(one) if callable(changes) else one)
    token = {
        "protected": protected,
        "recipients": objects,
        "iv": b64(iv),
        "ciphertext": b64(ciphertext),
        "tag": b64(tag),
    }
    return token | ({} if aad is None else {"aad": b64(aad)})


def broken_key(one):
    return one | {"encrypted_key": b64(bytes([unb64(one["encrypted_key"])[0] ^ 1]) + unb64(one["encrypted_key"])[1:])}


def with_header(**changes):
    return lambda one: one | {"header": one["header"] | changes}


def decrypt(name, source, keys, control, policy="all"):
    family = Family(name, source, "decrypt", keys, policy)
    family.accepted("control", "a JWE in JSON with which nothing is wrong", control, PLAINTEXT)
    return family


def aad():
    family = decrypt("json-jwe-aad", "RFC 7516 section 5.1 step 14", ["p256-kw"], flattened(aad=b"authenticated"))
    family.accepted("control-none", "without aad", flattened(), PLAINTEXT)
    own = flattened(aad=b"authenticated")
    protected = own["protected"]
    for name, title, token in [
        ("removed", "aad is removed", without(own, "aad")),
        ("changed", "aad is another", own | {"aad": b64("other")}),
        ("added", "aad is added", flattened() | {"aad": b64("added")}),
        (
            "member-added",
            "a member of the protected header is added",
            own | {"protected": b64(text(Jwe("p256-kw", KW).members | {"x": 1}))},
        ),
        ("shorter", "aad is shorter by a letter", own | {"aad": b64("authenticate")}),
        ("binary-zero", "aad and a zero", own | {"aad": b64("authenticated\0")}),
        (
            "as-compact",
            "the parts of it, compact",
            f"{protected}.{own['encrypted_key']}.{own['iv']}.{own['ciphertext']}.{own['tag']}",
        ),
    ]:
        family.refused(name, title, token, REFUSED, True)
    family.refused("empty", "aad is empty, and there", flattened() | {"aad": ""}, "malformed")


def keys():
    both = ["p256-kw", "rsa-oaep"]
    good = recipients(("p256-kw", KW, None), ("rsa-oaep", "RSA-OAEP", None))
    family = decrypt(
        "json-jwe-encrypted-key",
        ["RFC 7516 section 7.2.1", "RFC 7516 section 5.2 step 10"],
        ["p256-kw", "p256-es"],
        flattened(),
    )
    family.accepted("control-direct", "direct agreement, and no encrypted key", flattened("p256-es", ES), PLAINTEXT)
    own, direct = flattened(), flattened("p256-es", ES)
    family.refused("absent", "ECDH-ES+A256KW without an encrypted key", without(own, "encrypted_key"), REFUSED, True)
    family.refused(
        "stray", "ECDH-ES with an encrypted key", direct | {"encrypted_key": own["encrypted_key"]}, REFUSED, True
    )
    family.refused(
        "stray-byte", "ECDH-ES with an encrypted key of one byte", direct | {"encrypted_key": "AA"}, REFUSED, True
    )
    family.refused(
        "of-another",
        "the encrypted key of another token",
        own | {"encrypted_key": b64(Jwe("p256-kw", KW, label="another").ek)},
        REFUSED,
        True,
    )
    family.refused("empty", "an encrypted key that is empty, and there", own | {"encrypted_key": ""}, REFUSED, True)
    family.accepted(
        "control-direct-empty",
        "ECDH-ES with an encrypted key that is empty, and there, as many write it",
        direct | {"encrypted_key": ""},
        PLAINTEXT,
    )

    family = decrypt("json-jwe-several", ["RFC 7516 section 7.2.1", "RFC 7516 section 11.5"], both, good)
    family.accepted(
        "control-stranger",
        "a stranger before us",
        recipients(("stranger-kw", KW, None), ("rsa-oaep", "RSA-OAEP", None)),
        PLAINTEXT,
    )
    family.accepted(
        "control-one-broken",
        "one of our keys is broken and the other is not",
        recipients(("p256-kw", KW, broken_key), ("rsa-oaep", "RSA-OAEP", None)),
        PLAINTEXT,
    )
    first, second = good["recipients"]
    for name, title, objects in [
        ("both-broken", "both of our keys are broken", [broken_key(first), broken_key(second)]),
        (
            "swapped",
            "the encrypted keys are swapped",
            [first | {"encrypted_key": second["encrypted_key"]}, second | {"encrypted_key": first["encrypted_key"]}],
        ),
        (
            "of-another-content",
            "both keys are of another content",
            recipients(("p256-kw", KW, broken_key), ("rsa-oaep", "RSA-OAEP", broken_key))["recipients"],
        ),
        ("none", "no encrypted key at all", [without(first, "encrypted_key"), without(second, "encrypted_key")]),
    ]:
        family.refused(name, title, good | {"recipients": objects}, REFUSED, True)
    family.refused(
        "strangers",
        "strangers only",
        recipients(("stranger-kw", KW, None), ("stranger-kw", KW, with_header(kid="nobody"))),
        "key_not_found",
    )
    family.refused(
        "other-enc",
        "another enc for each",
        good
        | {
            "protected": b64(text({"typ": "x"})),
            "recipients": [with_header(enc="A256GCM")(first), with_header(enc="A128GCM")(second)],
        },
        "malformed",
    )

    family = decrypt(
        "json-jwe-recipient-changed",
        ["RFC 7516 section 7.2.1", "RFC 8725 section 3.1"],
        both,
        recipients(("p256-kw", KW, None)),
    )
    one = lambda changes: recipients(("p256-kw", KW, changes))
    for name, title, changes, codes, reaches in [
        (
            "epk",
            "another point as epk",
            with_header(epk=Jwe("p256-kw", KW, label="another").members["epk"]),
            REFUSED,
            True,
        ),
        ("apu", "an apu is added", with_header(apu="QQ"), REFUSED, True),
        ("alg", "another wrap", with_header(alg="ECDH-ES+A128KW"), "policy", False),
        ("alg-direct", "no wrap", with_header(alg="ECDH-ES"), "policy", False),
        ("alg-rsa", "an alg of RSA", with_header(alg="RSA-OAEP"), "policy", False),
        ("kid", "the kid of another of our keys", with_header(kid="rsa-oaep"), "policy", False),
        (
            "epk-off-curve",
            "a point that is not on its curve",
            with_header(epk=jwk("p256-kw") | {"y": jwk("p256-kw")["x"]}),
            "malformed",
            False,
        ),
        ("jwe-alg-none", "alg none", with_header(alg="none"), "policy", False),
    ]:
        family.refused(name, title, one(changes), codes, reaches)

    family = decrypt(
        "json-jwe-same-kid",
        "RFC 7516 section 7.2.1",
        ["p256-kw"],
        recipients(("p256-kw", KW, None), ("p256-kw", KW, broken_key)),
    )
    family.refused(
        "both-broken",
        "our kid twice, both keys broken",
        recipients(("p256-kw", KW, broken_key), ("p256-kw", KW, broken_key)),
        REFUSED,
        True,
    )
    family.refused(
        "stranger-as-us",
        "our kid twice, both to a stranger",
        recipients(("stranger-kw", KW, with_header(kid="p256-kw")), ("stranger-kw", KW, with_header(kid="p256-kw"))),
        REFUSED,
        True,
    )
    family.refused("many", "our kid six times", recipients(*[("p256-kw", KW, broken_key)] * 6), "policy")

    everything = dict.fromkeys(["alg", "enc", "kid", "epk"], "unprotected")
    family = decrypt(
        "json-jwe-nothing-protected",
        ["RFC 7520 section 5.12", "RFC 7516 section 7.2.1"],
        ["p256-kw"],
        flattened(place=everything),
    )
    open_token = flattened(place=everything)
    shared = open_token["unprotected"]
    family.refused(
        "enc-changed",
        "enc is another with a key as long",
        open_token | {"unprotected": shared | {"enc": "A128CBC-HS256"}},
        REFUSED,
        True,
    )
    family.refused("apv-added", "an apv is added", open_token | {"unprotected": shared | {"apv": "QQ"}}, REFUSED, True)
    family.refused(
        "protected-added", "a protected header is added", open_token | {"protected": b64('{"typ":"x"}')}, REFUSED, True
    )
    family.refused("zip", "zip is added", open_token | {"unprotected": shared | {"zip": "DEF"}}, "malformed")
    family.refused("crit", "crit is added", open_token | {"unprotected": shared | {"crit": ["x"], "x": 1}}, "malformed")
    family.refused("strict", "the same under strict", open_token, "policy", policy="strict")


def controls():
    """The families of `json_forms` have these beside the compact ones."""
    for family, title, token in [
        ("json-jwe-disjoint", "kid in header", flattened(place={"kid": "header"})),
        ("json-jwe-unprotected-crit", "an unknown member in unprotected", flattened(more={"unprotected": {"x": 1}})),
        ("json-jwe-recipients", "one recipient, in the general form", general(lambda own: [own])),
        (
            "json-jwe-direct-to-several",
            "one recipient of direct agreement",
            general(lambda own: [own or {}], key="p256-es", alg=ES),
        ),
        ("json-jwe-form", "a flattened JWE", flattened()),
        ("json-jwe-values", "a flattened JWE with a member that nobody knows", flattened() | {"x": 1}),
        ("json-jwe-duplicates", "a flattened JWE", text(flattened())),
        ("json-jwe-base64url", "a flattened JWE", flattened()),
        ("json-jwe-text", "white space that JSON allows", " " + text(flattened()) + "\r\n"),
        (
            "json-jwe-protected",
            "enc in the protected header, the others not",
            flattened(place=dict.fromkeys(["alg", "kid", "epk"], "unprotected")),
        ),
    ]:
        keys = ["p256-es", "p256-kw"] if "direct" in family else ["p256-kw"]
        Family(family, "RFC 7516 section 7.2", "decrypt", keys).accepted("control-json", title, token, PLAINTEXT)
    strict = Family("json-jwe-strict-unprotected", "RFC 7516 section 7.2", "decrypt", ["p256-kw"], "strict")
    strict.accepted(
        "control-json",
        "alg, kid and epk in the recipient's own header",
        flattened(place=dict.fromkeys(["alg", "kid", "epk"], "header")),
        PLAINTEXT,
    )


def all_cases():
    aad()
    keys()
    controls()
