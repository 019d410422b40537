//! Parses an event's JSON without its lists. The program needs none, and the commits of a push alone may be megabytes.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::budget::{EVENT_MEMBERS, more_than};

/// Parses `text`. All lists in the result are empty.
pub(super) fn parse(text: &str) -> serde_json::Result<Value> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Lean(&Cell::new(0)).deserialize(&mut reader)?;
    reader.end().map(|()| value)
}

/// Reads a value without lists, and counts the members of all objects that are in no list.
#[derive(Clone, Copy)]
struct Lean<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Lean<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Lean<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.0.set(self.0.get() + 1);
            if self.0.get() > EVENT_MEMBERS {
                return Err(A::Error::custom(more_than(EVENT_MEMBERS, "members")));
            }
            map.insert(name, members.next_value_seed(self)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_empty_and_the_rest_is_as_it_stands() {
        let text = r#"{"a": {"b": "x\n", "n": -1, "f": 0.5, "t": true, "z": null}, "list": [{"a": [1]}, 2], "u": 18446744073709551615}"#;
        let expected =
            json!({"a": {"b": "x\n", "n": -1, "f": 0.5, "t": true, "z": null}, "list": [], "u": u64::MAX});
        assert_eq!(parse(text).unwrap(), expected);
        for broken in ["", "{", "{} x", "[1,]"] {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn d33_the_members_of_an_event_are_limited() {
        let members: Vec<String> = (0..=EVENT_MEMBERS).map(|n| format!("\"{n}\":0")).collect();
        let error = parse(&format!("{{{}}}", members.join(","))).unwrap_err().to_string();
        assert!(error.contains("more than 100,000 members"), "{error}");
        let list = format!("{{\"commits\":[{}0]}}", "0,".repeat(1 << 20));
        assert_eq!(parse(&list).unwrap(), json!({"commits": []}));
    }
}
