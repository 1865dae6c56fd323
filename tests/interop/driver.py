"""Tokens between hsm-jose, with keys in a token, and other JOSE implementations, both ways.

Started by `run`, inside `with-token --profile all --demo`. The last line of the output is
`N passed, N failed`; the exit status is 1 if any failed.
"""

import argparse
import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
DIR = Path(os.environ["HSM_JOSE_TOKEN_DIR"])
CURVES = ["P-256", "P-384", "P-521", "X25519"]
KTY = {"P-256": "EC", "P-384": "EC", "P-521": "EC", "X25519": "OKP", "Ed25519": "OKP"}
SIGNATURE_CURVE = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
PLAINTEXT = "Sätze, two lines\n\0and a null".encode()
REFUSED = 3


class Failure(Exception):
    pass


class Peer:
    """A peer's process, and what it can do."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = self("about")
        self.keys = {}

    def __call__(self, op, **request):
        self.process.stdin.write(json.dumps({"op": op, **request}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(f"{self.name} {op}: {answer['error']}")
        return answer

    def key(self, kty, crv=None):
        """A key pair of the peer, made once; the public half also in a file."""
        if (kty, crv) not in self.keys:
            pair = self("generate", kty=kty, crv=crv)
            kid = f"{self.name}-{crv or kty}"
            pair["kid"] = pair["public"]["kid"] = pair["private"]["kid"] = kid
            pair["file"] = DIR / f"{kid}.jwk"
            pair["file"].write_text(json.dumps(bare(pair["public"])))
            self.keys[kty, crv] = pair
        return self.keys[kty, crv]


class Ours:
    """The hsm-jose command line, and the keys in the token."""

    def __init__(self, binary):
        self.binary = binary
        self.keys = {}

    def run(self, *args, stdin=b""):
        done = subprocess.run([self.binary, *map(str, args)], input=stdin, capture_output=True, timeout=120)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace").strip()

    def __call__(self, *args, stdin=b""):
        status, stdout, stderr = self.run(*args, stdin=stdin)
        if status != 0:
            raise Failure(f"hsm-jose {' '.join(map(str, args))}: exit {status}: {stderr}")
        return stdout

    def refuses(self, *args, stdin):
        status, stdout, stderr = self.run(*args, stdin=stdin)
        if status != REFUSED:
            raise Failure(f"hsm-jose {' '.join(map(str, args))}: exit {status} instead of {REFUSED}: {stderr}")
        if stdout:
            raise Failure(f"hsm-jose {' '.join(map(str, args))}: wrote {len(stdout)} bytes and then refused")

    def key(self, name, algs, *options):
        """A key in the token, made once, bound to all of `algs`."""
        if name not in self.keys:
            named = [part for alg in algs for part in ("--alg", alg)]
            self.keys[name] = json.loads(self("key", "generate", name, *named, *options))
            (DIR / f"{name}.jwk").write_text(json.dumps(self.keys[name]))
        return self.keys[name]


class Score:
    def __init__(self, verbose):
        self.passed, self.failed, self.verbose = 0, 0, verbose

    def __call__(self, name, case, *args):
        try:
            case(*args)
        except Failure as failure:
            self.failed += 1
            print(f"FAILED {name}: {failure}", flush=True)
        except Exception as error:  # an answer of a form that nobody expects
            self.failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
        else:
            self.passed += 1
            if self.verbose:
                print(f"ok     {name}", flush=True)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text(token):
    """A token as the command line printed it."""
    return token.decode().strip()


def bare(key):
    """A public key without what binds it to an algorithm or use; what is tried is said each time."""
    return {name: value for name, value in key.items() if name not in ("alg", "use", "key_ops")}


def same(what, got, wanted):
    if got != wanted:
        raise Failure(f"{what}: {got!r} instead of {wanted!r}")


def tampered(token, part):
    """The token with one bit of one part changed; the bit is one that counts."""
    parts = token.split(".")
    data = bytearray(unb64(parts[part]))
    data[len(data) // 2] ^= 1
    parts[part] = b64(bytes(data))
    return ".".join(parts).encode()


# --- JWE ---


def decryption_key(ours, alg, crv):
    if alg.startswith("RSA"):
        algs = ["RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512"]
        return "enc-rsa", ours.key("enc-rsa", algs, "--bits", "2048")
    algs = ["ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"]
    name = f"enc-{crv.lower()}"
    return name, ours.key(name, algs, "--crv", crv)


def we_decrypt(ours, peer, alg, enc, crv):
    _, key = decryption_key(ours, alg, crv)
    header = {"alg": alg, "enc": enc, "kid": key["kid"]}
    token = peer("encrypt", jwk_=bare(key), header=header, plaintext=b64(PLAINTEXT))["token"]
    same("plaintext", ours("decrypt", stdin=token.encode()), PLAINTEXT)


def they_decrypt(ours, peer, alg, enc, crv):
    pair = peer.key("RSA") if alg.startswith("RSA") else peer.key(KTY[crv], crv)
    token = text(ours("encrypt", "--to", pair["file"], "--alg", alg, "--enc", enc, stdin=PLAINTEXT))
    opened = peer("decrypt", jwk_=bare(pair["private"]), token=token)
    same("plaintext", unb64(opened["plaintext"]), PLAINTEXT)
    same("alg", opened["header"].get("alg"), alg)
    same("enc", opened["header"].get("enc"), enc)
    same("kid", opened["header"].get("kid"), pair["kid"])


def we_decrypt_without_kid(ours, peer, alg, crv):
    name, key = decryption_key(ours, alg, crv)
    public = {member: value for member, value in bare(key).items() if member != "kid"}
    token = peer("encrypt", jwk_=public, header={"alg": alg, "enc": "A256GCM"}, plaintext=b64(PLAINTEXT))["token"]
    same("plaintext", ours("decrypt", "--key", name, stdin=token.encode()), PLAINTEXT)


def party_info(ours, peer, alg, crv):
    """apu and apv go into the key derivation: both must be read as the same bytes."""
    _, key = decryption_key(ours, alg, crv)
    header = {"alg": alg, "enc": "A128GCM", "kid": key["kid"], "apu": b64(b"Alice"), "apv": b64(b"Bob")}
    token = peer("encrypt", jwk_=bare(key), header=header, plaintext=b64(PLAINTEXT))["token"]
    same("plaintext", ours("decrypt", stdin=token.encode()), PLAINTEXT)


def we_refuse(ours, peer, alg, enc, crv):
    _, key = decryption_key(ours, alg, crv)
    header = {"alg": alg, "enc": enc, "kid": key["kid"]}
    token = peer("encrypt", jwk_=bare(key), header=header, plaintext=b64(PLAINTEXT))["token"]
    for part in range(1, 5):
        if token.split(".")[part]:
            ours.refuses("decrypt", stdin=tampered(token, part))
    # The header is authenticated: the same token under another spelling of it.
    parts = token.split(".")
    parts[0] = b64(json.dumps({**header, **json.loads(unb64(parts[0])), "typ": "x"}).encode())
    ours.refuses("decrypt", stdin=".".join(parts).encode())
    # Made for the peer's own key, sent under our kid.
    other = peer.key("RSA") if alg.startswith("RSA") else peer.key(KTY[crv], crv)
    stranger = {**bare(other["public"]), "kid": key["kid"]}
    token = peer("encrypt", jwk_=stranger, header=header, plaintext=b64(PLAINTEXT))["token"]
    ours.refuses("decrypt", stdin=token.encode())


def they_refuse(ours, peer, alg, enc, crv):
    pair = peer.key("RSA") if alg.startswith("RSA") else peer.key(KTY[crv], crv)
    token = text(ours("encrypt", "--to", pair["file"], "--alg", alg, "--enc", enc, stdin=PLAINTEXT))
    for part in (3, 4):
        must_fail(peer, "decrypt", jwk_=bare(pair["private"]), token=tampered(token, part).decode())


def must_fail(peer, op, **request):
    try:
        peer(op, **request)
    except Failure:
        return
    raise Failure(f"{peer.name} accepted a changed token")


# --- JWS ---


def signing_key(ours, alg):
    if alg in SIGNATURE_CURVE:
        crv = SIGNATURE_CURVE[alg]
        algs = [other for other, curve in SIGNATURE_CURVE.items() if curve == crv]
        return f"sig-{crv.lower()}", ours.key(f"sig-{crv.lower()}", algs)
    algs = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
    return "sig-rsa", ours.key("sig-rsa", algs, "--bits", "2048")


def peer_signing_key(peer, alg):
    crv = SIGNATURE_CURVE.get(alg)
    return peer.key(KTY[crv], crv) if crv else peer.key("RSA")


def they_verify(ours, peer, alg):
    name, key = signing_key(ours, alg)
    token = text(ours("sign", "--key", name, "--alg", alg, stdin=PLAINTEXT))
    checked = peer("verify", jwk_=bare(key), token=token, alg=alg)
    same("payload", unb64(checked["payload"]), PLAINTEXT)
    same("alg", checked["header"].get("alg"), alg)
    same("kid", checked["header"].get("kid"), key["kid"])
    for part in (1, 2):
        must_fail(peer, "verify", jwk_=bare(key), token=tampered(token, part).decode(), alg=alg)


def we_verify(ours, peer, alg):
    pair = peer_signing_key(peer, alg)
    keys = DIR / f"{pair['kid']}.{alg}.jwks"
    keys.write_text(json.dumps({"keys": [{**bare(pair["public"]), "alg": alg, "use": "sig"}]}))
    header = {"alg": alg, "kid": pair["kid"]}
    token = peer("sign", jwk_=bare(pair["private"]), header=header, payload=b64(PLAINTEXT))["token"]
    same("payload", ours("verify", "--keys", keys, stdin=token.encode()), PLAINTEXT)
    for part in (1, 2):
        ours.refuses("verify", "--keys", keys, stdin=tampered(token, part))
    # Another key of the same kind under the same kid.
    _, other = signing_key(ours, alg)
    stranger = DIR / f"stranger.{alg}.jwks"
    stranger.write_text(json.dumps({"keys": [{**bare(other), "kid": pair["kid"], "alg": alg, "use": "sig"}]}))
    ours.refuses("verify", "--keys", stranger, stdin=token.encode())


# --- Nested JWT, in the context "demo" ---

ISSUER, AUDIENCE = "https://issuer.example", "https://partner.example"


def nested_key(ours, alg):
    return ours.key("partner-ec" if alg.startswith("ECDH") else "partner-rsa", [alg])


def we_open(ours, peer, alg):
    pair = peer.key("EC", "P-256")
    write_trust([{**bare(pair["public"]), "alg": "ES256", "use": "sig"}])
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 300, "jti": os.urandom(8).hex()}
    inner = peer(
        "sign",
        jwk_=bare(pair["private"]),
        header={"alg": "ES256", "typ": "JWT", "kid": pair["kid"]},
        payload=b64(json.dumps(claims).encode()),
    )["token"]
    key = nested_key(ours, alg)
    header = {"alg": alg, "enc": "A256GCM", "typ": "JWT", "cty": "JWT", "kid": key["kid"]}
    token = peer("encrypt", jwk_=bare(key), header=header, plaintext=b64(inner.encode()))["token"]
    same("sub", json.loads(ours("open", "--context", "demo", stdin=token.encode()))["sub"], "alice")
    for part in (1, 3):
        ours.refuses("open", "--context", "demo", stdin=tampered(token, part))
    # A broken signature inside an envelope that is whole.
    broken = tampered(inner, 2)
    token = peer("encrypt", jwk_=bare(key), header=header, plaintext=b64(broken))["token"]
    ours.refuses("open", "--context", "demo", stdin=token.encode())


def they_open(ours, peer, alg):
    signer = ours.key("issuer-sig", ["ES256"])
    pair = peer.key("EC", "P-256") if alg.startswith("ECDH") else peer.key("RSA")
    to = DIR / f"{pair['kid']}.{alg}.to.jwk"
    to.write_text(json.dumps({**bare(pair["public"]), "alg": alg, "use": "enc"}))
    token = text(ours("seal", "--context", "demo", "--to", to, stdin=b'{"sub":"alice"}'))
    outer = peer("decrypt", jwk_=bare(pair["private"]), token=token)
    same("alg", outer["header"].get("alg"), alg)
    same("cty", outer["header"].get("cty"), "JWT")
    inner = unb64(outer["plaintext"]).decode()
    checked = peer("verify", jwk_=bare(signer), token=inner, alg="ES256")
    claims = json.loads(unb64(checked["payload"]))
    same("iss", claims.get("iss"), ISSUER)
    same("aud", claims.get("aud"), AUDIENCE)
    same("sub", claims.get("sub"), "alice")
    same("lifetime", claims["exp"] - claims["iat"], 300)


def write_trust(keys):
    new = DIR / "issuers.json.new"
    new.write_text(json.dumps({"keys": keys}))
    new.rename(DIR / "issuers.json")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--node")
    parser.add_argument("peers", nargs="*", help="jwcrypto, joserfc, jose; all without")
    options = parser.parse_args()

    commands = {
        "jwcrypto": [sys.executable, HERE / "peer_jwcrypto.py"],
        "joserfc": [sys.executable, HERE / "peer_joserfc.py"],
    }
    if options.node:
        commands["jose"] = [options.node, HERE / "peer_jose.mjs"]
    names = options.peers or list(commands)
    unknown = [name for name in names if name not in commands]
    if unknown:
        raise SystemExit(f"no such peer here: {', '.join(unknown)}")

    ours, score = Ours(options.binary), Score(options.verbose)
    for name in names:
        started, before = time.monotonic(), score.passed
        peer = Peer(name, commands[name])
        for alg in peer.about["alg"]:
            for crv in [None] if alg.startswith("RSA") else [c for c in CURVES if c in peer.about["crv"]]:
                where = f"{alg} {crv or ''}".strip()
                for enc in peer.about["enc"]:
                    score(f"{name} -> us {where} {enc}", we_decrypt, ours, peer, alg, enc, crv)
                    score(f"us -> {name} {where} {enc}", they_decrypt, ours, peer, alg, enc, crv)
                score(f"{name} -> us {where}, no kid", we_decrypt_without_kid, ours, peer, alg, crv)
                score(f"{name} -> us {where}, refused", we_refuse, ours, peer, alg, "A128CBC-HS256", crv)
                score(f"us -> {name} {where}, refused", they_refuse, ours, peer, alg, "A256GCM", crv)
                if crv:
                    score(f"{name} -> us {where}, apu and apv", party_info, ours, peer, alg, crv)
        for alg in peer.about["jws"]:
            score(f"{name} -> us {alg}", we_verify, ours, peer, alg)
            score(f"us -> {name} {alg}", they_verify, ours, peer, alg)
        for alg in ("ECDH-ES+A256KW", "RSA-OAEP-256"):
            score(f"{name} -> us nested {alg}", we_open, ours, peer, alg)
            score(f"us -> {name} nested {alg}", they_open, ours, peer, alg)
        print(f"{name}: {score.passed - before} passed in {time.monotonic() - started:.0f} s", flush=True)

    print(f"{score.passed} passed, {score.failed} failed")
    raise SystemExit(score.failed != 0)


main()
