//! Making and taking in symmetric keys.

use super::*;

/// Generates a symmetric key, giving up step by step what the token does not keep.
pub(in super::super) fn generate(
    admin: &AdminLease<'_>,
    connection: &Connection,
    wanted: &Wanted<'_>,
) -> Result<Pair, BackendError> {
    let _one_at_a_time = wanted.on_token.then(|| connection.module().keygen());
    let epoch = connection.epoch();
    let (mechanism, adds) = wanted.secret_generator();
    first_that_works(admin, connection, wanted, &[mechanism], |extras, mechanism| {
        let mut template = wanted.secret(extras);
        template.push(adds.clone());
        let made = admin.session().generate_key(mechanism, &template);
        let private = made.map_err(|error| Fault::of(&error, Function::GenerateKey))?;
        Ok(Pair { private, public: None, generator: Some(mechanism.mechanism_type()), epoch })
    })
}

/// Creates the object of a known symmetric key, in the same way.
pub(in super::super) fn create(
    admin: &AdminLease<'_>,
    connection: &Connection,
    wanted: &Wanted<'_>,
    value: &[u8],
) -> Result<Pair, BackendError> {
    let _one_at_a_time = connection.module().keygen();
    let epoch = connection.epoch();
    first_that_works(admin, connection, wanted, &[()], |extras, ()| {
        let template = wanted.known_secret(extras, value);
        let made = admin.session().create_object(&template);
        let private = made.map_err(|error| Fault::of(&error, Function::CreateObject))?;
        Ok(Pair { private, public: None, generator: None, epoch })
    })
}
