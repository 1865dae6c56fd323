"""Good tokens, close to many attacks, and the families that have one as their control."""

from cases import Family

import jose
from jose import Jwe, text

PAYLOAD, PLAINTEXT = b"payload", b"content"
KW, ES = "ECDH-ES+A256KW", "ECDH-ES"
HEADER = '{"alg":"ES256","kid":"es256"}'


def es256(header=HEADER, payload=PAYLOAD):
    return jose.jws(header, payload, jose.ecdsa("es256"))


def es_header(**members):
    return text({"alg": "ES256", "kid": "es256"} | members)


def kw(**given):
    return Jwe("p256-kw", KW, **given)


def es(**given):
    return Jwe("p256-es", ES, **given)


def flipped(data, index=0):
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


def verify(name, source, control=None, keys=("es256",), policy="all"):
    family = Family(name, source, "verify", keys, policy)
    family.accepted("control", "a token with which nothing is wrong", control or es256(), PAYLOAD)
    return family


def decrypt(name, source, keys=("p256-kw",), policy="all"):
    family = Family(name, source, "decrypt", keys, policy)
    family.accepted("control", "a token with which nothing is wrong", str(kw()), PLAINTEXT)
    return family


def token(alg, key, sign, change=lambda signature: signature, /, **members):
    header = {"alg": alg, "kid": jose.jwk(key)["kid"]} | members
    return jose.jws({name: value for name, value in header.items() if value is not None}, PAYLOAD, sign, change)


def signed(change=lambda signature: signature, /, **members):
    return token("ES256", "es256", jose.ecdsa("es256"), change, **members)


def unsigned(header, signature=b""):
    return f"{jose.signing_input(header, PAYLOAD)}.{jose.b64(signature)}"
