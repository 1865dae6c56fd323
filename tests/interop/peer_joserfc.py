"""joserfc as a peer."""

from joserfc import jwe, jws
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key

from peer import b64, serve, unb64

JWE = [
    "RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW",
    "A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512",
]


def about():
    return {
        "alg": JWE[:6],
        "enc": JWE[6:],
        "crv": ["P-256", "P-384", "P-521", "X25519"],
        "jws": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
    }


def generate(kty, crv=None):
    if kty == "RSA":
        key = RSAKey.generate_key(2048)
    else:
        key = {"EC": ECKey, "OKP": OKPKey}[kty].generate_key(crv)
    return {"public": key.as_dict(private=False), "private": key.as_dict(private=True)}


def encrypt(jwk_, header, plaintext):
    return {"token": jwe.encrypt_compact(header, unb64(plaintext), import_key(jwk_), algorithms=JWE)}


def decrypt(jwk_, token):
    opened = jwe.decrypt_compact(token, import_key(jwk_), algorithms=JWE)
    return {"plaintext": b64(opened.plaintext), "header": opened.headers()}


def sign(jwk_, header, payload):
    return {"token": jws.serialize_compact(header, unb64(payload), import_key(jwk_), algorithms=[header["alg"]])}


def verify(jwk_, token, alg):
    checked = jws.deserialize_compact(token, import_key(jwk_), algorithms=[alg])
    return {"payload": b64(checked.payload), "header": checked.headers()}


serve({f.__name__: f for f in (about, generate, encrypt, decrypt, sign, verify)})
