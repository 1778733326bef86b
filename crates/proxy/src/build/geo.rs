//! Geo files that rules name, read once each.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use waypost_config::{
    Diagnostic, Severity, Span, Spanned,
    model::{Conditions, Config, DomainEntry, GeositeRef, IpEntry, IpSet, Matcher},
    nearest,
};
use waypost_geodata::{CountryMmdb, DomainKind, GeoipFile, GeositeFile, MmdbError};
use waypost_router::EntryKind;

use super::assets::{AssetError, Assets, Folders};

/// The file that `geoip:` means.
const GEOIP_DAT: &str = "geoip.dat";

/// Country databases that stand in for a missing geoip.dat, in the order they are looked for.
const COUNTRY_DATABASES: [&str; 4] =
    ["country.mmdb", "Country.mmdb", "GeoLite2-Country.mmdb", "dbip-country-lite.mmdb"];

/// The list that needs no file.
const PRIVATE: &str = "private";

/// All geo files that a configuration names, as far as they could be read.
pub(super) struct GeoFiles {
    sites: BTreeMap<Box<str>, GeositeFile>,
    ips: BTreeMap<Box<str>, IpFile>,
}

enum IpFile {
    Dat(GeoipFile),
    /// The lists that rules name, found in one walk over the database.
    Mmdb {
        /// The name of the database, which is another one where it stands in for geoip.dat.
        name: String,
        prefixes: BTreeMap<String, Vec<IpNet>>,
        codes: Vec<String>,
    },
}

/// The geo files that a configuration names, and those that may stand in for them.
pub(super) fn named_files(config: &Config) -> Vec<&str> {
    let wanted = Wanted::of(config);
    let stand_ins = COUNTRY_DATABASES.into_iter().filter(|_| !wanted.ips.is_empty());
    wanted.sites.keys().chain(wanted.ips.keys()).copied().chain(stand_ins).collect()
}

/// A reference that failed because its file did, which is reported elsewhere.
pub(super) struct Reported;

impl GeoFiles {
    /// Reads every file that `config` names. What cannot be read is reported once, at the first
    /// place that names it.
    pub(super) fn read(config: &Config, assets: &Assets, problems: &mut Vec<Diagnostic>) -> Self {
        let mut files = Self { sites: BTreeMap::new(), ips: BTreeMap::new() };
        let wanted = Wanted::of(config);
        for (file, span) in wanted.sites {
            match read_site(assets, file) {
                Ok(site) => drop(files.sites.insert(file.into(), site)),
                Err(problem) => problems.push(problem.at(span)),
            }
        }
        for (file, (span, codes)) in wanted.ips {
            match read_ip(assets, file, &codes) {
                Ok(Some(ip)) => drop(files.ips.insert(file.into(), ip)),
                // Only `geoip:private` was wanted, and that needs no file.
                Ok(None) => {}
                Err(problem) => problems.push(problem.at(span)),
            }
        }
        files
    }

