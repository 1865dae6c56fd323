"""jwcrypto as a peer."""

import json

from jwcrypto import jwe, jwk, jws

from peer import b64, serve, unb64


def about():
    return {
        "alg": ["RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"],
        "enc": ["A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"],
        "crv": ["P-256", "P-384", "P-521", "X25519"],
        "jws": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
    }


def generate(kty, crv=None):
    key = jwk.JWK.generate(kty=kty, size=2048) if kty == "RSA" else jwk.JWK.generate(kty=kty, crv=crv)
    return {"public": key.export_public(as_dict=True), "private": key.export_private(as_dict=True)}


def encrypt(jwk_, header, plaintext):
    token = jwe.JWE(unb64(plaintext), protected=json.dumps(header))
    token.add_recipient(jwk.JWK(**jwk_))
    return {"token": token.serialize(compact=True)}


def decrypt(jwk_, token):
    opened = jwe.JWE()
    opened.deserialize(token, key=jwk.JWK(**jwk_))
    return {"plaintext": b64(opened.payload), "header": json.loads(opened.objects["protected"])}


def sign(jwk_, header, payload):
    token = jws.JWS(unb64(payload))
    token.add_signature(jwk.JWK(**jwk_), protected=json.dumps(header))
    return {"token": token.serialize(compact=True)}


def verify(jwk_, token, alg):
    checked = jws.JWS()
    checked.allowed_algs = [alg]
    checked.deserialize(token, key=jwk.JWK(**jwk_))
    return {"payload": b64(checked.payload), "header": json.loads(checked.objects["protected"])}


serve({f.__name__: f for f in (about, generate, encrypt, decrypt, sign, verify)})
