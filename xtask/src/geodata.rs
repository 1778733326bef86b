//! `cargo xtask geodata`.

mod cidr;
mod domain_list;
mod synthetic;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use waypost_geodata::{IpEntry, write_country_mmdb, write_geoip, write_geosite};

use crate::workspace;

/// Where the small test data lies, with its sources below `site` and `ip`.
const TEST_DATA: &str = "testdata/geo";
/// Where everything else goes; it is not committed.
const GENERATED: &str = "target/geodata";
/// 2026-01-01. A fixed time, so that equal data gives equal files.
const BUILD_EPOCH: u64 = 1_767_225_600;

/// Without an option, makes the small test data of `testdata/geo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Make data of real size from a fixed seed: synthetic-{geosite.dat,geoip.dat,country.mmdb}.
    #[arg(long, group = "source")]
    synthetic: bool,
    /// Make geosite.dat from a source folder of domain-list-community, as its own builder does.
    #[arg(long, group = "source", value_name = "DIR")]
    domain_list: Option<PathBuf>,
    /// Make geoip.dat from a folder of NAME.txt files with one prefix or address a line.
    #[arg(long, group = "source", value_name = "DIR")]
    cidr: Option<PathBuf>,
    /// The folder (--synthetic) or file (--domain-list, --cidr) to write, instead of target/geodata.
    #[arg(long, requires = "source", value_name = "PATH")]
    out: Option<PathBuf>,
}

/// A file to write: its name and its bytes.
type GeneratedFile = (&'static str, Vec<u8>);

pub(crate) fn run(options: &Options) -> Result<()> {
    let root = workspace::root()?;
    let generated = root.join(GENERATED);
    let out = |name: &str| options.out.clone().unwrap_or_else(|| generated.join(name));
    if let Some(folder) = &options.domain_list {
        write_file(&out("geosite.dat"), &geosite_of_folder(folder)?)
    } else if let Some(folder) = &options.cidr {
        write_file(&out("geoip.dat"), &write_geoip(&cidr::read_folder(folder)?))
    } else if options.synthetic {
        write_synthetic(options.out.as_deref().unwrap_or(&generated))
    } else {
        let folder = root.join(TEST_DATA);
        write_files(&folder, &test_data(&folder)?)
    }
}

/// Makes the data that benchmarks read: always the synthetic, and the real where its source is.
pub(crate) fn prepare_benchmarks(root: &Path) -> Result<()> {
    let generated = root.join(GENERATED);
    write_synthetic(&generated)?;
    let source = root.join("../shared/data/domain-list-community");
    if source.is_dir() {
        return write_file(&generated.join("geosite.dat"), &geosite_of_folder(&source)?);
    }
    eprintln!("{} is not here: no real geosite.dat", source.display());
    Ok(())
}

fn write_synthetic(folder: &Path) -> Result<()> {
    let data = synthetic::generate(&synthetic::Size::default());
    let files = [
        ("synthetic-geosite.dat", write_geosite(&data.sites)),
        ("synthetic-geoip.dat", write_geoip(&data.ips)),
        ("synthetic-country.mmdb", country_mmdb(&data.ips)),
    ];
    write_files(folder, &files)
}

fn geosite_of_folder(folder: &Path) -> Result<Vec<u8>> {
    let lists = domain_list::build(&domain_list::read_folder(folder)?)?;
    for name in &lists.empty {
        eprintln!("warning: list `{name}` is empty and left out");
    }
    Ok(write_geosite(&lists.entries))
}

/// Makes the small test data from its sources in `folder`.
fn test_data(folder: &Path) -> Result<[GeneratedFile; 3]> {
    let ips = cidr::read_folder(&folder.join("ip"))?;
    Ok([
        ("geosite.dat", geosite_of_folder(&folder.join("site"))?),
        ("geoip.dat", write_geoip(&ips)),
        ("country.mmdb", country_mmdb(&ips)),
    ])
}

/// Writes those lists that have the code of a country, which is to say two letters.
fn country_mmdb(entries: &[IpEntry]) -> Vec<u8> {
    let countries = entries.iter().filter(|entry| entry.code.len() == 2);
    let networks: Vec<_> = countries
        .flat_map(|entry| entry.prefixes.iter().map(|prefix| (*prefix, entry.code.as_str())))
        .collect();
    write_country_mmdb(&networks, BUILD_EPOCH)
}

fn write_files(folder: &Path, files: &[GeneratedFile]) -> Result<()> {
    files.iter().try_for_each(|(name, bytes)| write_file(&folder.join(name), bytes))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    println!("{}: {} bytes", path.display(), bytes.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};
    use waypost_geodata::{CountryMmdb, GeoipFile, GeositeFile};

    use super::*;

    #[test]
    fn committed_test_data_is_what_the_command_writes() {
        let folder = workspace::root().unwrap().join(TEST_DATA);
        for (name, bytes) in test_data(&folder).unwrap() {
            let committed = std::fs::read(folder.join(name)).unwrap();
            assert!(committed == bytes, "{name} is stale: run `cargo xtask geodata`");
            assert!(bytes.len() < 50_000, "{name} is too big to commit: {} bytes", bytes.len());
        }
    }

    #[test]
    fn test_data_has_the_lists_that_tests_rely_on() {
        let [(_, geosite), (_, geoip), (_, mmdb)] =
            test_data(&workspace::root().unwrap().join(TEST_DATA)).unwrap();
        let geosite = GeositeFile::new(geosite).unwrap();
        for code in ["CN", "GEOLOCATION-!CN", "CATEGORY-ADS-ALL", "GOOGLE", "PRIVATE", "TEST"] {
            assert!(
                geosite.list(code).is_some_and(|list| list.domains().all(|domain| domain.is_ok())),
                "{code}"
            );
        }
        let test: Vec<_> = geosite.list("TEST").unwrap().domains().map(Result::unwrap).collect();
        let kinds: std::collections::BTreeSet<_> = test.iter().map(|domain| domain.kind).collect();
        assert_eq!(kinds.len(), 4);
        for attribute in ["ads", "cn", "!cn"] {
            assert!(test.iter().any(|domain| domain.has_attribute(attribute)), "{attribute}");
        }
        let geoip = GeoipFile::new(geoip).unwrap();
        for code in ["PRIVATE", "CN", "US", "JP", "TEST", "TELEGRAM"] {
            let prefixes: Vec<_> = geoip.list(code).unwrap().prefixes().map(Result::unwrap).collect();
            assert!(prefixes.iter().any(|prefix| prefix.addr().is_ipv4()), "{code}");
            assert!(prefixes.iter().any(|prefix| prefix.addr().is_ipv6()), "{code}");
        }
        let countries = CountryMmdb::new(mmdb).unwrap().countries().unwrap();
        assert_eq!(countries.keys().collect::<Vec<_>>(), ["CN", "JP", "US"]);
    }

    #[test]
    fn builds_the_community_list_to_the_byte() {
        let folder = workspace::root().unwrap().join("../shared/data");
        let Ok(expected) = std::fs::read_to_string(folder.join("geosite.dat.sha256")) else {
            let why = format!("{} is not here", folder.display());
            waypost_testkit::say_skipped("builds_the_community_list_to_the_byte", &why);
            return;
        };
        let bytes = geosite_of_folder(&folder.join("domain-list-community")).unwrap();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((bytes.len(), digest.as_str()), (2_284_391, expected.split_whitespace().next().unwrap()));
    }
}