    /// The entries of a geosite list that have every wanted attribute.
    pub(super) fn site<'a>(
        &'a self,
        reference: &GeositeRef,
        span: Span,
        problems: &mut Vec<Diagnostic>,
    ) -> Result<Vec<(EntryKind, &'a str)>, Reported> {
        let file = self.sites.get(&reference.file).ok_or(Reported)?;
        let Some(list) = file.list(&reference.code) else {
            problems.push(unknown_code(&reference.file, &reference.code, file.codes(), span));
            return Err(Reported);
        };
        let mut entries = Vec::new();
        for domain in list.domains() {
            match domain {
                Ok(domain) if reference.attributes.iter().all(|wanted| domain.has_attribute(wanted)) => {
                    entries.push((entry_kind(domain.kind), domain.value));
                }
                Ok(_) => {}
                Err(error) => {
                    problems.push(broken(&reference.file, &error).at(span));
                    return Err(Reported);
                }
            }
        }
        if entries.is_empty() {
            let message = if reference.attributes.is_empty() {
                format!("list `{}` of `{}` is empty", reference.code, reference.file)
            } else {
                format!("no entry of list `{}` has {}", reference.code, attributes(reference))
            };
            let help = Some("this entry never matches".to_owned());
            problems.push(Diagnostic { severity: Severity::Warning, span, message, help });
        }
        Ok(entries)
    }

    /// The prefixes of a geoip list.
    pub(super) fn ip(
        &self,
        file_name: &str,
        code: &str,
        span: Span,
        problems: &mut Vec<Diagnostic>,
    ) -> Result<Vec<IpNet>, Reported> {
        let private = file_name == GEOIP_DAT && code.eq_ignore_ascii_case(PRIVATE);
        let Some(file) = self.ips.get(file_name) else {
            return if private { Ok(waypost_geoip::private_prefixes().collect()) } else { Err(Reported) };
        };
        match file {
            IpFile::Dat(dat) => match dat.list(code) {
                Some(list) => list.prefixes().collect::<Result<_, _>>().map_err(|error| {
                    problems.push(broken(file_name, &error).at(span));
                    Reported
                }),
                None if private => Ok(waypost_geoip::private_prefixes().collect()),
                None => {
                    problems.push(unknown_code(file_name, code, dat.codes(), span));
                    Err(Reported)
                }
            },
            IpFile::Mmdb { .. } if private => Ok(waypost_geoip::private_prefixes().collect()),
            IpFile::Mmdb { name, prefixes, codes } => {
                let found = prefixes.iter().find(|(known, _)| known.eq_ignore_ascii_case(code));
                found.map(|(_, prefixes)| prefixes.clone()).ok_or_else(|| {
                    problems.push(unknown_code(name, code, codes.iter().map(String::as_str), span));
                    Reported
                })
            }
        }
    }
}

/// The files that a configuration names, with the first place that names each.
#[derive(Default)]
struct Wanted<'a> {
    sites: BTreeMap<&'a str, Span>,
    ips: BTreeMap<&'a str, (Span, Vec<&'a str>)>,
}

impl<'a> Wanted<'a> {
    fn of(config: &'a Config) -> Self {
        let mut wanted = Self::default();
        for rule in &config.routing.rules {
            wanted.matcher(&rule.matcher);
        }
        for sniffing in config.inbounds.iter().filter_map(|inbound| inbound.sniffing.as_ref()) {
            sniffing.domains_excluded.iter().for_each(|entry| wanted.domain(entry));
            sniffing.ips_excluded.iter().for_each(|entry| wanted.ip(entry));
        }
        config.dns.hosts.iter().for_each(|entry| wanted.domain(&entry.pattern));
        for server in &config.dns.servers {
            server.domains.iter().for_each(|entry| wanted.domain(entry));
            let filters = [&server.expected, &server.unexpected].into_iter().flatten();
            filters.flat_map(|filter| &filter.entries).for_each(|entry| wanted.ip(entry));
        }
        wanted
    }

    fn matcher(&mut self, matcher: &'a Matcher) {
        matcher.for_each(&mut |Conditions { domain, ip, source, local_ip, .. }| {
            domain.iter().flatten().for_each(|entry| self.domain(entry));
            [ip, source, local_ip].into_iter().flatten().flatten().for_each(|entry| self.ip(entry));
        });
    }

    fn domain(&mut self, entry: &'a Spanned<DomainEntry>) {
        if let DomainEntry::List(list) = &entry.value {
            self.sites.entry(&list.file).or_insert(entry.span);
        }
    }

    fn ip(&mut self, entry: &'a Spanned<IpEntry>) {
        if let IpSet::List { file, code } = &entry.value.set {
            self.ips.entry(file).or_insert((entry.span, Vec::new())).1.push(code);
        }
    }
}

/// A problem that has no place yet.
struct Unplaced {
    message: String,
    help: Option<String>,
}

impl Unplaced {
    fn at(self, span: Span) -> Diagnostic {
        Diagnostic { severity: Severity::Error, span, message: self.message, help: self.help }
    }
}

impl From<AssetError> for Unplaced {
    fn from(error: AssetError) -> Self {
        let help = match &error {
            AssetError::NotFound { folders, .. } => {
                Some(format!("set WAYPOST_ASSETS to the folder that has it; looked in {}", Folders(folders)))
            }
            AssetError::Io { .. } | AssetError::TooLarge { .. } => None,
        };
        Self { message: error.to_string(), help }
    }
}

