//! Changes of the configuration in force.

mod file;

use serde_json::Value;
use tonic::Status;
use waypost_config::{Dialect, Written, model::Config};
use waypost_proxy::{Control, Reading, ReloadError, ReloadFrom};

pub(crate) use self::file::{Entry, File, List};
use crate::limits::MAX_STATUS_BYTES;

/// Changes the configuration, one change after the other.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    control: Control,
    reading: Reading,
}

/// Whether a change has anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    Done,
    Nothing,
}

impl Changes {
    /// `reading` says how the text of a configuration is read.
    pub(crate) fn new(control: Control, reading: Reading) -> Self {
        Self { control, reading }
    }

    /// Writes the configuration in force as a file of V2Ray, has `edit` change it, and takes the result
    /// in its place.
    ///
    /// # Errors
    ///
    /// If `edit` refuses, the file cannot say all that is configured, or the result is not valid; nothing is
    /// changed then.
    pub(crate) async fn apply(
        &self,
        edit: impl FnOnce(&Config, &mut File) -> Result<Edit, Status> + Send + 'static,
    ) -> Result<(), Status> {
        let Self { control, reading } = self.clone();
        // A task of its own: a client that goes away must not leave a change half done.
        let change = tokio::spawn(async move {
            let make = |config: &Config| -> Result<Option<ReloadFrom>, Status> {
                let mut file = written(config)?;
                match edit(config, &mut file)? {
                    Edit::Nothing => Ok(None),
                    Edit::Done => Ok(Some(ReloadFrom::Text(file.into_text()?))),
                }
            };
            match control.reload_by(&reading, make).await? {
                None | Some(Ok(_)) => Ok(()),
                Some(Err(error)) => Err(refused(&error)),
            }
        });
        change.await.map_err(|_stopped| Status::unavailable("the proxy stops"))?
    }
}

/// The configuration in force as a file.
fn written(config: &Config) -> Result<File, Status> {
    let Written { text, losses } = waypost_config::write(config, Dialect::V2ray);
    if let Some(lost) = losses.first() {
        let message = format!("the configuration cannot be changed over this API: {}", lost.message);
        return Err(Status::failed_precondition(bounded(&message)));
    }
    File::try_new(&text)
}

/// What a client is told. Places are left out: they are those of a file that nobody has.
fn refused(error: &ReloadError) -> Status {
    match error {
        ReloadError::Invalid { diagnostics, .. } => Status::invalid_argument(bounded(&problems(diagnostics))),
        ReloadError::Refused { reason } => Status::failed_precondition(bounded(reason)),
        ReloadError::Unreadable { reason } => Status::internal(bounded(reason)),
        _ => Status::internal(bounded(&error.to_string())),
    }
}

/// The errors among diagnostics, with their ways out.
fn problems(diagnostics: &Value) -> String {
    let diagnostics = diagnostics.get("diagnostics").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let text = |diagnostic: &Value, key: &str| diagnostic.get(key).and_then(Value::as_str).map(str::to_owned);
    let errors = diagnostics.iter().filter(|one| text(one, "severity").as_deref() == Some("error"));
    let errors = errors.filter_map(|one| {
        let message = text(one, "message")?;
        Some(match text(one, "help") {
            Some(help) => format!("{message} ({help})"),
            None => message,
        })
    });
    let errors: Vec<String> = errors.collect();
    if errors.is_empty() { "the configuration is not valid".to_owned() } else { errors.join("; ") }
}

fn bounded(text: &str) -> String {
    if text.len() <= MAX_STATUS_BYTES {
        return text.to_owned();
    }
    let cut = text.char_indices().take_while(|(at, _)| *at < MAX_STATUS_BYTES);
    cut.map(|(_, character)| character).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_errors_are_told() {
        let diagnostics = json!({"diagnostics": [
            {"severity": "warning", "message": "old"},
            {"severity": "error", "message": "wrong", "help": "do it right"},
            {"severity": "error", "message": "gone", "help": null},
        ]});
        assert_eq!(problems(&diagnostics), "wrong (do it right); gone");
        assert_eq!(problems(&Value::Null), "the configuration is not valid");
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let long = "ü".repeat(3000);
        let cut = bounded(&long);
        assert!(cut.len() <= MAX_STATUS_BYTES + 4 && cut.ends_with("ü…"), "{}", cut.len());
        assert_eq!(bounded("short"), "short");
    }
}
