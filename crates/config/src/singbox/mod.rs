//! The dialect of sing-box 1.11 and later.

use crate::{json::Value, keys::KeyTable, model::Config, report::Report};

pub(crate) static TABLES: &[&KeyTable] = &[];

pub(crate) fn read(_root: &Value, _report: &mut Report<'_>) -> Option<Config> {
    None
}
