use waypost_net::Host;

use crate::{
    Spanned,
    report::{Report, quote},
};

/// Reads an address or a name.
pub(crate) fn read(written: Spanned<&str>, report: &mut Report<'_>) -> Option<Host> {
    match Host::parse(written.value) {
        Ok(host) => Some(host),
        Err(error) => {
            let message = format!("neither an address nor a name: {}", quote(written.value));
            report.error(written.span, message);
            report.help(if written.value.contains('/') { NO_URL.to_owned() } else { error.to_string() });
            None
        }
    }
}

/// What to do with `https://example.com/`.
pub(crate) const NO_URL: &str = "write the name alone, without `http://` and without a path";
