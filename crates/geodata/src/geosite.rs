use std::ops::Range;

use crate::DatError;
use crate::index::{Index, List};
use crate::proto::{Field, Fields, text};

const LIST_DOMAIN: u32 = 2;
const DOMAIN_TYPE: u32 = 1;
const DOMAIN_VALUE: u32 = 2;
const DOMAIN_ATTRIBUTE: u32 = 3;
const ATTRIBUTE_KEY: u32 = 1;

/// How the value of a [`GeositeDomain`] is compared with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DomainKind {
    /// The name contains the value (type 0, `Plain`).
    Keyword,
    /// The name matches the regular expression (type 1, `Regex`).
    Regexp,
    /// The name is the value or a sub-domain of it (type 2, `RootDomain`).
    Suffix,
    /// The name is the value (type 3, `Full`).
    Full,
}

impl DomainKind {
    pub(crate) fn number(self) -> u64 {
        match self {
            DomainKind::Keyword => 0,
            DomainKind::Regexp => 1,
            DomainKind::Suffix => 2,
            DomainKind::Full => 3,
        }
    }

    fn from_number(number: u64) -> Option<DomainKind> {
        match number {
            0 => Some(DomainKind::Keyword),
            1 => Some(DomainKind::Regexp),
            2 => Some(DomainKind::Suffix),
            3 => Some(DomainKind::Full),
            _ => None,
        }
    }
}

/// A geosite.dat file: named lists of domain patterns.
///
/// ```
/// use waypost_geodata::{DomainKind, GeositeFile};
///
/// let file = GeositeFile::new(b"\x0a\x0d\x0a\x04TEST\x12\x05\x12\x03abc".to_vec())?;
/// assert_eq!(file.codes().collect::<Vec<_>>(), ["TEST"]);
/// let list = file.list("test").ok_or("no such list")?;
/// let domain = list.domains().next().ok_or("no domain")??;
/// assert_eq!((domain.kind, domain.value), (DomainKind::Keyword, "abc"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GeositeFile {
    index: Index,
}

impl GeositeFile {
    /// Takes a file and finds where its lists are.
    ///
    /// Only the code of each list is looked at; where a list has more than one code field, the
    /// first counts.
    ///
    /// # Errors
    ///
    /// If the bytes are not a sequence of lists. What is wrong inside a list shows when that list
    /// is read.
    pub fn new(bytes: Vec<u8>) -> Result<GeositeFile, DatError> {
        Ok(GeositeFile { index: Index::new(bytes)? })
    }

    /// Returns the codes in file order and as they are written.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.index.codes()
    }

    /// Returns the list with this code, ignoring ASCII case.
    ///
    /// If a code occurs twice in the file, the first list wins.
    pub fn list(&self, code: &str) -> Option<GeositeList<'_>> {
        self.index.list(code).map(|list| GeositeList { list })
    }
}

/// One list of a [`GeositeFile`], still undecoded.
#[derive(Clone, Debug)]
pub struct GeositeList<'a> {
    list: List<'a>,
}

impl<'a> GeositeList<'a> {
    /// Returns the code as it is written.
    pub fn code(&self) -> &'a str {
        self.list.code
    }

    /// Decodes the patterns one by one, in file order.
    pub fn domains(&self) -> GeositeDomains<'a> {
        let fields = Fields::new(self.list.file, self.list.message.clone());
        GeositeDomains { code: self.list.code, file: self.list.file, fields: Some(fields) }
    }
}

/// The patterns of a [`GeositeList`]. It ends after the first error.
#[derive(Clone, Debug)]
pub struct GeositeDomains<'a> {
    code: &'a str,
    file: &'a [u8],
    /// `None` after an error.
    fields: Option<Fields<'a>>,
}

impl<'a> Iterator for GeositeDomains<'a> {
    type Item = Result<GeositeDomain<'a>, DatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.try_next().transpose();
        if !matches!(result, Some(Ok(_))) {
            self.fields = None;
        }
        result
    }
}

impl<'a> GeositeDomains<'a> {
    fn try_next(&mut self) -> Result<Option<GeositeDomain<'a>>, DatError> {
        let Some(fields) = &mut self.fields else { return Ok(None) };
        while let Some(field) = fields.next()? {
            if field.number == LIST_DOMAIN {
                return self.domain(&field).map(Some);
            }
        }
        Ok(None)
    }

    fn domain(&self, field: &Field) -> Result<GeositeDomain<'a>, DatError> {
        let message = field.bytes()?;
        let mut domain = GeositeDomain { kind: DomainKind::Keyword, value: "", attributes: &[] };
        let mut fields = Fields::new(self.file, message.clone());
        while let Some(field) = fields.next()? {
            match field.number {
                DOMAIN_TYPE => {
                    let found = field.integer()?;
                    domain.kind =
                        DomainKind::from_number(found).ok_or_else(|| DatError::UnknownDomainKind {
                            list: self.code.to_owned(),
                            offset: field.offset,
                            found,
                        })?;
                }
                DOMAIN_VALUE => domain.value = self.text(field.bytes()?)?,
                DOMAIN_ATTRIBUTE => {
                    self.text(attribute_key(self.file, field.bytes()?)?)?;
                    if domain.attributes.is_empty() {
                        domain.attributes = self.file.get(field.offset..message.end).unwrap_or_default();
                    }
                }
                _ => {}
            }
        }
        Ok(domain)
    }

    fn text(&self, range: Range<usize>) -> Result<&'a str, DatError> {
        let offset = range.start;
        text(self.file, range).ok_or_else(|| DatError::NotUtf8 { list: self.code.to_owned(), offset })
    }
}

/// One pattern of a [`GeositeList`].
#[derive(Clone, Copy)]
pub struct GeositeDomain<'a> {
    /// How `value` is compared with a name.
    pub kind: DomainKind,
    /// The pattern as it is written: neither its case nor its syntax has been looked at.
    pub value: &'a str,
    /// The part of the message from the first attribute on, which has been validated.
    attributes: &'a [u8],
}

impl<'a> GeositeDomain<'a> {
    /// Returns the attribute keys in file order. Their values are ignored, as V2Ray does.
    pub fn attributes(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let message = self.attributes;
        let mut fields = Fields::new(message, 0..message.len());
        std::iter::from_fn(move || fields.next().ok().flatten())
            .filter(|field| field.number == DOMAIN_ATTRIBUTE)
            .filter_map(move |field| text(message, attribute_key(message, field.bytes().ok()?).ok()?))
    }

    /// Says whether the pattern has this attribute, ignoring ASCII case.
    pub fn has_attribute(&self, key: &str) -> bool {
        self.attributes().any(|attribute| attribute.eq_ignore_ascii_case(key))
    }
}

impl std::fmt::Debug for GeositeDomain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GeositeDomain")
            .field("kind", &self.kind)
            .field("value", &self.value)
            .field("attributes", &self.attributes().collect::<Vec<_>>())
            .finish()
    }
}

impl PartialEq for GeositeDomain<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.value == other.value && self.attributes().eq(other.attributes())
    }
}

impl Eq for GeositeDomain<'_> {}

fn attribute_key(file: &[u8], message: Range<usize>) -> Result<Range<usize>, DatError> {
    let mut key = message.end..message.end;
    let mut fields = Fields::new(file, message);
    while let Some(field) = fields.next()? {
        if field.number == ATTRIBUTE_KEY {
            key = field.bytes()?;
        }
    }
    Ok(key)
}
