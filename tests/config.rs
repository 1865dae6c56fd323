//! The configuration file: what it becomes, and what is said of one that is wrong.

use std::path::{Path, PathBuf};

use hsm_jose::Error;
use hsm_jose::config::{Audience, Config, Environment, KeystoreConfig, Nesting, Profile};
use hsm_jose::jose::alg::{ContentEncryption, KeyManagement};
use hsm_jose::secret::PinSource;

const GOOD: &str = r#"schema = 1
environment = "test"

[keystore.issuer]
type      = "pkcs11"
module    = "/usr/lib/softhsm/libsofthsm2.so"
token     = "issuer"
pin       = { file = "pin" }
sessions  = 8
host_oaep = true

[keystore.soft]
type = "memory"

[keyring]
file = "state/keyring.json"

[policy]
profile = "strict"
jwe_enc = ["A256GCM"]

[context.id_token]
nesting = "jwe(jws)"
skew    = 60
typ     = "JWT"
size    = 65536
[context.id_token.seal]
issuer   = "https://issuer.example"
audience = "recipient"
sign     = "issuer-sig"
encrypt  = ["ECDH-ES+A256KW", "RSA-OAEP-256"]
content  = ["A256GCM"]
lifetime = 300
[context.id_token.open]
audience = "https://issuer.example"
issuers  = ["https://partner.example"]
trust    = "issuers.json"
decrypt  = ["partner-enc"]

[recipient.partner]
jwks = "partner.json"
audience = "https://partner.example"

[policy.decryption_failures]
most = 10
seconds = 60
"#;

fn parse(text: &str) -> Result<Config, Error> {
    Config::parse(Path::new("/etc/hsm-jose/config.toml"), text)
}

#[test]
fn a_good_file_becomes_what_it_says() {
    let config = parse(GOOD).unwrap();
    let budget = config.policy.failure_budget.unwrap();
    assert_eq!((budget.failures(), budget.window().as_secs()), (10, 60));
    assert_eq!(config.environment, Environment::Test);
    let KeystoreConfig::Pkcs11(issuer) = &config.keystores["issuer"] else { panic!("pkcs11") };
    assert_eq!(issuer.module, PathBuf::from("/usr/lib/softhsm/libsofthsm2.so"));
    assert_eq!(issuer.pin, PinSource::File("/etc/hsm-jose/pin".into()));
    assert_eq!((issuer.sessions, issuer.host_oaep), (8, true));
    assert_eq!(config.keystores["soft"], KeystoreConfig::Memory);
    assert_eq!(config.keyring, PathBuf::from("/etc/hsm-jose/state/keyring.json"));
    assert_eq!(config.policy.profile, Profile::Strict);
    assert_eq!(config.policy.jwe_enc, Some(vec![ContentEncryption::A256Gcm]));
    let context = &config.contexts["id_token"];
    assert_eq!((context.nesting, context.skew), (Nesting::JweOfJws, Some(60)));
    let seal = context.seal.as_ref().unwrap();
    assert_eq!(seal.audience, Some(Audience::Recipient));
    assert_eq!(seal.encrypt, [KeyManagement::EcdhEsA256Kw, KeyManagement::RsaOaep256]);
    let open = context.open.as_ref().unwrap();
    assert_eq!(open.trust, Some("/etc/hsm-jose/issuers.json".into()));
    assert_eq!(open.decrypt, ["partner-enc"]);
    assert_eq!(config.recipients["partner"].jwks, PathBuf::from("/etc/hsm-jose/partner.json"));
    assert_eq!(config.line("context.id_token.seal.sign"), Some(30));
    assert_eq!(config.line("context.id_token.open.decrypt"), Some(38));
    assert_eq!(config.line("recipient.partner"), Some(40));

    let least = parse("schema = 1\nenvironment = \"production\"\n").unwrap();
    assert!(least.is_production());
    assert_eq!(least.keyring, PathBuf::from("/etc/hsm-jose/keyring.json"));
    assert_eq!(least.policy.profile, Profile::Strict);
}

#[test]
fn a_relative_configuration_has_relative_paths() {
    let config = Config::parse(Path::new("hsm-jose.toml"), GOOD).unwrap();
    assert_eq!(config.keyring, PathBuf::from("state/keyring.json"));
    let config = Config::parse(Path::new("conf/hsm-jose.toml"), GOOD).unwrap();
    assert_eq!(config.recipients["partner"].jwks, PathBuf::from("conf/partner.json"));
}

