//! From the model back to text, in either dialect.

mod json;
mod load_balance;
mod losses;
mod remote;
mod rule_text;
mod singbox;
mod text;
mod tls;
mod v2ray;

use self::losses::Losses;
pub use self::rule_text::rule_text;
use crate::{Diagnostic, Dialect, Severity, model::Config};

/// A configuration as the text of a file.
#[derive(Debug, Clone)]
pub struct Written {
    /// The text, which has the passwords of the configuration.
    pub text: String,
    /// What the dialect cannot say, with its place in the file that the configuration was read from:
    /// errors where connections would go elsewhere or be treated in another way, warnings where it
    /// is only a name or a count.
    pub losses: Vec<Diagnostic>,
}

impl Written {
    /// Whether connections could go elsewhere, or be treated in another way.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.losses.iter().any(|loss| loss.severity == Severity::Error)
    }
}

/// Writes a configuration in a dialect. What can be said in another way is said so; everything else
/// is among the losses, and not in the text.
///
/// ```
/// use waypost_config::{Dialect, Options, Source, parse, write};
///
/// let text = r#"{
///     "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 1080}],
///     "outbounds": [{"protocol": "freedom", "tag": "direct"}],
/// }"#;
/// let config = parse(&Source::new("config.json", text)?, &Options::default()).config.ok_or("unusable")?;
/// let written = write(&config, Dialect::SingBox);
/// assert!(written.losses.is_empty());
/// assert!(written.text.contains(r#"{"type": "direct", "tag": "direct"}"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn write(config: &Config, dialect: Dialect) -> Written {
    let mut losses = Losses::new(dialect);
    let file = match dialect {
        Dialect::V2ray => v2ray::file(config, &mut losses),
        Dialect::SingBox => singbox::file(config, &mut losses),
    };
    Written { text: file.to_file(), losses: losses.finish() }
}
