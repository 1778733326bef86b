//! A look into a geo file, for people.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

use waypost_geodata::{CountryMmdb, DatError, DomainKind, GeoipFile, GeositeFile, MmdbError};
use waypost_geoip::IpIndexBuilder;
use waypost_geosite::{DomainIndexBuilder, Hit};
use waypost_net::{DomainName, Host};

use waypost_proxy::build::Assets;

use crate::InspectError;

/// A geo file of a kind that was recognised.
#[derive(Debug)]
pub(crate) struct GeoFile {
    /// Where it was found.
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Sites(GeositeFile),
    Ips(GeoipFile),
    Countries(CountryMmdb),
}

/// A list of a geo file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListSummary {
    /// Its code.
    pub(crate) code: String,
    /// How many entries it has, by kind.
    pub(crate) entries: BTreeMap<&'static str, usize>,
}

/// A list that holds a name or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// The code of the list.
    pub(crate) code: String,
    /// The entry: `domain:example.com`, or the range around the address.
    pub(crate) entry: String,
}

impl GeoFile {
    /// Opens a file by its path, or by its name in one of the asset folders.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is no geo file.
    pub(crate) fn open(name: &str, assets: &Assets) -> Result<Self, InspectError> {
        let path = Path::new(name);
        let (path, bytes) = if path.exists() { Assets::read_at(path.into()) } else { assets.read(name) }?;
        let is_mmdb = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("mmdb"));
        let content = if is_mmdb {
            CountryMmdb::new(bytes).map(Content::Countries).map_err(|error| mmdb(&path, error))
        } else {
            read_dat(bytes).map_err(|error| InspectError::Dat { path: path.clone(), error })
        }?;
        Ok(Self { path, content })
    }

    /// What the file is, for people.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static str {
        match self.content {
            Content::Sites(_) => "geosite",
            Content::Ips(_) => "geoip",
            Content::Countries(_) => "country database",
        }
    }

    /// All lists in the order of the file.
    ///
    /// # Errors
    ///
    /// If a list is broken.
    pub(crate) fn lists(&self) -> Result<Vec<ListSummary>, InspectError> {
        let dat = |error| InspectError::Dat { path: self.path.clone(), error };
        match &self.content {
            Content::Sites(file) => {
                let lists = file.codes().filter_map(|code| file.list(code)).map(|list| {
                    let mut entries = BTreeMap::new();
                    for domain in list.domains() {
                        *entries.entry(kind_name(domain.map_err(dat)?.kind)).or_default() += 1;
                    }
                    Ok(ListSummary { code: list.code().to_lowercase(), entries })
                });
                lists.collect()
            }
            Content::Ips(file) => {
                let lists = file.codes().filter_map(|code| file.list(code)).map(|list| {
                    let mut entries = BTreeMap::new();
                    for prefix in list.prefixes() {
                        *entries.entry(family_name(prefix.map_err(dat)?.addr())).or_default() += 1;
                    }
                    Ok(ListSummary { code: list.code().to_lowercase(), entries })
                });
                lists.collect()
            }
            Content::Countries(database) => {
                let countries = database.countries().map_err(|error| mmdb(&self.path, error))?;
                let list = |(code, count): (String, usize)| ListSummary {
                    code: code.to_lowercase(),
                    entries: BTreeMap::from([("prefixes", count)]),
                };
                Ok(countries.into_iter().map(list).collect())
            }
        }
    }

    /// The number of lists, and that of all entries by kind.
    ///
    /// # Errors
    ///
    /// If a list is broken.
    pub(crate) fn totals(&self) -> Result<(usize, BTreeMap<&'static str, usize>), InspectError> {
        let lists = self.lists()?;
        let mut kinds = BTreeMap::new();
        for (kind, count) in lists.iter().flat_map(|list| &list.entries) {
            *kinds.entry(*kind).or_default() += count;
        }
        Ok((lists.len(), kinds))
    }

    /// Every list with the number of its entries, one a line.
    ///
    /// # Errors
    ///
    /// If a list is broken.
    pub(crate) fn list_table(&self) -> Result<String, InspectError> {
        let line =
            |list: &ListSummary| format!("{:8}  {}\n", list.entries.values().sum::<usize>(), list.code);
        Ok(self.lists()?.iter().map(line).collect())
    }

    /// The number of lists, and below it that of all entries by kind.
    ///
    /// # Errors
    ///
    /// If a list is broken.
    pub(crate) fn total_table(&self) -> Result<String, InspectError> {
        let (n_lists, kinds) = self.totals()?;
        let counts = kinds.iter().map(|(kind, count)| format!("{count:10}  {kind}\n"));
        let head = format!("{}: {}, {n_lists} lists\n", self.path.display(), self.kind());
        Ok(std::iter::once(head).chain(counts).collect())
    }

    /// The lists that hold a name or an address, with the entry by which they do; `None` if there is
    /// no such list.
    ///
    /// # Errors
    ///
    /// As those of [`lookup`](Self::lookup).
    pub(crate) fn lookup_table(&self, host: &Host) -> Result<Option<String>, InspectError> {
        let found = self.lookup(host)?;
        let width = found.iter().map(|found| found.code.len()).max();
        let line = |width| move |found: &Found| format!("{:width$}  {}\n", found.code, found.entry);
        Ok(width.map(|width| found.iter().map(line(width)).collect()))
    }

    /// The lists that hold a name or an address, sorted by code.
    ///
    /// # Errors
    ///
    /// If a list is broken, or the file has no lists of what was asked for.
    pub(crate) fn lookup(&self, host: &Host) -> Result<Vec<Found>, InspectError> {
        let kind = |has, wanted| InspectError::Kind { path: self.path.clone(), has, wanted };
        let mut found = match (&self.content, host) {
            (Content::Sites(file), Host::Domain(name)) => self.sites_of(file, name),
            (Content::Ips(file), Host::Ip(address)) => self.ips_of(file, *address),
            (Content::Countries(database), Host::Ip(address)) => {
                let country = database.lookup(*address).map_err(|error| mmdb(&self.path, error))?;
                let found =
                    country.map(|code| Found { code: code.to_lowercase(), entry: address.to_string() });
                Ok(found.into_iter().collect())
            }
            (Content::Sites(_), Host::Ip(_)) => Err(kind("domain names", "addresses")),
            (Content::Ips(_) | Content::Countries(_), Host::Domain(_)) => {
                Err(kind("addresses", "domain names"))
            }
        }?;
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn sites_of(&self, file: &GeositeFile, name: &DomainName) -> Result<Vec<Found>, InspectError> {
        let codes: Vec<&str> = file.codes().collect();
        let mut builder = DomainIndexBuilder::default();
        for (id, code) in (0_u32..).zip(&codes) {
            let Some(list) = file.list(code) else { continue };
            for domain in list.domains() {
                let domain = domain.map_err(|error| InspectError::Dat { path: self.path.clone(), error })?;
                let wrong = |reason: String| InspectError::Entry {
                    code: code.to_lowercase(),
                    entry: domain.value.to_owned(),
                    reason,
                };
                match domain.kind {
                    DomainKind::Full => {
                        builder.full(domain.value, id).map_err(|error| wrong(error.to_string()))
                    }
                    DomainKind::Suffix => {
                        builder.suffix(domain.value, id).map_err(|error| wrong(error.to_string()))
                    }
                    DomainKind::Regexp => {
                        builder.regexp(domain.value, id).map_err(|error| wrong(error.to_string()))
                    }
                    DomainKind::Keyword => {
                        builder.keyword(domain.value, id);
                        Ok(())
                    }
                }?;
            }
        }
        let index = builder.build().map_err(|error| InspectError::Entry {
            code: String::new(),
            entry: String::new(),
            reason: error.to_string(),
        })?;
        let mut found = Vec::new();
        for Hit { kind, text, set } in index.explain(name) {
            for &id in index.sets().get(set) {
                let code = codes.get(id as usize).map_or_else(String::new, |code| code.to_lowercase());
                found.push(Found { code, entry: format!("{}:{text}", kind.as_str()) });
            }
        }
        Ok(found)
    }

    fn ips_of(&self, file: &GeoipFile, address: IpAddr) -> Result<Vec<Found>, InspectError> {
        let codes: Vec<&str> = file.codes().collect();
        let mut builder = IpIndexBuilder::default();
        for (id, code) in (0_u32..).zip(&codes) {
            let Some(list) = file.list(code) else { continue };
            for prefix in list.prefixes() {
                let prefix = prefix.map_err(|error| InspectError::Dat { path: self.path.clone(), error })?;
                builder.insert(prefix, id);
            }
        }
        let index = builder.build();
        let range = index.range(address).map_or_else(String::new, |range| range.to_string());
        let found = index.ids(address).iter().map(|&id| Found {
            code: codes.get(id as usize).map_or_else(String::new, |code| code.to_lowercase()),
            entry: range.clone(),
        });
        Ok(found.collect())
    }
}

/// Lists of names and lists of prefixes have the same frame; what the first entries are made of
/// tells them apart.
fn read_dat(bytes: Vec<u8>) -> Result<Content, DatError> {
    let sites = GeositeFile::new(bytes.clone())?;
    let sound = |file: &GeositeFile| {
        file.codes().filter_map(|code| file.list(code)).flat_map(|list| list.domains()).find_map(Result::err)
    };
    let Some(error) = sound(&sites) else { return Ok(Content::Sites(sites)) };
    let ips = GeoipFile::new(bytes)?;
    let first = ips.codes().filter_map(|code| ips.list(code)).flat_map(|list| list.prefixes()).next();
    match first {
        Some(Ok(_)) => Ok(Content::Ips(ips)),
        Some(Err(_)) | None => Err(error),
    }
}

fn mmdb(path: &Path, error: MmdbError) -> InspectError {
    InspectError::Mmdb { path: path.to_path_buf(), error }
}

fn kind_name(kind: DomainKind) -> &'static str {
    match kind {
        DomainKind::Keyword => "keyword",
        DomainKind::Regexp => "regexp",
        DomainKind::Suffix => "domain",
        DomainKind::Full => "full",
    }
}

fn family_name(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}