/// What is changed in the good file, and what is then said, at which line and column.
#[test]
fn what_is_wrong_is_said_with_its_place() {
    let cases = [
        ("schema = 1", "schema = 2", "1:10: schema 2, this build knows schema 1"),
        ("schema = 1\n", "", "1:1: schema = 1 is missing"),
        ("schema = 1", "schema = 1\nschema = 1", "2:1: duplicate key"),
        ("environment = \"test\"", "environment = \"prod\"", "2:15: environment is"),
        ("most = 10", "most = 0", "a budget of 0 failed decryptions: from 1 to 1000"),
        ("seconds = 60", "seconds = 86401", "a budget's window is at most 86400 seconds"),
        ("environment = \"test\"", "environment = \"production\"", "13:8: the memory keystore"),
        ("sessions  = 8", "sesions = 8", "9:1: unknown field `sesions`"),
        ("sessions  = 8", "sessions = 0", "9:12: sessions is at least 2"),
        ("sessions  = 8", "sessions = -8", "9:12: "),
        ("host_oaep", "keys = \"x\"\nhost_oaep", "a keystore of type \"pkcs11\" has no keys"),
        ("type      = \"pkcs11\"", "type = \"hsm\"", "5:8: type is"),
        ("token     = \"issuer\"\n", "", "4:1: token is missing here"),
        ("pin       = { file = \"pin\" }\n", "", "4:1: pin is missing here"),
        (
            "token     = \"issuer\"",
            "token = \"pkcs11:token=a?pin-value=5\"",
            "7:9: pin-value does not belong",
        ),
        ("{ file = \"pin\" }", "\"1234\"", "8:13: a PIN does not belong"),
        ("{ file = \"pin\" }", "1234", "8:13: a PIN does not belong"),
        ("{ file = \"pin\" }", "{ value = \"1234\" }", "pin needs exactly one of"),
        ("{ file = \"pin\" }", "{ file = 1234 }", "pin needs exactly one of"),
        ("{ file = \"pin\" }", "{ prompt = \"1234\" }", "pin needs exactly one of"),
        ("{ file = \"pin\" }", "{ prompt = true, fd = 1234 }", "pin needs exactly one of"),
        ("{ file = \"pin\" }", "{}", "pin needs exactly one of"),
        (
            "type = \"memory\"",
            "type = \"memory\"\npin = { none = true }",
            "12:1: a memory keystore",
        ),
        ("file = \"state", "path = \"state", "16:1: unknown field `path`"),
        ("profile = \"strict\"", "profile = \"lax\"", "19:11: unknown variant `lax`"),
        ("jwe_enc = [\"A256GCM\"]", "jwe_enc = []", "20:11: jwe_enc is an empty list"),
        ("jwe_enc = [\"A256GCM\"]", "jwe_enc = [\"a256gcm\"]", "\"a256gcm\" is not a JWE enc"),
        ("jwe(jws)", "jws(jwe)", "23:11: unknown variant"),
        ("skew    = 60", "skew = -1", "24:8: "),
        ("skew    = 60", "skew = 601", "24:8: skew is at most 600 seconds"),
        ("size    = 65536", "size = 0", "26:8: size is in bytes"),
        ("issuer   = \"https://issuer.example\"\n", "", "27:1: issuer is missing here"),
        ("sign     = \"issuer-sig\"", "sign = \"a/b\"", "30:8: \"a/b\" cannot name a key"),
        ("sign     = \"issuer-sig\"\n", "", "27:1: sign is missing here"),
        ("\"ECDH-ES+A256KW\", \"RSA-OAEP-256\"", "\"RSA1_5\"", "\"RSA1_5\" is not a JWE alg"),
        ("\"ECDH-ES+A256KW\", ", "\"RSA-OAEP-256\", ", "31:12: encrypt has an entry twice"),
        ("lifetime = 300", "lifetime = 0", "33:12: lifetime is in seconds"),
        ("trust    = \"issuers.json\"\n", "", "34:1: trust is missing here"),
        ("[\"partner-enc\"]", "[]", "38:12: decrypt is an empty list"),
        ("[\"partner-enc\"]", "\"partner-enc\"", "38:12: "),
        ("[recipient.partner]", "[recipient.\"a b\"]", "40:12: \"a b\" cannot name a recipient"),
        ("nesting = \"jwe(jws)\"", "nesting = \"jws\"", "encrypt has no place where nesting"),
        ("nesting = \"jwe(jws)\"", "nesting = \"jwe\"", "sign has no place where nesting"),
        ("[keyring]", "[keyrings]", "unknown field `keyrings`"),
        ("[keyring]", "[keyring", "15:"),
    ];
    for (from, to, expected) in cases {
        // Only a build that reads the token's URI knows what it says.
        if to.contains("pkcs11:") && !cfg!(feature = "pkcs11") {
            continue;
        }
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let error = parse(&text).expect_err(to);
        assert_eq!(error.code(), "config");
        let message = error.to_string();
        let rest = message.strip_prefix("/etc/hsm-jose/config.toml:");
        let rest = rest.unwrap_or_else(|| panic!("the file's name first: {message}"));
        assert!(rest.contains(expected), "{to}: {message}");
        if expected.starts_with(|c: char| c.is_ascii_digit()) {
            assert!(rest.starts_with(expected), "{to}: {message}");
        }
        if to.contains("1234") {
            assert!(!message.contains("1234"), "a PIN in the wrong place is not quoted: {message}");
        }
    }
}

