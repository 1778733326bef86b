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
        Key::new("disabled", Form::Flag, "Whether nothing is logged."),
        Key::new(
            "level",
            Form::Word(&["trace", "debug", "info", "warn", "error", "fatal", "panic"]),
            "The least important lines that are written.",
        ),
        Key::new("output", Form::Text, "A file for the log.")
            .no_effect("the log goes to standard error, which the service manager can write to a file"),
        Key::new("timestamp", Form::Flag, "Whether lines have the time in front; they always do."),
    ],
};

const LEVELS: [(&str, LogLevel); 7] = [
    ("trace", LogLevel::Debug),
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("warn", LogLevel::Warning),
    ("error", LogLevel::Error),
    ("fatal", LogLevel::Error),
    ("panic", LogLevel::Error),
];

pub(super) fn read(file: &Object<'_>, report: &mut Report<'_>) -> Log {
    let Some(log) = file.object("log", &LOG, report) else { return Log::default() };
    let level = log.text("level", report).filter(|level| !level.value.is_empty());
    let level = level.and_then(|level| choose("level", level, &LEVELS, report));
    let disabled = log.flag("disabled", report).is_some_and(|disabled| disabled.value);
    Log { level: if disabled { Some(LogLevel::None) } else { level } }
}
