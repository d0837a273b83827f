//! The newest Pod API and the field matrix: a field that the API has and the matrix does not know would
//! be a field that nobody decided about.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use burstlet_manifest::Support;
use burstlet_manifest::matrix::rows;
use k8s_openapi::api::core::v1::PodSpec;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Text that is also a moment, which some fields are.
const WORD: &str = "2000-01-01T00:00:00Z";

/// Reads every field that a type asks for, and notes its path.
struct Asked<'f> {
    path: String,
    found: &'f RefCell<BTreeSet<String>>,
}

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    /// Numbers are also what amounts and ports can be.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i64(0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(false)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(WORD)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(WORD)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let item = Self {
            path: format!("{}[]", self.path),
            ..self
        };
        visitor.visit_seq(One(Some(item)))
    }

    /// The keys of a map are nobody's fields.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let none = Members {
            names: &[],
            of: self,
        };
        visitor.visit_map(none)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Members { names, of: self })
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct enum identifier ignored_any
    }
}

/// A list of one item.
struct One<'f>(Option<Asked<'f>>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|item| seed.deserialize(item)).transpose()
    }
}

/// The fields of an object, each of which is there.
struct Members<'f> {
    names: &'static [&'static str],
    of: Asked<'f>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.names.first() else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Error> = name.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (name, rest) = self.names.split_first().unwrap();
        self.names = rest;
        let path = format!("{}.{name}", self.of.path);
        self.of.found.borrow_mut().insert(path.clone());
        seed.deserialize(Asked {
            path,
            found: self.of.found,
        })
    }
}

/// The paths of all fields of a pod's specification.
fn fields() -> BTreeSet<String> {
    let found = RefCell::default();
    let asked = Asked {
        path: "spec".to_owned(),
        found: &found,
    };
    PodSpec::deserialize(asked).unwrap();
    found.into_inner()
}

/// `a.b[].c`, then `a.b[]`, `a.b` and `a`.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| {
        path.strip_suffix("[]")
            .or_else(|| path.rsplit_once('.').map(|(parent, _)| parent))
    })
}

#[test]
fn every_field_of_the_newest_pod_has_a_row() {
    let fields = fields();
    for known in [
        "spec.containers[].restartPolicyRules[].exitCodes.values",
        "spec.hostnameOverride",
    ] {
        assert!(fields.contains(known), "{known}: {fields:#?}");
    }
    let rows: BTreeMap<String, Support> = rows()
        .into_iter()
        .map(|row| (row.path, row.field.support))
        .collect();
    // What is not done as a whole says so of all of it.
    let is_decided = |path: &str| {
        let mut parents = with_parents(path)
            .skip(1)
            .filter_map(|parent| rows.get(parent));
        let is_whole = |support: &Support| !matches!(support, Support::Done | Support::Policy);
        rows.contains_key(path) || parents.any(is_whole)
    };
    let unknown: Vec<_> = fields.iter().filter(|path| !is_decided(path)).collect();
    assert_eq!(unknown, Vec::<&String>::new());
}