#[test]
fn a_pin_is_where_one_table_says() {
    for (text, source) in [
        ("{ file = '/p' }", PinSource::File("/p".into())),
        ("{ fd = 3 }", PinSource::Fd(3)),
        ("{ env = 'P' }", PinSource::Env("P".into())),
        ("{ credential = 'c' }", PinSource::Credential("c".into())),
        ("{ prompt = true }", PinSource::Prompt),
        ("{ protected = true }", PinSource::Protected),
        ("{ none = true }", PinSource::None),
    ] {
        let config = parse(&GOOD.replace("{ file = \"pin\" }", text)).unwrap();
        let KeystoreConfig::Pkcs11(issuer) = &config.keystores["issuer"] else { panic!("pkcs11") };
        assert_eq!(issuer.pin, source);
    }
    for text in ["{ none = false }", "{ fd = -1 }"] {
        assert!(parse(&GOOD.replace("{ file = \"pin\" }", text)).is_err(), "{text}");
    }
}

#[test]
fn production_refuses_what_is_for_tests() {
    let production = GOOD
        .replace("environment = \"test\"", "environment = \"production\"")
        .replace("[keystore.soft]\ntype = \"memory\"\n", "");
    parse(&production).unwrap();
    for (from, to, expected) in [
        ("{ file = \"pin\" }", "{ env = \"PIN\" }", "environment variable is refused"),
        ("profile = \"strict\"", "profile = \"all\"", "\"all\" is refused in production"),
    ] {
        let message = parse(&production.replace(from, to)).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        parse(&GOOD.replace(from, to)).unwrap();
    }
}

#[test]
fn a_file_that_was_named_and_is_not_there_is_an_error() {
    let named = Path::new("/nonexistent/hsm-jose.toml");
    assert_eq!(Config::find(Some(named)).unwrap(), named);
    let error = Config::load(named).unwrap_err();
    assert_eq!(error.code(), "config");
    assert!(error.to_string().contains("/nonexistent/hsm-jose.toml"));
}

#[cfg(not(feature = "tpm"))]
#[test]
fn a_build_without_tpm_reads_the_configuration_and_says_so_when_it_is_used() {
    let text = "schema = 1\nenvironment = \"test\"\n[keystore.edge]\ntype = \"tpm\"\n\
                tcti = \"device:/dev/tpmrm0\"\nkeys = \"tpm-keys\"\nauth = { file = \"tpm-auth\" }\n";
    let config = Config::parse(Path::new("hsm-jose.toml"), text).unwrap();
    let keystores = hsm_jose::keystores::Keystores::new(&config);
    let error = keystores.open("edge").map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "config");
    assert!(error.to_string().contains("--features tpm"), "{error}");
}

#[cfg(feature = "tpm")]
#[test]
fn a_tpm_keystore_is_read_and_what_is_wrong_said() {
    let good = format!(
        "schema = 1\nenvironment = \"test\"\n[keystore.edge]\ntype = \"tpm\"\n\
         tcti = \"device:/dev/tpmrm0\"\nkeys = \"keys\"\nauth = {{ file = \"auth\" }}\n\
         parent_name = \"000b{}\"\n",
        "5a".repeat(32)
    );
    let parse = |text: &str| Config::parse(Path::new("/etc/x/hsm-jose.toml"), text);
    let config = parse(&good).expect("a configuration");
    let Some(hsm_jose::config::KeystoreConfig::Tpm(tpm)) = config.keystores.get("edge") else {
        panic!("not a TPM");
    };
    assert_eq!(tpm.keys, Path::new("/etc/x/keys"));
    assert_eq!(tpm.tcti.as_str(), "device:/dev/tpmrm0");
    for (from, to, said) in [
        ("device:/dev/tpmrm0", "swtpm:path=/run/x", "5:8: tcti \"swtpm:path=/run/x\": a socket's"),
        ("device:/dev/tpmrm0", "device", "5:8: tcti \"device\": no colon"),
        ("tcti = \"device:/dev/tpmrm0\"\n", "", "3:1: tcti is missing"),
        ("keys = \"keys\"\n", "", "3:1: keys is missing"),
        ("auth = { file = \"auth\" }\n", "", "3:1: auth is missing"),
        ("{ file = \"auth\" }", "\"1234\"", "a PIN does not belong"),
        ("{ file = \"auth\" }", "{ protected = true }", "7:8: a TPM has no PIN pad"),
        ("000b", "0004", "8:15: the name of a parent key"),
        ("keys = ", "pin = { none = true }\nkeys = ", "6:7: a keystore of type \"tpm\" has no pin"),
    ] {
        let error = parse(&good.replace(from, to)).expect_err(to).to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_file_without_an_end_is_not_read_to_it() {
    let error = Config::load(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(error.code(), "config");
    assert!(error.to_string().contains("/dev/zero has more than"), "{error}");
}
