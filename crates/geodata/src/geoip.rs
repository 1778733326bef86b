use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use ipnet::IpNet;

use crate::DatError;
use crate::index::{Index, List};
use crate::proto::{Field, Fields};

const LIST_PREFIX: u32 = 2;
const PREFIX_ADDRESS: u32 = 1;
const PREFIX_LENGTH: u32 = 2;
/// An IPv4 address inside IPv6 (`::ffff:0:0/96`) starts after this many bits.
const MAPPED_BITS: u8 = 96;

/// A geoip.dat file: named lists of IP prefixes.
///
/// ```
/// use waypost_geodata::GeoipFile;
///
/// let file = GeoipFile::new(b"\x0a\x10\x0a\x04TEST\x12\x08\x0a\x04\x7f\0\0\x01\x10\x08".to_vec())?;
/// let list = file.list("test").ok_or("no such list")?;
/// assert_eq!(list.prefixes().collect::<Result<Vec<_>, _>>()?, ["127.0.0.0/8".parse()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GeoipFile {
    index: Index,
}

impl GeoipFile {
    /// Takes a file and finds where its lists are.
    ///
    /// Only the code of each list is looked at; where a list has more than one code field, the
    /// first counts.
    ///
    /// # Errors
    ///
    /// If the bytes are not a sequence of lists. What is wrong inside a list shows when that list
    /// is read.
    pub fn new(bytes: Vec<u8>) -> Result<GeoipFile, DatError> {
        Ok(GeoipFile { index: Index::new(bytes)? })
    }

    /// Returns the codes in file order and as they are written.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.index.codes()
    }

    /// Returns the list with this code, ignoring ASCII case.
    ///
    /// If a code occurs twice in the file, the first list wins.
    pub fn list(&self, code: &str) -> Option<GeoipList<'_>> {
        self.index.list(code).map(|list| GeoipList { list })
    }
}

/// One list of a [`GeoipFile`], still undecoded.
///
/// Its `inverse_match` field is ignored, as every V2Ray loader does.
#[derive(Clone, Debug)]
pub struct GeoipList<'a> {
    list: List<'a>,
}

impl<'a> GeoipList<'a> {
    /// Returns the code as it is written.
    pub fn code(&self) -> &'a str {
        self.list.code
    }

    /// Decodes the prefixes one by one, in file order.
    ///
    /// Host bits are cleared. An IPv4 prefix written as IPv6 (`::ffff:0:0/96` and longer) comes
    /// out as IPv4.
    pub fn prefixes(&self) -> GeoipPrefixes<'a> {
        let fields = Fields::new(self.list.file, self.list.message.clone());
        GeoipPrefixes { code: self.list.code, file: self.list.file, fields: Some(fields) }
    }
}

/// The prefixes of a [`GeoipList`]. It ends after the first error.
#[derive(Clone, Debug)]
pub struct GeoipPrefixes<'a> {
    code: &'a str,
    file: &'a [u8],
    /// `None` after an error.
    fields: Option<Fields<'a>>,
}

impl Iterator for GeoipPrefixes<'_> {
    type Item = Result<IpNet, DatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.try_next().transpose();
        if !matches!(result, Some(Ok(_))) {
            self.fields = None;
        }
        result
    }
}

impl GeoipPrefixes<'_> {
    fn try_next(&mut self) -> Result<Option<IpNet>, DatError> {
        let Some(fields) = &mut self.fields else { return Ok(None) };
        while let Some(field) = fields.next()? {
            if field.number == LIST_PREFIX {
                return self.prefix(&field).map(Some);
            }
        }
        Ok(None)
    }

    fn prefix(&self, field: &Field) -> Result<IpNet, DatError> {
        let mut address = 0..0;
        let mut length = 0;
        let mut fields = Fields::new(self.file, field.bytes()?);
        while let Some(field) = fields.next()? {
            match field.number {
                PREFIX_ADDRESS => address = field.bytes()?,
                PREFIX_LENGTH => length = field.integer()?,
                _ => {}
            }
        }
        let address = self.address(address, field.offset)?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        u8::try_from(length).ok().and_then(|length| network(address, length)).ok_or_else(|| {
            DatError::PrefixLength { list: self.code.to_owned(), offset: field.offset, found: length, max }
        })
    }

    fn address(&self, range: Range<usize>, offset: usize) -> Result<IpAddr, DatError> {
        let bytes = self.file.get(range).unwrap_or_default();
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            return Ok(Ipv4Addr::from(v4).into());
        }
        match <[u8; 16]>::try_from(bytes) {
            Ok(v6) => Ok(Ipv6Addr::from(v6).into()),
            Err(_) => {
                let list = self.code.to_owned();
                Err(DatError::AddressLength { list, offset, length: bytes.len() })
            }
        }
    }
}

/// Returns the network without host bits, IPv4 where it can be, or `None` for too long a prefix.
pub(crate) fn network(address: IpAddr, length: u8) -> Option<IpNet> {
    let (address, length) = match address {
        IpAddr::V6(v6) if (MAPPED_BITS..=128).contains(&length) => match v6.to_ipv4_mapped() {
            Some(v4) => (v4.into(), length - MAPPED_BITS),
            None => (address, length),
        },
        IpAddr::V4(_) | IpAddr::V6(_) => (address, length),
    };
    Some(IpNet::new(address, length).ok()?.trunc())
}
