//! The JSON schemas of the configuration, for editors.
//!
//! They are in draft-07, the latest that the JSON support of VS Code knows completely; the keywords
//! `doNotSuggest`, `deprecationMessage` and `errorMessage` are its own, and other validators ignore
//! them.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use waypost_config::{
    Dialect, key_tables,
    keys::{Form, Key, KeyTable, Status},
};

/// What every schema says about itself.
const LIMITS: &str = "Made by `cargo xtask docs` from the tables that Waypost itself reads a file by. \
    `unknownKeys` does not count here. What a file may mean beyond the form of its values is told by \
    `waypost check`.";

/// The keys of comments.
const COMMENT: &str = "^(_|//|\\$)";

/// The schema of a dialect.
pub(super) fn schema(dialect: Dialect) -> Result<String> {
    let tables = key_tables(dialect);
    let Some(file) = tables.first() else { bail!("{dialect:?} has no tables") };
    let title = match dialect {
        Dialect::V2ray => "Waypost configuration in the dialect of V2Ray and Xray",
        Dialect::SingBox => "Waypost configuration in the dialect of sing-box",
    };
    let mut definitions = Map::new();
    for table in tables {
        definitions.insert(table.name.to_owned(), object(table)?);
    }
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
        "description": LIMITS,
        "allOf": [reference(file.name)],
        "definitions": definitions,
    });
    Ok(format!("{schema:#}\n"))
}

fn reference(table: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{table}") })
}

fn object(table: &KeyTable) -> Result<Value> {
    let (mut properties, mut variants) = (Map::new(), Vec::new());
    let mut spellings = Map::from_iter([(COMMENT.to_owned(), json!(true))]);
    for key in table.keys {
        properties.insert(key.name.to_owned(), property(key)?);
        let target = format!("#/definitions/{}/properties/{}", table.name, key.name);
        spellings.insert(other_spellings(key), json!({ "$ref": target }));
        if let (Form::ByNeighbour { key: neighbour, tables }, Status::Supported) = (key.form, key.status) {
            variants.extend(tables.iter().map(|(word, table)| {
                let settings = json!({ "properties": { key.name: reference(table) } });
                json!({ "if": has_word(neighbour, word), "then": settings })
            }));
        }
    }
    let mut object = json!({
        "type": ["object", "null"],
        "description": table.doc,
        "properties": properties,
        "patternProperties": spellings,
        "additionalProperties": false,
    });
    if !variants.is_empty() {
        set(&mut object, "allOf", variants.into());
    }
    Ok(object)
}

fn property(key: &Key) -> Result<Value> {
    let doc = key.doc;
    Ok(match key.status {
        Status::Supported => {
            let mut schema = value(key.form)?;
            set(&mut schema, "description", doc.into());
            schema
        }
        Status::NoEffect(why) => {
            let message = format!("no effect: {why}");
            json!({ "description": format!("{doc} No effect: {why}."), "deprecationMessage": message })
        }
        Status::OnlyOff(why) => json!({
            "enum": [null, false, 0, "", [], {}],
            "description": format!("{doc} Only off: {why}."), "doNotSuggest": true,
        }),
        Status::Unsupported(why) => json!({
            "type": "null",
            "description": format!("{doc} Not available: {why}."),
            "errorMessage": format!("not available: {why}"), "doNotSuggest": true,
        }),
    })
}

