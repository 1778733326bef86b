//! The text of a configuration, of which single entries are changed.

use std::fmt;

use serde::{
    Deserialize, Serialize, Serializer,
    de::{Deserializer, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use tonic::Status;

/// A configuration as a file of V2Ray. What nobody changes stays text: in some objects, such as `hosts`,
/// order counts, and a key may be there twice.
#[derive(Debug)]
pub(crate) struct File(RawObject);

/// A list of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Inbounds,
    Outbounds,
    /// `routing.rules`.
    Rules,
    /// `routing.balancers`.
    Balancers,
}

/// An entry of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Entry(Box<RawValue>);

/// The members of an object, in their order.
#[derive(Debug, Default)]
struct RawObject(Vec<(String, Box<RawValue>)>);

impl File {
    pub(super) fn try_new(text: &str) -> Result<Self, Status> {
        serde_json::from_str(text).map(Self).map_err(|error| odd(&error))
    }

    pub(super) fn into_text(self) -> Result<String, Status> {
        serde_json::to_string(&self.0).map_err(|error| odd(&error))
    }

    /// Changes a list, which is empty if the file has none.
    pub(crate) fn edit<T>(
        &mut self,
        list: List,
        edit: impl FnOnce(&mut Vec<Entry>) -> Result<T, Status>,
    ) -> Result<T, Status> {
        match list {
            List::Inbounds => self.0.edit("inbounds", edit),
            List::Outbounds => self.0.edit("outbounds", edit),
            List::Rules => self.edit_routing("rules", edit),
            List::Balancers => self.edit_routing("balancers", edit),
        }
    }

    fn edit_routing<T>(
        &mut self,
        key: &str,
        edit: impl FnOnce(&mut Vec<Entry>) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let mut routing: RawObject = self.0.read("routing")?.unwrap_or_default();
        let result = routing.edit(key, edit)?;
        self.0.put("routing", &routing)?;
        Ok(result)
    }
}

impl Entry {
    /// An entry that is made of this.
    pub(crate) fn try_new(value: &Value) -> Result<Self, Status> {
        to_raw_value(value).map(Self).map_err(|error| odd(&error))
    }

    /// The whole entry.
    pub(crate) fn value(&self) -> Result<Value, Status> {
        serde_json::from_str(self.0.get()).map_err(|error| odd(&error))
    }

    /// Whether a text of the entry is this one.
    pub(crate) fn says(&self, key: &str, text: &str) -> bool {
        self.value().is_ok_and(|value| value.get(key).and_then(Value::as_str) == Some(text))
    }
}

impl RawObject {
    fn read<T: for<'d> Deserialize<'d>>(&self, key: &str) -> Result<Option<T>, Status> {
        let found = self.0.iter().find(|(known, _)| known == key);
        let read = found.map(|(_, value)| serde_json::from_str(value.get()));
        read.transpose().map_err(|error| odd(&error))
    }

    fn put(&mut self, key: &str, value: &impl Serialize) -> Result<(), Status> {
        let value = to_raw_value(value).map_err(|error| odd(&error))?;
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value,
            None => self.0.push((key.to_owned(), value)),
        }
        Ok(())
    }

    fn edit<T>(
        &mut self,
        key: &str,
        edit: impl FnOnce(&mut Vec<Entry>) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let mut entries = self.read(key)?.unwrap_or_default();
        let result = edit(&mut entries)?;
        self.put(key, &entries)?;
        Ok(result)
    }
}

/// The text is made here, so that this cannot happen; a client is told if it does.
fn odd(error: &serde_json::Error) -> Status {
    Status::internal(format!("the configuration cannot be changed: {error}"))
}

impl<'d> Deserialize<'d> for RawObject {
    fn deserialize<D: Deserializer<'d>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'d> Visitor<'d> for Members {
            type Value = RawObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'d>>(self, mut map: A) -> Result<RawObject, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawObject(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl Serialize for RawObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_changed_stays_as_it_is() {
        let text = r#"{"dns":{"hosts":{"z":"1","a":"2","z":"3"}},"inbounds":[{"b":1,"a":2}],"routing":{"domainStrategy":"x"}}"#;
        let mut file = File::try_new(text).unwrap();
        let added = Entry::try_new(&json!({"ruleTag": "r"})).unwrap();
        file.edit(List::Rules, |rules| {
            assert!(rules.is_empty());
            rules.push(added);
            Ok(())
        })
        .unwrap();
        let changed = text.replace("\"x\"}", "\"x\",\"rules\":[{\"ruleTag\":\"r\"}]}");
        assert_eq!(file.into_text().unwrap(), changed);
    }

    #[test]
    fn a_refusal_leaves_the_list_alone() {
        let text = r#"{"inbounds":[{"tag":"a"}]}"#;
        let mut file = File::try_new(text).unwrap();
        let refused = file.edit(List::Inbounds, |inbounds| {
            assert!(inbounds[0].says("tag", "a") && !inbounds[0].says("tag", "b"));
            inbounds.clear();
            Err::<(), _>(Status::not_found("x"))
        });
        assert_eq!(refused.unwrap_err().code(), tonic::Code::NotFound);
        assert_eq!(file.into_text().unwrap(), text);
    }

    #[test]
    fn lists_that_are_not_there_are_made() {
        let mut file = File::try_new("{}").unwrap();
        file.edit(List::Balancers, |_| Ok(())).unwrap();
        assert_eq!(file.into_text().unwrap(), r#"{"routing":{"balancers":[]}}"#);
    }
}
