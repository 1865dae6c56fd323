"""What a sender needs, with every step open to being done wrong. Nothing here is constant time:
the keys are test keys that everybody knows. Random values come of a label, so that a run writes
the same tokens as the last."""

import base64
import hashlib
import hmac
import json
from pathlib import Path

from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KEYS = json.loads((Path(__file__).resolve().parent.parent / "keys.json").read_text())["keys"]
RAW = (Encoding.Raw, PublicFormat.Raw)
L = 2**252 + 27742317777372353535851937790883648493  # order of Ed25519's base point


def b64(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(text):
    return int.from_bytes(unb64(text), "big")


def drawn(label, length):
    return hashlib.shake_256(f"hsm-jose attack cases: {label}".encode()).digest(length)


def text(members):
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False)


def jwk(name):
    return next(key["jwk"] for key in KEYS if key["name"] == name)


def public(name):
    """The public members of a key of the file."""
    private = {"d", "p", "q", "dp", "dq", "qi", "k"}
    return {member: value for member, value in jwk(name).items() if member not in private}


class Curve:
    """A short Weierstrass curve with a = -3."""

    def __init__(self, name, bits, p, b, n, g, library):
        self.name, self.p, self.b, self.n, self.g = name, p, b, n, g
        self.length, self.library = (bits + 7) // 8, library

    def add(self, left, right):
        if left is None or right is None:
            return left or right
        (x1, y1), (x2, y2) = left, right
        if x1 == x2 and (y1 + y2) % self.p == 0:
            return None
        if left == right:
            slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, self.p)
        else:
            slope = (y2 - y1) * pow(x2 - x1, -1, self.p)
        x = (slope * slope - x1 - x2) % self.p
        return x, (slope * (x1 - x) - y1) % self.p

    def times(self, scalar, point):
        result = None
        while scalar:
            if scalar & 1:
                result = self.add(result, point)
            point = self.add(point, point)
            scalar >>= 1
        return result

    def octets(self, value):
        return value.to_bytes(self.length, "big")


def curve(name, bits, library, p, b, n, gx, gy):
    return Curve(name, bits, int(p, 16), int(b, 16), int(n, 16), (int(gx, 16), int(gy, 16)), library)


P256 = curve(
    "P-256",
    256,
    ec.SECP256R1(),
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
)
P384 = curve(
    "P-384",
    384,
    ec.SECP384R1(),
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
    "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
    "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
)
P521 = curve(
    "P-521",
    521,
    ec.SECP521R1(),
    "01ff" + "f" * 128,
    "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
    "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
    "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
)
CURVES = {c.name: c for c in (P256, P384, P521)}
ES = {"ES256": (P256, "sha256"), "ES384": (P384, "sha384"), "ES512": (P521, "sha512")}


# --- signatures ---


def signing_input(header, payload):
    header = header if isinstance(header, (str, bytes)) else text(header)
    return f"{b64(header)}.{b64(payload)}"


def jws(header, payload, sign, change=lambda signature: signature):
    """A compact JWS whose signature is `sign(input)`, then changed."""
    data = signing_input(header, payload)
    return f"{data}.{b64(change(sign(data.encode())))}"


def ecdsa_numbers(name, message, hash_name=None, digest=None):
    key = jwk(name)
    c = CURVES[key["crv"]]
    default = {"P-256": "sha256", "P-384": "sha384", "P-521": "sha512"}[c.name]
    digest = digest or hashlib.new(hash_name or default, message).digest()
    e = int.from_bytes(digest, "big") >> max(0, len(digest) * 8 - c.n.bit_length())
    k = int.from_bytes(drawn(f"{name} {message!r} {hash_name}", 80), "big") % (c.n - 1) + 1
    r = c.times(k, c.g)[0] % c.n
    s = pow(k, -1, c.n) * (e + r * number(key["d"])) % c.n
    return c, r, s


def ecdsa(name, **options):
    """Signs with the smaller of s and n - s, so that cases can say which they mean."""

    def sign(message):
        c, r, s = ecdsa_numbers(name, message, **options)
        return c.octets(r) + c.octets(min(s, c.n - s))

    return sign


def der_integer(value):
    data = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(data)]) + data


def der_signature(signature):
    half = len(signature) // 2
    body = b"".join(der_integer(int.from_bytes(part, "big")) for part in (signature[:half], signature[half:]))
    length = bytes([len(body)]) if len(body) < 128 else b"\x81" + bytes([len(body)])
    return b"\x30" + length + body


def ed(name):
    return ed25519.Ed25519PrivateKey.from_private_bytes(unb64(jwk(name)["d"])).sign


DIGEST_INFO = {
    "sha1": "3021300906052b0e03021a05000414",
    "sha256": "3031300d060960864801650304020105000420",
    "sha384": "3041300d060960864801650304020205000430",
    "sha512": "3051300d060960864801650304020305000440",
}


