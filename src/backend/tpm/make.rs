//! Making and taking in keys, checking that they came out as asked, and finding out what a TPM does.

use std::collections::HashMap;
use std::sync::Arc;

use tss_esapi::structures::{Auth, Private, Public, PublicParameters, SymmetricDefinitionObject};

use super::Shared;
use super::context::{Live, Trouble};
use super::fault::Fault;
use super::key::TpmKey;
use super::object::template::{self, Usage};
use super::object::{Material, Place, name_of, wrap};
use super::scheme::{self, Scheme};
use crate::backend::tss2::OWNER;
use crate::backend::{BackendError, HardwareKey, KeyShape, KeySpec, Locator, Support};
use crate::jose::alg::{KeyAlgorithm, KeyKind};
use crate::jose::jwk::{PrivateJwk, PublicKey};

mod mac;

/// A new key, wrapped under the parent.
struct Made {
    public: Public,
    private: Private,
}

/// Makes a key in the TPM, and proves that it does what it is for. It has no file yet.
pub(super) fn generate(
    shared: &Arc<Shared>,
    locator: &Locator,
    spec: &KeySpec,
) -> Result<TpmKey, BackendError> {
    generate_with(shared, locator, spec, &shared.auth)
}

/// As [`generate`], for a key that never has a file: only who holds its wrapped form, this process,
/// can load it, so that its authorization value is empty.
pub(super) fn generate_ephemeral(
    shared: &Arc<Shared>,
    spec: &KeySpec,
) -> Result<TpmKey, BackendError> {
    generate_with(shared, &Locator::KeyFile("ephemeral".to_owned()), spec, &[])
}

fn generate_with(
    shared: &Arc<Shared>,
    locator: &Locator,
    spec: &KeySpec,
    auth: &[u8],
) -> Result<TpmKey, BackendError> {
    let (scheme, parameters) = plan(shared, spec)?;
    let usage = Usage {
        sign: scheme.signs(),
        decrypt: !scheme.signs(),
        protected: !auth.is_empty(),
        made_here: true,
    };
    let template = shared.built("a template", template::key(parameters, usage, None))?;
    let made = shared.run(|live| create(live, &template, auth));
    prove(shared, locator, spec, &template, made?, auth.is_empty())
}

/// Puts a known key into the TPM, wrapped to the parent, and proves it.
pub(super) fn import(
    shared: &Arc<Shared>,
    locator: &Locator,
    spec: &KeySpec,
    known: &PrivateJwk,
) -> Result<TpmKey, BackendError> {
    if shared.pinned.is_none() {
        return Err(shared.misconfigured(
            "a known key is wrapped to the parent key, whoever that is: `token pin` writes \
             parent_name, and then it can be imported"
                .to_owned(),
        ));
    }
    let (scheme, parameters) = plan(shared, spec)?;
    let what = format!("a key of {}", spec.shape);
    if KeyShape::of(&known.public.key) != spec.shape {
        return Err(not_as_asked(shared, "the private JWK has another type or size"));
    }
    if let PublicKey::Rsa(rsa) = &known.public.key
        && rsa.e() != [1, 0, 1]
    {
        return Err(shared.unsupported(&what, "its exponent is not 65537".to_owned()));
    }
    let usage = Usage {
        sign: scheme.signs(),
        decrypt: !scheme.signs(),
        protected: !shared.auth.is_empty(),
        made_here: false,
    };
    let public = template::key(parameters, usage, Some(&known.public.key));
    let public = shared.built("a public area", public)?;
    let made = shared.run(|live| {
        let nonsense = Fault::nonsense("TPM2_Import", "the key does not fit the form");
        let name = name_of(&public).ok_or(nonsense)?;
        let duplicate = wrap::wrap(live.parent_public(), &name, &known.private, &shared.auth);
        let duplicate = duplicate.ok_or(nonsense)?;
        let private = live.with_parent(OWNER, 1, |live, parent| {
            Ok(live.send("TPM2_Import", |context| {
                context.import(
                    parent.into(),
                    None,
                    public.clone(),
                    duplicate.private.clone(),
                    duplicate.secret.clone(),
                    SymmetricDefinitionObject::Null,
                )
            })?)
        })?;
        Ok(Made { public: public.clone(), private })
    });
    let made = made.map_err(|error| match error {
        BackendError::Device { call, code, .. } if call == "TPM2_Import" => {
            shared.unsupported(&what, format!("{call}: {code}"))
        }
        error => error,
    })?;
    prove(shared, locator, spec, &public, made, shared.auth.is_empty())
}

/// Finds out what the TPM does with keys of `shape`, with keys that are made for the purpose and
/// go with it.
pub(super) fn probe(
    shared: &Arc<Shared>,
    shape: KeyShape,
) -> Result<HashMap<KeyAlgorithm, Support>, BackendError> {
    let mut supports = HashMap::new();
    // One RSA key serves for all schemes: making one takes a chip many seconds. The TPM is asked
    // whether it takes keys that are bound to each.
    let mut unbound: Option<Result<TpmKey, String>> = None;
    for alg in KeyAlgorithm::all().filter(|alg| alg.fits(shape.kind())) {
        let spec = KeySpec { shape, algs: vec![alg] };
        let scheme = match plan(shared, &spec) {
            Ok((scheme, _)) => scheme,
            Err(error) => {
                supports.insert(alg, Support::No { reason: inability(error)? });
                continue;
            }
        };
        let support = if shape.kind() == KeyKind::Rsa {
            let key = match unbound.take() {
                Some(key) => key,
                None => probe_key(shared, shape, None)?,
            };
            let support = probed(&key, alg)?;
            unbound = Some(key);
            support
        } else {
            probed(&probe_key(shared, shape, Some(scheme))?, alg)?
        };
        supports.insert(alg, support);
    }
    Ok(supports)
}

