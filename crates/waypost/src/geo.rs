use std::process::ExitCode;

use waypost_proxy::inspect::GeoFile;

use crate::{EXIT_ERRORS, arguments::Geo, load::assets, print};

/// Looks into a geo file.
pub(crate) fn geo(arguments: &Geo) -> anyhow::Result<ExitCode> {
    let (Geo::List { file } | Geo::Lookup { file, .. } | Geo::Stat { file }) = arguments;
    let file = GeoFile::open(file, &assets(None))?;
    let lines: String = match arguments {
        Geo::List { .. } => {
            let lists = file.lists()?;
            lists
                .iter()
                .map(|list| format!("{:8}  {}\n", list.entries.values().sum::<usize>(), list.code))
                .collect()
        }
        Geo::Lookup { host, .. } => {
            let found = file.lookup(host)?;
            if found.is_empty() {
                print(&format!("no list of `{}` holds {host}\n", file.path.display()))?;
                return Ok(ExitCode::from(EXIT_ERRORS));
            }
            let width = found.iter().map(|found| found.code.len()).max().unwrap_or_default();
            found.iter().map(|found| format!("{:width$}  {}\n", found.code, found.entry)).collect()
        }
        Geo::Stat { .. } => {
            let (lists, kinds) = file.totals()?;
            let counts = kinds.iter().map(|(kind, count)| format!("{count:10}  {kind}\n"));
            format!("{}: {}, {lists} lists\n", file.path.display(), file.kind()) + &counts.collect::<String>()
        }
    };
    print(&lines)
}
