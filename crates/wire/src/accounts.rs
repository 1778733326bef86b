use std::{fmt, sync::Arc};

use subtle::{Choice, ConstantTimeEq};
use waypost_net::Secret;

use crate::constant_time;

/// The longest user name and password that RFC 1929 can carry.
const MAX_FIELD: usize = 255;

/// The users that a server lets in; without any, everybody is let in and nobody is asked.
///
/// Cheap to clone. Credentials are compared with every account, and the time that takes depends on
/// their length and the number of accounts only.
#[derive(Clone, Default)]
pub struct Accounts(Arc<[StoredAccount]>);

/// Why a list of accounts cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// A user name or password is longer than RFC 1929 can carry.
    #[error("user name and password have at most 255 bytes each: user `{user}`")]
    TooLong {
        /// The user.
        user: Arc<str>,
    },
    /// A user name is empty.
    #[error("a user name cannot be empty")]
    EmptyUser,
}

/// A user name and a password to present to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    user: Arc<str>,
    password: Secret,
}

struct StoredAccount {
    user: Arc<str>,
    user_field: Field,
    password_field: Field,
}

/// A text padded to the longest length, so that comparing it touches bytes by the length of the
/// other side only.
struct Field {
    length: usize,
    padded: Box<[u8; MAX_FIELD]>,
}

impl Accounts {
    /// Takes pairs of user name and password.
    ///
    /// # Errors
    ///
    /// If a user name is empty, or a field is longer than 255 bytes.
    pub fn try_new<'a>(
        accounts: impl IntoIterator<Item = (Arc<str>, &'a Secret)>,
    ) -> Result<Self, AccountsError> {
        let stored = accounts.into_iter().map(|(user, password)| {
            if user.is_empty() {
                return Err(AccountsError::EmptyUser);
            }
            let too_long = || AccountsError::TooLong { user: user.clone() };
            let user_field = Field::new(user.as_bytes()).ok_or_else(too_long)?;
            let password_field = Field::new(password.expose().as_bytes()).ok_or_else(too_long)?;
            Ok(StoredAccount { user, user_field, password_field })
        });
        Ok(Self(stored.collect::<Result<_, _>>()?))
    }

    /// Whether nobody is asked for credentials.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The user with these credentials.
    #[must_use]
    pub fn verify(&self, user: &[u8], password: &[u8]) -> Option<&Arc<str>> {
        let place = constant_time::position(&self.0, |account| {
            account.user_field.equals(user) & account.password_field.equals(password)
        })?;
        self.0.get(place).map(|account| &account.user)
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|account| &account.user)).finish()
    }
}

impl Credentials {
    /// Takes a user name and a password.
    ///
    /// # Errors
    ///
    /// If the user name is empty, or a field is longer than 255 bytes.
    pub fn try_new(user: Arc<str>, password: Secret) -> Result<Self, AccountsError> {
        if user.is_empty() {
            return Err(AccountsError::EmptyUser);
        }
        if user.len().max(password.expose().len()) > MAX_FIELD {
            return Err(AccountsError::TooLong { user });
        }
        Ok(Self { user, password })
    }

    /// The message of RFC 1929 §2.
    pub(crate) fn to_rfc1929(&self) -> Vec<u8> {
        let mut message = vec![1];
        for field in [self.user.as_bytes(), self.password.expose().as_bytes()] {
            message.push(u8::try_from(field.len()).unwrap_or(u8::MAX));
            message.extend(field.iter().take(MAX_FIELD));
        }
        message
    }

    /// `user:password`, as Basic authentication encodes it (RFC 7617 §2).
    pub(crate) fn to_basic(&self) -> String {
        format!("{}:{}", self.user, self.password.expose())
    }
}

impl Field {
    fn new(text: &[u8]) -> Option<Self> {
        let mut padded = Box::new([0; MAX_FIELD]);
        padded.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { length: text.len(), padded })
    }

    fn equals(&self, given: &[u8]) -> Choice {
        let Some(same_span) = self.padded.get(..given.len()) else { return Choice::from(0) };
        let length = u64::try_from(self.length).unwrap_or(u64::MAX);
        let given_length = u64::try_from(given.len()).unwrap_or(u64::MAX);
        same_span.ct_eq(given) & length.ct_eq(&given_length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        let passwords = [Secret::new("one"), Secret::new(""), Secret::new("three")];
        let users = ["a", "b", "a"].map(Arc::from);
        Accounts::try_new(users.into_iter().zip(&passwords)).unwrap()
    }

    #[track_caller]
    fn check(user: &str, password: &str, expected: Option<&str>) {
        let accounts = accounts();
        assert_eq!(accounts.verify(user.as_bytes(), password.as_bytes()).map(|user| &**user), expected);
    }

    #[test]
    fn only_whole_pairs_are_accepted() {
        check("a", "one", Some("a"));
        check("a", "three", Some("a"));
        check("b", "", Some("b"));
        check("a", "on", None);
        check("a", "one\0", None);
        check("b", "one", None);
        check("", "", None);
        check("a", &"x".repeat(256), None);
    }

    #[test]
    fn fields_that_no_client_can_send_are_refused() {
        let long = Secret::new("x".repeat(256));
        let user: Arc<str> = "a".into();
        assert!(matches!(Accounts::try_new([(user.clone(), &long)]), Err(AccountsError::TooLong { .. })));
        assert!(matches!(Credentials::try_new(user, long), Err(AccountsError::TooLong { .. })));
        assert_eq!(Credentials::try_new("".into(), Secret::new("")), Err(AccountsError::EmptyUser));
    }

    #[test]
    fn passwords_do_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", accounts()), r#"["a", "b", "a"]"#);
    }
}
