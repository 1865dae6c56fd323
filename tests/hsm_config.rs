//! The configurations that operators copy are accepted as they stand.

use std::path::Path;

use hsm_jose::config::{Config, KeystoreConfig};

#[test]
fn every_configuration_in_hsm_config_is_accepted() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("hsm-config");
    let mut names = Vec::new();
    for entry in directory.read_dir().expect("hsm-config is a directory") {
        let path = entry.expect("hsm-config can be read").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        // Only a build with the feature knows it.
        if cfg!(not(feature = "tpm")) && name == "tpm" {
            continue;
        }
        let config = Config::load(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(config.is_production(), name != "softhsm", "{name}");
        #[cfg(feature = "tpm")]
        if name == "tpm" {
            assert!(matches!(config.keystores["edge"], KeystoreConfig::Tpm(_)));
            continue;
        }
        assert!(matches!(config.keystores["issuer"], KeystoreConfig::Pkcs11(_)), "{name}");
        names.push(name);
    }
    names.sort_unstable();
    assert_eq!(names, ["cloudhsm", "luna", "nshield", "softhsm", "utimaco", "yubihsm2"]);
}
