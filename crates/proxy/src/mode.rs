//! The mode that the user has chosen: what `clash_mode` conditions see.

use std::sync::Arc;

use parking_lot::RwLock;

/// The modes of a configuration, and the one that holds.
#[derive(Debug)]
pub(crate) struct Modes {
    names: Box<[Arc<str>]>,
    current: RwLock<Arc<str>>,
}

/// No rule knows a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no mode `{mode}`; there are {}", names.join(", "))]
pub struct UnknownMode {
    /// What was asked for.
    pub mode: Box<str>,
    /// The modes that there are.
    pub names: Vec<Box<str>>,
}

impl Modes {
    /// The default mode, and those that rules name, in their order. Letter case tells none apart.
    pub(crate) fn new<'m>(default: &'m str, of_rules: impl IntoIterator<Item = &'m str>) -> Self {
        let mut names: Vec<Arc<str>> = vec![default.into()];
        for mode in of_rules {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(mode)) {
                names.push(mode.into());
            }
        }
        let current = RwLock::new(default.into());
        Self { names: names.into(), current }
    }

    pub(crate) fn current(&self) -> Arc<str> {
        self.current.read().clone()
    }

    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// Changes the mode; what comes back is its name as the configuration writes it.
    pub(crate) fn set(&self, mode: &str) -> Result<Arc<str>, UnknownMode> {
        let Some(known) = self.names.iter().find(|known| known.eq_ignore_ascii_case(mode)) else {
            let names = self.names.iter().map(|name| (**name).into()).collect();
            return Err(UnknownMode { mode: mode.into(), names });
        };
        *self.current.write() = known.clone();
        Ok(known.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_the_rules_and_the_default() {
        let modes = Modes::new("Rule", ["global", "rule", "Direct", "GLOBAL"]);
        assert_eq!(
            modes.names().iter().map(|name| &**name).collect::<Vec<_>>(),
            ["Rule", "global", "Direct"]
        );
        assert_eq!(&*modes.current(), "Rule");
        assert_eq!(modes.set("DIRECT").as_deref(), Ok("Direct"));
        assert_eq!(&*modes.current(), "Direct");
        let error = modes.set("script").unwrap_err();
        assert_eq!(error.to_string(), "there is no mode `script`; there are Rule, global, Direct");
        assert_eq!(&*modes.current(), "Direct");
    }
}
