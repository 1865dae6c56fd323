//! A token behind a connection that breaks.

use super::*;

/// p11-kit's client makes a new instance of itself for each function list, and answers
/// CKR_DEVICE_ERROR for ever once its connection has broken.
#[test]
fn a_broken_connection_is_noticed_and_comes_back() {
    let socket = softhsm().directory.join("p11-kit.sock");
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "remote::remote_child", "--ignored", "--nocapture"])
        .env("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", socket.display()))
        .env("HSM_JOSE_TEST_SOCKET", &socket)
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("came back"), "{text}");
}

/// `p11-kit server` in front of SoftHSM; killed with this.
struct Server(std::process::Child);

impl Server {
    fn start(socket: &Path) -> Self {
        let child = Command::new("p11-kit")
            .args(["server", "-f", "-n"])
            .arg(socket)
            .arg("--provider")
            .arg(&softhsm().module)
            .arg("pkcs11:")
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("p11-kit server (Debian: apt install p11-kit)");
        for _ in 0..100 {
            if socket.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Self(child)
    }

    /// Kills the processes that serve our connections; the server goes on listening.
    fn break_connections(&self) {
        let pid = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        for child in children.expect("its children").split_whitespace() {
            let status = Command::new("kill").args(["-9", child]).status().expect("kill");
            assert!(status.success());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.break_connections();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "run by a_broken_connection_is_noticed_and_comes_back, in its environment"]
fn remote_child() {
    let Some(socket) = std::env::var_os("HSM_JOSE_TEST_SOCKET").map(PathBuf::from) else { return };
    let clients = [
        "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
        "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
        "/usr/lib64/pkcs11/p11-kit-client.so",
    ];
    let client = clients.iter().map(PathBuf::from).find(|path| path.is_file());
    let client = client.expect("p11-kit-client.so (Debian: apt install p11-kit-modules)");
    let config = Pkcs11Config { module: client, ..common::bare_config("remote") };
    let server = Server::start(&socket);
    let keystore = Pkcs11Keystore::open(config).expect("open");
    let (locator, key) = make(&keystore, RSA, &[unwrap(KeyManagement::RsaOaep256)]);
    let (_, signer) = make(&keystore, RSA, &[sign(SignatureAlgorithm::Ps256)]);
    let curve = KeyShape::Curve(Curve::P256);
    let no = keystore.supports(unwrap(KeyManagement::EcdhEs), curve).expect("an answer");
    assert!(!no.is_available(), "p11-kit 0.24 does not pass CKM_ECDH1_DERIVE: {no:?}");
    let works = || {
        common::round_trip(&*key.0, KeyManagement::RsaOaep256, ENC);
        signs(&*signer.0, SignatureAlgorithm::Ps256);
    };
    works();
    let sent = common::send(
        &key.0.info().public.clone().expect("a public half"),
        KeyManagement::RsaOaep256,
        ENC,
    );
    let request = common::request(&sent, KeyManagement::RsaOaep256);
    let garbage = CekRequest::RsaOaep { hash: Hash::Sha256, encrypted_key: &[9; 256] };
    assert!(matches!(key.0.unwrap_cek(&garbage, ENC), Err(BackendError::Rejected)));
    key.0.confirm_alive().expect("alive after a bad ciphertext");

    server.break_connections();
    let dead = key.0.confirm_alive();
    assert!(matches!(dead, Err(BackendError::Unavailable { .. })), "{dead:?}");
    // The next operation brings it back: finalized, initialized, logged in, keys found again.
    key.0.unwrap_cek(&request, ENC).expect("unwrapped after a reconnect");
    works();
    println!("came back after a health call");

    server.break_connections();
    signs(&*signer.0, SignatureAlgorithm::Ps256);
    server.break_connections();
    keystore.health().expect("healthy again");
    keystore.find(&locator).expect("found");
    server.break_connections();
    keystore.find(&locator).expect("found after a reconnect");

    drop(server);
    std::fs::remove_file(&socket).ok();
    let gone = key.0.confirm_alive();
    assert!(matches!(gone, Err(BackendError::Unavailable { .. })), "{gone:?}");
    let gone = signer.0.sign(SignatureAlgorithm::Ps256, ToSign::Message(b""));
    assert!(matches!(gone, Err(BackendError::Unavailable { .. })), "{gone:?}");
    let waiting = keystore.health().expect_err("no attempt before its time").to_string();
    assert!(waiting.contains("next attempt"), "{waiting}");
    let _server = Server::start(&socket);
    // Until an attempt has been due.
    let since = std::time::Instant::now();
    while let Err(error) = keystore.health() {
        assert!(since.elapsed() < std::time::Duration::from_secs(20), "not back: {error}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    works();
    println!("came back after the server was away");
}