def rsa_numbers(name):
    key = jwk(name)
    n = number(key["n"])
    return n, number(key["e"]), number(key["d"]) if "d" in key else None, (n.bit_length() + 7) // 8


def rsa_private(name, data):
    n, _, d, length = rsa_numbers(name)
    return pow(int.from_bytes(data, "big"), d, n).to_bytes(length, "big")


def digest_info(hash_name, message):
    return bytes.fromhex(DIGEST_INFO[hash_name]) + hashlib.new(hash_name, message).digest()


def pkcs1(name, info=lambda message: digest_info("sha256", message), block_type=1):
    def sign(message):
        _, _, _, length = rsa_numbers(name)
        data = info(message)
        padding = b"\xff" * (length - 3 - len(data))
        return rsa_private(name, bytes([0, block_type]) + padding + b"\0" + data)

    return sign


def mgf1(hash_name, seed, length):
    blocks = range(-(-length // hashlib.new(hash_name).digest_size))
    return b"".join(hashlib.new(hash_name, seed + i.to_bytes(4, "big")).digest() for i in blocks)[:length]


def xor(left, right):
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def pss(name, hash_name="sha256", salt=32, mgf=None, trailer=0xBC):
    def sign(message):
        n, _, _, length = rsa_numbers(name)
        digest = hashlib.new(hash_name, message).digest()
        room = length - len(digest) - 2
        drawn_salt = drawn(f"salt {message!r}", room if salt == "max" else salt)
        h = hashlib.new(hash_name, bytes(8) + digest + drawn_salt).digest()
        db = bytes(room - len(drawn_salt)) + b"\x01" + drawn_salt
        masked = bytearray(xor(db, mgf1(mgf or hash_name, h, len(db))))
        masked[0] &= 0xFF >> (8 * length - n.bit_length() + 1)
        return rsa_private(name, bytes(masked) + h + bytes([trailer]))

    return sign


def mac(secret, hash_name="sha256"):
    return lambda message: hmac.new(secret, message, hash_name).digest()


def spki(name):
    """The public key as the library's object."""
    key = jwk(name)
    if key["kty"] == "RSA":
        return rsa.RSAPublicNumbers(number(key["e"]), number(key["n"])).public_key()
    if key["kty"] == "EC":
        point = number(key["x"]), number(key["y"])
        return ec.EllipticCurvePublicNumbers(*point, CURVES[key["crv"]].library).public_key()
    return ed25519.Ed25519PublicKey.from_public_bytes(unb64(key["x"]))


# --- encryption ---

ENC_KEYS = {
    "A128GCM": 16,
    "A192GCM": 24,
    "A256GCM": 32,
    "A128CBC-HS256": 32,
    "A192CBC-HS384": 48,
    "A256CBC-HS512": 64,
}


def oaep(name, message, hash_name="sha1", mgf=None, label=b"", change=lambda em: em, seed="seed"):
    """RSAES-OAEP; `change` has the encoded message before it is encrypted, `db` before the mask."""
    n, e, _, length = rsa_numbers(name)
    em = oaep_encode(length, message, hash_name, mgf, label, seed=seed)
    return pow(int.from_bytes(change(em), "big"), e, n).to_bytes(length, "big")


def oaep_encode(length, message, hash_name, mgf=None, label=b"", db=None, seed="seed"):
    size = hashlib.new(hash_name).digest_size
    mgf = mgf or hash_name
    if db is None:
        head = hashlib.new(hash_name, label).digest()
        db = head + bytes(length - 2 * size - 2 - len(message)) + b"\x01" + message
    drawn_seed = drawn(seed, size)
    masked_db = xor(db, mgf1(mgf, drawn_seed, len(db)))
    return b"\0" + xor(drawn_seed, mgf1(mgf, masked_db, size)) + masked_db


def rsa_public(name, value):
    n, e, _, length = rsa_numbers(name)
    return pow(value, e, n).to_bytes(length, "big")


def concat_kdf(z, algorithm_id, apu, apv, length):
    def lengthy(data):
        return len(data).to_bytes(4, "big") + data

    info = lengthy(algorithm_id.encode()) + lengthy(apu) + lengthy(apv) + (length * 8).to_bytes(4, "big")
    blocks = range(1, -(-length // 32) + 1)
    return b"".join(hashlib.sha256(i.to_bytes(4, "big") + z + info).digest() for i in blocks)[:length]


def agree(name, label):
    """An ephemeral key on the recipient's curve: its JWK and Z."""
    key = jwk(name)
    if key["crv"] == "X25519":
        ephemeral = x25519.X25519PrivateKey.from_private_bytes(drawn(label, 32))
        z = ephemeral.exchange(x25519.X25519PublicKey.from_public_bytes(unb64(key["x"])))
        return {"kty": "OKP", "crv": "X25519", "x": b64(ephemeral.public_key().public_bytes(*RAW))}, z
    c = CURVES[key["crv"]]
    d = int.from_bytes(drawn(label, 80), "big") % (c.n - 1) + 1
    x, y = c.times(d, c.g)
    z = c.octets(c.times(d, (number(key["x"]), number(key["y"])))[0])
    return {"kty": "EC", "crv": c.name, "x": b64(c.octets(x)), "y": b64(c.octets(y))}, z


def gcm(cek, iv, aad, plaintext):
    sealed = AESGCM(cek).encrypt(iv, plaintext, aad)
    return sealed[:-16], sealed[-16:]


def cbc(cek, iv, aad, plaintext, padding=None, al=None, full=False, swapped=False):
    half = len(cek) // 2
    mac_key, enc_key = (cek[half:], cek[:half]) if swapped else (cek[:half], cek[half:])
    if padding is None:
        padding = bytes([16 - len(plaintext) % 16]) * (16 - len(plaintext) % 16)
    encryptor = Cipher(algorithms.AES(enc_key), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(plaintext + padding) + encryptor.finalize()
    al = (len(aad) * 8).to_bytes(8, "big") if al is None else al
    hash_name = {16: "sha256", 24: "sha384", 32: "sha512"}[half]
    tag = hmac.new(mac_key, aad + iv + ciphertext + al, hash_name).digest()
    return ciphertext, tag if full else tag[:half]


class Jwe:
    """A JWE in parts. What is not given is made as the RFCs say."""

    def __init__(self, key, alg, enc="A256GCM", plaintext=b"content", header=None, kid=True, **given):
        self.key, self.alg, self.enc, self.plaintext = key, alg, enc, plaintext
        self.label = given.pop("label", f"{key} {alg} {enc} {plaintext!r}")
        shared = unb64(jwk(key)["k"]) if jwk(key)["kty"] == "oct" else None
        self.cek = given.pop("cek", None) or (shared if alg == "dir" else None)
        self.cek = self.cek or drawn("cek " + self.label, ENC_KEYS.get(enc, 32))
        self.members = {"alg": alg, "enc": enc}
        if kid:
            self.members["kid"] = jwk(key)["kid"]
        self.ek = given.pop("ek", None)
        apu, apv = given.pop("apu", b""), given.pop("apv", b"")
        options = given.pop("content", {})
        iv = given.pop("iv", None)
        if alg.startswith("ECDH-ES"):
            self.members["epk"], z = agree(key, "epk " + self.label)
            for member, value in (("apu", apu), ("apv", apv)):
                if value:
                    self.members[member] = b64(value)
            length = int(alg[9:12]) // 8 if "+" in alg else ENC_KEYS[enc]
            derived = concat_kdf(
                z, given.pop("algorithm_id", alg if "+" in alg else enc), apu, apv, given.pop("derived", length)
            )
            if "+" in alg:
                wrap = given.pop("wrap", keywrap.aes_key_wrap)
                self.ek = wrap(derived, self.cek) if self.ek is None else self.ek
            else:
                self.cek, self.ek = derived, self.ek or b""
        elif alg.startswith("RSA-OAEP") and self.ek is None:
            hash_name = "sha1" if alg == "RSA-OAEP" else "sha" + alg[9:]
            self.ek = oaep(key, self.cek, hash_name, seed="seed " + self.label, **given.pop("oaep", {}))
        elif alg.endswith("GCMKW") and shared and self.ek is None:
            key_iv = given.pop("key_iv", None) or drawn("key iv " + self.label, 12)
            self.ek, tag = gcm(given.pop("kek", shared), key_iv, b"", self.cek)
            self.members |= {"iv": b64(key_iv), "tag": b64(tag)}
        elif shared and self.ek is None:
            wrap, kek = given.pop("wrap", keywrap.aes_key_wrap), given.pop("kek", shared)
            self.ek = b"" if alg == "dir" else wrap(kek, self.cek)
        if given:
            raise TypeError(given)
        self.protected = b64(self._header(header))
        aad = self.protected.encode()
        if "CBC" in enc:
            self.iv = iv or drawn("iv " + self.label, 16)
            self.ciphertext, self.tag = cbc(self.cek, self.iv, aad, plaintext, **options)
        else:
            self.iv = iv or drawn("iv " + self.label, 12)
            self.ciphertext, self.tag = gcm(self.cek, self.iv, aad, plaintext)

    def _header(self, header):
        """`header` is members to add (None: to leave out), a function of the text, or octets."""
        members = dict(self.members)
        if isinstance(header, dict):
            members |= header
            members = {name: value for name, value in members.items() if value is not None}
        data = text(members)
        return header(data) if callable(header) else header if isinstance(header, (str, bytes)) else data

    def compact(self, **parts):
        """The token, with parts in place of its own: octets, or a text that is taken as it is."""
        names = ("protected", "ek", "iv", "ciphertext", "tag")
        values = [parts.get(name, getattr(self, name)) for name in names]
        return ".".join(value if isinstance(value, str) else b64(value) for value in values)

    def __str__(self):
        return self.compact()
