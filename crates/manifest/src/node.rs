//! A place in a manifest: a value that has passed the survey, and its path. Where the survey has
//! refused a value it is null here.

use std::fmt::Display;

use serde_json::{Map, Value};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        Self {
            value,
            path: String::new(),
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The path of a field, whether it is there or not.
    pub(crate) fn at(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        let path = self.at(name);
        Some(Self { value, path })
    }

    /// The field is there, and has been refused already.
    pub(crate) fn is_refused(&self, name: &str) -> bool {
        self.value.get(name).is_some_and(Value::is_null)
    }

    /// The field is there, refused or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value.get(name).is_some()
    }

    /// The names of the fields that are there and not refused.
    pub(crate) fn names(&self) -> Vec<&'a str> {
        let fields = self.value.as_object().into_iter().flatten();
        let there = fields.filter(|(_, value)| !value.is_null());
        there.map(|(name, _)| name.as_str()).collect()
    }

    /// An object without fields.
    pub(crate) fn is_empty(&self) -> bool {
        self.value.as_object().is_some_and(Map::is_empty)
    }

    /// The items of a list of objects.
    pub(crate) fn items(&self, name: &str) -> std::vec::IntoIter<Self> {
        let path = self.at(name);
        let items = self.list(name).enumerate();
        let items = items.filter(|(_, value)| value.is_object());
        let items: Vec<_> = items
            .map(|(i, value)| Self {
                value,
                path: format!("{path}[{i}]"),
            })
            .collect();
        items.into_iter()
    }

    /// Text; empty text is taken as none, as proto3 and Kubernetes do.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        let text = self.value.get(name)?.as_str()?;
        (!text.is_empty()).then_some(text)
    }

    /// Text that may be empty.
    pub(crate) fn whole_text(&self, name: &str) -> Option<&'a str> {
        self.value.get(name)?.as_str()
    }

    pub(crate) fn texts(&self, name: &str) -> Vec<&'a str> {
        self.list(name).filter_map(Value::as_str).collect()
    }

    pub(crate) fn owned_texts(&self, name: &str) -> Vec<String> {
        self.texts(name).into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn numbers(&self, name: &str) -> Vec<i64> {
        self.list(name).filter_map(Value::as_i64).collect()
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.value.get(name)?.as_i64()
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.value.get(name)?.as_bool()
    }

    /// A map of text, in the order of its keys.
    pub(crate) fn map(&self, name: &str) -> Vec<(&'a str, &'a str)> {
        let entries = self.value.get(name).and_then(Value::as_object);
        let mut entries: Vec<_> = entries
            .into_iter()
            .flat_map(Map::iter)
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
            .collect();
        entries.sort_unstable();
        entries
    }

    /// The path of an entry of a map or list.
    pub(crate) fn entry(&self, name: &str, key: impl Display) -> String {
        format!("{}[{key}]", self.at(name))
    }

    fn list(&self, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let items = self.value.get(name).and_then(Value::as_array);
        items.into_iter().flatten()
    }
}
