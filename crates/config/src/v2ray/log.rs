use crate::{
    keys::{Form, Key, KeyTable},
    model::{Log, LogLevel},
    object::{Object, choose},
    report::Report,
};

pub(super) static LOG: KeyTable = KeyTable {
    name: "Log",
    path: "log",
    doc: "What is logged; the log goes to standard error.",
    keys: &[
        Key::new(
            "loglevel",
            Form::Word(&["debug", "info", "warning", "error", "none"]),
            "The least important lines that are written.",
        ),
        Key::new("access", Form::Text, "A file for one line per connection; not written, see `loglevel`."),
        Key::new("error", Form::Text, "A file for everything else; not written, see `loglevel`."),
        Key::new("dnsLog", Form::Flag, "Whether look-ups are logged.")
            .no_effect("`loglevel` decides about look-ups"),
        Key::new("maskAddress", Form::Text, "Hides addresses in the log.")
            .no_effect("addresses are only in the log at the level `debug`"),
    ],
};

pub(super) fn read(file: &Object<'_>, report: &mut Report<'_>) -> Log {
    let Some(log) = file.object("log", &LOG, report) else { return Log::default() };
    for (name, silent) in [("access", ["", "none"]), ("error", ["", ""])] {
        if let Some(path) = log.text(name, report)
            && !silent.contains(&path.value)
        {
            let message = format!("the `{name}` log is not written to a file, it goes to standard error");
            report.warning(path.span, message).help("let the service manager write standard error to a file");
        }
    }
    let level = log.text("loglevel", report);
    Log { level: level.and_then(|level| choose("loglevel", level, &LogLevel::WORDS, report)) }
}