fn probed(key: &Result<TpmKey, String>, alg: KeyAlgorithm) -> Result<Support, BackendError> {
    match key {
        Ok(key) => key.support(alg),
        Err(reason) => Ok(Support::No { reason: reason.clone() }),
    }
}

/// Makes a key to try. Its authorization value is empty: nothing is guarded by it.
fn probe_key(
    shared: &Arc<Shared>,
    shape: KeyShape,
    scheme: Option<Scheme>,
) -> Result<Result<TpmKey, String>, BackendError> {
    let made = scheme::parameters(shape, scheme).map(|parameters| {
        let usage = Usage {
            sign: scheme.is_none_or(Scheme::signs),
            decrypt: scheme.is_none_or(|scheme| !scheme.signs()),
            protected: false,
            made_here: true,
        };
        let template = shared.built("a template", template::key(parameters, usage, None))?;
        let made = shared.run(|live| create(live, &template, &[]))?;
        let locator = Locator::KeyFile("probe".to_owned());
        new_key(shared, &locator, made, true)
    });
    match made {
        Ok(Ok(key)) => Ok(Ok(key)),
        Ok(Err(error)) => Ok(Err(format!("no {shape} key to try: {}", inability(error)?))),
        Err(reason) => Ok(Err(reason)),
    }
}

/// Returns the scheme and the parameters of a new key, if the TPM takes them; of a symmetric key, if it
/// does with a known one what that does here.
fn plan(shared: &Shared, spec: &KeySpec) -> Result<(Scheme, PublicParameters), BackendError> {
    let what = match spec.algs.as_slice() {
        [alg] => format!("{alg} with a key of {}", spec.shape),
        _ => format!("a key of {}", spec.shape),
    };
    let unsupported = |reason| shared.unsupported(&what, reason);
    let scheme = Scheme::of_spec(spec).map_err(unsupported)?;
    let parameters = scheme::parameters(spec.shape, Some(scheme)).map_err(unsupported)?;
    let answer = shared.run(|live| {
        match live.send_bare("TPM2_TestParms", |context| context.test_parms(parameters)) {
            Err(fault) if fault.is_of_device() => Err(fault.into()),
            answer => Ok(answer),
        }
    })?;
    answer.map_err(|fault| shared.unsupported(&what, fault.to_string()))?;
    if let Scheme::Hmac(hash) = scheme {
        let answer = mac::check(shared, parameters, hash);
        answer.or_else(|error| Err(unsupported(inability(error)?)))?;
    }
    Ok((scheme, parameters))
}

fn create(live: &mut Live, template: &Public, auth: &[u8]) -> Result<Made, Trouble> {
    live.with_parent(OWNER, 1, |live, parent| {
        let made = live.send("TPM2_Create", |context| {
            let auth = Auth::try_from(auth)?;
            context.create(parent, template.clone(), Some(auth), None, None, None)
        })?;
        Ok(Made { public: made.out_public, private: made.out_private })
    })
}

/// Compares what came out with what was asked, and has the key do its algorithms.
fn prove(
    shared: &Arc<Shared>,
    locator: &Locator,
    spec: &KeySpec,
    asked: &Public,
    made: Made,
    empty_auth: bool,
) -> Result<TpmKey, BackendError> {
    if made.public.object_attributes() != asked.object_attributes() {
        return Err(not_as_asked(shared, "its attributes are others"));
    }
    if !has_same_parameters(&made.public, asked) {
        return Err(not_as_asked(shared, "its parameters are others"));
    }
    let key = new_key(shared, locator, made, empty_auth)?;
    for alg in &spec.algs {
        if let Support::No { reason } = key.support(*alg)? {
            return Err(shared.unsupported(alg.name(), reason));
        }
    }
    Ok(key)
}

fn has_same_parameters(made: &Public, asked: &Public) -> bool {
    match (made, asked) {
        (Public::Rsa { parameters: made, .. }, Public::Rsa { parameters: asked, .. }) => {
            made == asked
        }
        (Public::Ecc { parameters: made, .. }, Public::Ecc { parameters: asked, .. }) => {
            made == asked
        }
        (
            Public::KeyedHash { parameters: made, .. },
            Public::KeyedHash { parameters: asked, .. },
        ) => made == asked,
        _ => false,
    }
}

fn new_key(
    shared: &Arc<Shared>,
    locator: &Locator,
    made: Made,
    empty_auth: bool,
) -> Result<TpmKey, BackendError> {
    let place = Place::Wrapped { parent: OWNER, private: made.private };
    let material = Material { id: shared.device.new_id(), public: made.public, place };
    let key = shared.key(locator, material, empty_auth, None)?;
    // Made by a chip with the faulty library, of which many are TPMs.
    match key.info().public.as_ref().and_then(PublicKey::weakness) {
        Some(reason) => Err(not_as_asked(shared, reason)),
        None => Ok(key),
    }
}

fn not_as_asked(shared: &Shared, what: &str) -> BackendError {
    BackendError::NotAsAsked { keystore: shared.name.clone(), what: what.to_owned() }
}

/// Returns the words of an error that says that the TPM cannot.
///
/// # Errors
/// One that says that it is gone, or that its configuration cannot work.
fn inability(error: BackendError) -> Result<String, BackendError> {
    match error {
        BackendError::Unsupported { reason, .. } => Ok(reason),
        BackendError::Device { call, code, .. } => Ok(format!("{call}: {code}")),
        BackendError::NotAsAsked { what, .. } => Ok(what),
        BackendError::Rejected => Ok("a wrong known answer".to_owned()),
        error => Err(error),
    }
}
