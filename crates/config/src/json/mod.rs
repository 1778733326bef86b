//! JSON with comments and trailing commas, read into a tree in which everything has its place.

mod lex;
mod merge;
mod parse;
mod value;

pub(crate) use parse::parse;
pub(crate) use value::{Kind, Member, Number, Value, part_of};
