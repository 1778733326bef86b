use std::path::Path;

use waypost_proxy::build::Assets;

use crate::{
    Command, Geo, InspectError, RuleSetCommand, configuration, export, geo::GeoFile, link, rule_set,
};

/// What a command says.
#[derive(Debug, Default)]
pub struct Outcome {
    /// For standard output.
    pub text: String,
    /// For standard error.
    pub notes: String,
    /// Whether nothing was found, or the input has errors.
    pub failed: bool,
}

impl Outcome {
    pub(crate) fn text(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    pub(crate) fn wrote(path: &Path, notes: String) -> Self {
        Self { text: format!("wrote {}\n", path.display()), notes, failed: false }
    }
}

/// Does what the command line asks for. `env` is the environment that configurations may name.
///
/// # Errors
///
/// If a file cannot be read, understood or written.
pub fn run(
    command: &Command,
    assets: &Assets,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Outcome, InspectError> {
    match command {
        Command::Convert(arguments) => configuration::convert(arguments, env),
        Command::Link(arguments) => link::link(arguments, env),
        Command::Geo(command) => geo(command, assets),
        Command::RuleSet(command) => match command {
            RuleSetCommand::Compile { source, output, format_version } => {
                rule_set::compile(source, output.as_deref(), *format_version)
            }
            RuleSetCommand::Decompile { compiled, output } => {
                rule_set::decompile(compiled, output.as_deref())
            }
            RuleSetCommand::Match { file, hosts } => rule_set::match_hosts(file, hosts),
            RuleSetCommand::Convert { list, kind, output } => {
                rule_set::convert(list, *kind, output.as_deref())
            }
        },
    }
}

fn geo(command: &Geo, assets: &Assets) -> Result<Outcome, InspectError> {
    match command {
        Geo::List(path) => Ok(Outcome::text(GeoFile::open(&path.file, assets)?.list_table()?)),
        Geo::Stat(path) => Ok(Outcome::text(GeoFile::open(&path.file, assets)?.total_table()?)),
        Geo::Lookup { path, host } => {
            let file = GeoFile::open(&path.file, assets)?;
            Ok(match file.lookup_table(host)? {
                Some(table) => Outcome::text(table),
                None => Outcome {
                    text: format!("no list of `{}` holds {host}\n", file.path.display()),
                    failed: true,
                    ..Outcome::default()
                },
            })
        }
        Geo::Export { path, code, output } => {
            export::export(&GeoFile::open(&path.file, assets)?, code, output.as_deref())
        }
    }
}