fn set(schema: &mut Value, key: &str, value: Value) {
    if let Some(object) = schema.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

/// What the value of a key may be. `null` is as an absent key.
fn value(form: Form) -> Result<Value> {
    Ok(match form {
        Form::Flag => json!({ "type": ["boolean", "null"] }),
        Form::Number => json!({ "type": ["number", "null"] }),
        Form::Count { least, most } => {
            json!({ "type": ["integer", "null"], "minimum": least, "maximum": most })
        }
        Form::Text | Form::Duration => json!({ "type": ["string", "null"] }),
        Form::Word(words) => word(words),
        Form::Strings => json!({ "type": ["array", "string", "null"], "items": { "type": "string" } }),
        Form::Port | Form::Ports => {
            json!({ "type": ["integer", "string", "null"], "minimum": 0, "maximum": 65_535 })
        }
        Form::Object(table) => json!({ "allOf": [reference(table)] }),
        Form::Objects(table) => json!({ "type": ["array", "null"], "items": reference(table) }),
        Form::List(form) => json!({ "type": ["array", "null"], "items": value(*form)? }),
        Form::OneOrMany(form) => {
            let element = value(*form)?;
            json!({ "anyOf": [element, { "type": "array", "items": element }] })
        }
        Form::OneOf(forms) => {
            json!({ "anyOf": forms.iter().map(|form| value(*form)).collect::<Result<Vec<_>>>()? })
        }
        Form::MapOf(form) => json!({
            "type": ["object", "null"],
            "patternProperties": { (COMMENT): true },
            "additionalProperties": value(*form)?,
        }),
        Form::ByNeighbour { .. } | Form::Map => json!({ "type": ["object", "null"] }),
        Form::ByType { key, default, tables } => by_type(key, default, tables),
        Form::Any => json!({}),
        _ => bail!("`cargo xtask docs` has no schema for {form:?}"),
    })
}

/// An object whose table depends on a word in itself.
fn by_type(key: &str, default: Option<&str>, tables: &[(&str, &str)]) -> Value {
    let words: Vec<&str> = tables.iter().map(|(word, _)| *word).collect();
    let mut variants: Vec<Value> = tables
        .iter()
        .map(|(word, table)| json!({ "if": has_word(key, word), "then": reference(table) }))
        .collect();
    let defaulted = tables.iter().find(|(word, _)| default == Some(*word));
    if let Some((_, table)) = defaulted {
        let absent = json!({ "not": { "required": [key] } });
        variants.push(json!({ "if": absent, "then": reference(table) }));
    }
    let mut schema = json!({
        "type": "object", "properties": { key: word(&words) }, "allOf": variants,
    });
    if default.is_none() {
        set(&mut schema, "required", json!([key]));
    }
    schema
}

fn has_word(key: &str, word: &str) -> Value {
    json!({ "properties": { key: { "type": "string", "pattern": any_case(&[word]) } }, "required": [key] })
}

/// One of some words, which editors can offer, or another spelling of one of them. An empty text is
/// as an absent key.
fn word(words: &[&str]) -> Value {
    let or_empty: Vec<&str> = words.iter().copied().chain([""]).collect();
    json!({
        "type": ["string", "null"],
        "anyOf": [{ "enum": words }, { "pattern": any_case(&or_empty) }, { "type": "null" }],
    })
}

/// A pattern for words in any letter case, with or without `_` and `-`.
fn any_case(words: &[&str]) -> String {
    let letters = |word: &&str| word.replace(['_', '-'], "");
    let words = words.iter().map(letters).map(|word| letters_in_any_case(&word).join("[-_]*"));
    format!("^(?:{})$", words.collect::<Vec<_>>().join("|"))
}

/// A pattern for the names of a key in any letter case, except the name that editors offer.
fn other_spellings(key: &Key) -> String {
    let names = key.aliases.iter().chain([&key.name]);
    let names: Vec<String> = names.map(|name| letters_in_any_case(name).concat()).collect();
    let offered = letters_as_they_are(key.name).concat();
    format!("^(?!{offered}$)(?:{})$", names.join("|"))
}

fn letters_in_any_case(word: &str) -> Vec<String> {
    let both = |letter: char| format!("[{}{}]", letter.to_ascii_lowercase(), letter.to_ascii_uppercase());
    let letters = word.chars().zip(letters_as_they_are(word));
    letters.map(|(letter, plain)| if letter.is_ascii_alphabetic() { both(letter) } else { plain }).collect()
}

fn letters_as_they_are(word: &str) -> Vec<String> {
    let plain = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-') => letter.to_string(),
        other => format!("\\{other}"),
    };
    word.chars().map(plain).collect()
}

#[cfg(test)]
mod tests;
