use crate::{keys::KeyTable, singbox, v2ray};

/// Whose configuration a file is written like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Dialect {
    /// V2Ray 4, V2Ray 5 (in its version 4 form) and Xray: `routing`, `protocol`.
    #[default]
    V2ray,
    /// sing-box: `route`, `type`.
    SingBox,
}

impl Dialect {
    /// Both, by the names for a command line.
    pub const WORDS: [(&str, Self); 2] = [("v2ray", Self::V2ray), ("sing-box", Self::SingBox)];

    /// The program that is known for it.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::V2ray => "V2Ray",
            Self::SingBox => "sing-box",
        }
    }
}

/// Every table of keys of a dialect, in the order of its reference page; the first is that of the
/// whole file.
#[must_use]
pub fn key_tables(dialect: Dialect) -> &'static [&'static KeyTable] {
    match dialect {
        Dialect::V2ray => v2ray::TABLES,
        Dialect::SingBox => singbox::TABLES,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::keys::{Form, Status, is_comment};

    fn each(check: impl Fn(&[&KeyTable])) {
        for (_, dialect) in Dialect::WORDS {
            check(key_tables(dialect));
        }
    }

    #[test]
    fn no_key_and_no_table_is_there_twice() {
        each(|all| {
            let mut tables = BTreeSet::new();
            for table in all {
                assert!(tables.insert(table.name), "{}", table.name);
                let mut names = BTreeSet::new();
                for key in table.keys {
                    for name in key.aliases.iter().chain([&key.name]) {
                        assert!(names.insert(name.to_ascii_lowercase()), "{} {name}", table.name);
                        assert!(!is_comment(name), "{} {name}", table.name);
                    }
                }
            }
        });
    }

    #[test]
    fn every_table_that_is_referred_to_exists_and_is_used() {
        each(|all| {
            let names: BTreeSet<&str> = all.iter().map(|table| table.name).collect();
            let mut used: BTreeSet<&str> = all.first().map(|file| file.name).into_iter().collect();
            for table in all {
                for key in table.keys {
                    for name in key.form.tables() {
                        assert!(names.contains(name), "{}.{} refers to {name}", table.name, key.name);
                        used.insert(name);
                    }
                }
            }
            assert_eq!(used, names);
        });
    }

    #[test]
    fn what_decides_about_a_table_is_a_key_with_its_words() {
        each(|all| {
            let find = |name: &str| all.iter().find(|table| table.name == name).unwrap();
            for table in all {
                for key in table.keys {
                    check_form(table, key.form, &find);
                }
            }
        });
    }

    fn check_form<'a>(table: &KeyTable, form: Form, find: &impl Fn(&str) -> &'a &'a KeyTable) {
        let decider = |table: &KeyTable, key: &str| table.find(key).is_some_and(|found| found.name == key);
        match form {
            Form::ByNeighbour { key, .. } => assert!(decider(table, key), "{} {key}", table.name),
            Form::ByType { key, tables, default } => {
                for (_, name) in tables {
                    assert!(decider(find(name), key), "{name} {key}");
                }
                assert!(default.is_none_or(|default| tables.iter().any(|(word, _)| *word == default)));
            }
            Form::List(form) | Form::OneOrMany(form) | Form::MapOf(form) => check_form(table, *form, find),
            Form::OneOf(forms) => forms.iter().for_each(|form| check_form(table, *form, find)),
            Form::Flag
            | Form::Number
            | Form::Count { .. }
            | Form::Text
            | Form::Word(_)
            | Form::Duration
            | Form::Strings
            | Form::Port
            | Form::Ports
            | Form::Object(_)
            | Form::Objects(_)
            | Form::Map
            | Form::Any => {}
        }
    }

    #[test]
    fn lines_of_documentation_are_sentences() {
        each(|all| {
            for table in all {
                assert!(table.doc.ends_with('.'), "{}", table.name);
                for key in table.keys {
                    assert!(key.doc.ends_with('.') && !key.doc.contains('\n'), "{}.{}", table.name, key.name);
                    if let Status::NoEffect(why) | Status::OnlyOff(why) | Status::Unsupported(why) =
                        key.status
                    {
                        assert!(!why.is_empty() && !why.ends_with('.'), "{}.{}", table.name, key.name);
                    }
                }
            }
        });
    }
}