fn broken(file: &str, error: &dyn std::fmt::Display) -> Unplaced {
    Unplaced { message: format!("`{file}` is broken: {error}"), help: Some(FETCH_AGAIN.to_owned()) }
}

const FETCH_AGAIN: &str = "fetch the file again: an interrupted download looks like this, and so does another kind \
                           of file under this name";

fn read_site(assets: &Assets, file: &str) -> Result<GeositeFile, Unplaced> {
    let (path, bytes) = assets.read(file)?;
    GeositeFile::new(bytes).map_err(|error| broken(&path.to_string_lossy(), &error))
}

fn read_ip(assets: &Assets, file: &str, codes: &[&str]) -> Result<Option<IpFile>, Unplaced> {
    let only_private = file == GEOIP_DAT && codes.iter().all(|code| code.eq_ignore_ascii_case(PRIVATE));
    match assets.read(file) {
        Ok((path, bytes)) if is_mmdb(file) => read_mmdb(file, &path, bytes, codes).map(Some),
        Ok((path, bytes)) => match GeoipFile::new(bytes) {
            Ok(dat) => Ok(Some(IpFile::Dat(dat))),
            Err(error) => Err(broken(&path.to_string_lossy(), &error)),
        },
        Err(AssetError::NotFound { .. }) if only_private => Ok(None),
        Err(error @ AssetError::NotFound { .. }) if file == GEOIP_DAT => {
            let Some(database) = COUNTRY_DATABASES.iter().find(|name| assets.find(name).is_some()) else {
                let mut problem = Unplaced::from(error);
                problem.message.push_str(" or a country database (");
                problem.message.push_str(&COUNTRY_DATABASES.map(|name| format!("`{name}`")).join(", "));
                problem.message.push(')');
                return Err(problem);
            };
            let (path, bytes): (PathBuf, Vec<u8>) = assets.read(database)?;
            read_mmdb(database, &path, bytes, codes).map(Some)
        }
        Err(error) => Err(error.into()),
    }
}

fn is_mmdb(file: &str) -> bool {
    file.rsplit_once('.').is_some_and(|(_, ending)| ending.eq_ignore_ascii_case("mmdb"))
}

fn read_mmdb(name: &str, path: &Path, bytes: Vec<u8>, codes: &[&str]) -> Result<IpFile, Unplaced> {
    let broken = |error: MmdbError| broken(&path.to_string_lossy(), &error);
    let database = CountryMmdb::new(bytes).map_err(broken)?;
    let prefixes = database.prefixes(codes).map_err(broken)?;
    let missing = codes.iter().any(|code| !prefixes.keys().any(|known| known.eq_ignore_ascii_case(code)));
    let known = if missing { database.countries().map_err(broken)? } else { BTreeMap::new() };
    Ok(IpFile::Mmdb { name: name.to_owned(), prefixes, codes: known.into_keys().collect() })
}

fn entry_kind(kind: DomainKind) -> EntryKind {
    match kind {
        DomainKind::Keyword => EntryKind::Keyword,
        DomainKind::Regexp => EntryKind::Regexp,
        DomainKind::Suffix => EntryKind::Suffix,
        DomainKind::Full => EntryKind::Full,
    }
}

fn attributes(reference: &GeositeRef) -> String {
    let shown: Vec<String> = reference.attributes.iter().map(|attribute| format!("`@{attribute}`")).collect();
    shown.join(" and ")
}

fn unknown_code<'a>(file: &str, code: &str, known: impl Iterator<Item = &'a str>, span: Span) -> Diagnostic {
    let known: Vec<String> = known.map(str::to_lowercase).collect();
    let listing = format!("`waypost geo list {file}` shows all codes ({})", known.len());
    let help = match nearest(&code.to_lowercase(), known.iter().map(String::as_str)) {
        _ if known.is_empty() => format!("it has no list at all; {FETCH_AGAIN}"),
        Some(near) => format!("did you mean `{near}`? {listing}"),
        None => listing,
    };
    let message = format!("`{file}` has no list `{code}`");
    Diagnostic { severity: Severity::Error, span, message, help: Some(help) }
}
