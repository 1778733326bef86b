use std::sync::Arc;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{Accounts, ServerError};

/// What a proxy asks for with a 407: the value of `Proxy-Authenticate` (RFC 7617 §2).
pub const BASIC_CHALLENGE: &str = "Basic realm=\"proxy\"";

impl Accounts {
    /// Finds the user by the values of all `Proxy-Authorization` headers of a request: Basic
    /// authentication (RFC 7617), with or without padding. Where there are no accounts, anybody is
    /// nobody in particular.
    ///
    /// # Errors
    ///
    /// If there is not exactly one header, or its credentials are not those of an account.
    pub fn proxy_user<'h>(
        &self,
        mut given: impl Iterator<Item = &'h [u8]>,
    ) -> Result<Option<Arc<str>>, ServerError> {
        if self.is_empty() {
            return Ok(None);
        }
        let (Some(value), None) = (given.next(), given.next()) else {
            return Err(ServerError::CredentialsMissing);
        };
        let user = credentials(value).and_then(|(user, password)| self.verify(&user, &password).cloned());
        user.map(Some).ok_or(ServerError::CredentialsRejected)
    }
}

fn credentials(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let (scheme, encoded) = value.split_at_checked("basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut user = LENIENT.decode(encoded.trim_ascii()).ok()?;
    let colon = user.iter().position(|&byte| byte == b':')?;
    let password = user.split_off(colon + 1);
    user.pop();
    Some((user, password))
}
