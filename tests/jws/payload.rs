//! Payloads that are too large to be held.

use super::*;

/// 64 MiB that are nowhere in memory, with a count of what was read.
struct Large {
    left: usize,
    largest_read: usize,
}

impl Large {
    const LEN: usize = 64 * 1024 * 1024;

    fn new() -> Self {
        Self { left: Self::LEN, largest_read: 0 }
    }
}

impl Read for &mut Large {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.largest_read = self.largest_read.max(buffer.len());
        let len = self.left.min(buffer.len());
        buffer[..len].fill(b'x');
        self.left -= len;
        Ok(len)
    }
}

#[test]
fn a_large_payload_goes_by_without_being_held() {
    let (ec, rsa, ed) =
        (Party::new(Es256, "e", "A"), Party::new(Ps256, "r", "B"), Party::new(EdDsa, "d", "C"));
    let keys = trusting(&[&ec, &rsa, &ed]);
    for unencoded in [false, true] {
        let form = JwsForm { serialization: General, detached: true, unencoded };
        let mut payload = Large::new();
        let token = jws::sign_reader(&[ec.signer(), rsa.signer()], form, &mut payload).unwrap();
        assert!(token.len() < 2000 && payload.left == 0 && payload.largest_read <= 64 * 1024);
        let mut payload = Large::new();
        let parse = || Jws::parse(token.as_bytes(), &all()).unwrap();
        assert!(parse().takes_reader());
        let verified = parse().verify_reader(&mut payload, &keys, &Require::All).unwrap();
        assert_eq!(verified.signatures().len(), 2);
        assert!(payload.left == 0 && payload.largest_read <= 64 * 1024);
        let mut shorter = Large { left: Large::LEN - 1, largest_read: 0 };
        let error = parse().verify_reader(&mut shorter, &keys, &Require::Any).unwrap_err();
        assert_eq!(error.code(), "signature_invalid");
    }
    // What is signed by reader verifies from memory, and the reverse.
    let payload = vec![b'x'; 100_000];
    for unencoded in [false, true] {
        let form = JwsForm { serialization: General, detached: true, unencoded };
        let streamed = jws::sign_reader(&[ec.signer()], form, &payload[..]).unwrap();
        let jws = Jws::parse(streamed.as_bytes(), &all()).unwrap();
        jws.verify_detached(&payload, &keys, &Require::All).unwrap();
        let whole = sign(&[&rsa, &ed], form, &payload);
        let jws = || Jws::parse(whole.as_bytes(), &all()).unwrap();
        let one = jws().verify_reader(&payload[..], &keys, &Require::Any).unwrap();
        assert_eq!(one.signatures()[0].alg(), Ps256);
        // Ed25519 goes over the message twice (RFC 8032 section 5.1.6).
        assert!(!jws().takes_reader());
        let error = jws().verify_reader(&payload[..], &keys, &Require::All).unwrap_err();
        assert_eq!(error.code(), "usage", "{error}");
    }
    let form = JwsForm { serialization: Compact, detached: true, unencoded: false };
    let error = jws::sign_reader(&[ed.signer()], form, &payload[..]).unwrap_err();
    assert!(error.to_string().contains("RFC 8032"), "{error}");
    let attached = JwsForm { detached: false, ..form };
    assert_eq!(jws::sign_reader(&[ec.signer()], attached, &b""[..]).unwrap_err().code(), "usage");
}

#[test]
fn a_payload_that_nobody_has_verified_is_not_printed() {
    let ec = Party::new(Es256, "e", "A");
    let payload = b"a payload that shows";
    let encoded = base64url::encode(payload);
    for (serialization, unencoded) in [(Compact, false), (General, false), (General, true)] {
        let form = JwsForm { serialization, detached: false, unencoded };
        let token = sign(&[&ec], form, payload);
        let len = if unencoded { payload.len() } else { encoded.len() };
        let mut told = vec![format!("{:?}", Jws::parse(token.as_bytes(), &all()).unwrap())];
        if serialization == Compact {
            told.push(format!("{:?}", JwsToken::parse(token.as_bytes(), &all()).unwrap()));
        }
        for told in told {
            assert!(told.contains("ES256") && told.contains(&len.to_string()), "{told}");
            assert!(!told.contains("shows") && !told.contains(&encoded), "{told}");
        }
    }
}
