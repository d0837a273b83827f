//! The words that the field matrix is written in.
//!
//! A [`Field`] says everything that is known of one field: its name, the shape of its value, what
//! Burstlet does with it, and why. The matrix is a tree of them, and the only place where a field
//! is declared; reading, checking, masking, documentation and the tests all walk it.

use burstlet_model::ExtendedResource;

/// One field of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its JSON name.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// What is done with it.
    pub support: Support,
    /// What it means here, or why it is not done.
    pub note: &'static str,
    /// What to write instead.
    pub way_out: &'static str,
    /// Scalars, as text, that mean the same as leaving the field out.
    pub(crate) neutral: &'static [&'static str],
    /// The value is never shown.
    pub secret: bool,
    /// A word of `ContainerGroup` that a Pod does not have.
    pub own: bool,
}

/// A field of this name stands for every extended resource.
pub(crate) const EXTENDED_RESOURCE: &str = "<domain>/<name>";

/// What Burstlet does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Support {
    /// It counts.
    Done,
    /// It counts where the operator allows what it says.
    Policy,
    /// It has no effect; the client is told.
    Warned,
    /// A manifest that has it is refused.
    Refused,
    /// The server's own to say; what a manifest says is left out, and the client is told.
    Ignored,
}

impl Support {
    /// The stable word shown to people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::Policy => "Policy",
            Self::Warned => "Warned",
            Self::Refused => "Refused",
            Self::Ignored => "Ignored",
        }
    }
}

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A string.
    Text,
    /// A whole number; proto3 JSON writes large ones as strings, and both are read.
    Number,
    /// `true` or `false`.
    Flag,
    /// A Kubernetes quantity, string or number.
    Quantity,
    /// A number or a name.
    NumberOrText,
    /// Strings.
    TextList,
    /// Whole numbers.
    NumberList,
    /// Strings by free keys.
    TextMap,
    /// Base64 texts by free keys.
    Base64Map,
    /// An object of these fields.
    Object(&'static [Field]),
    /// Objects of these fields.
    List(&'static [Field]),
    /// Whatever it is, it is not looked into.
    Opaque,
}

impl Field {
    const fn new(name: &'static str, shape: Shape, support: Support, note: &'static str) -> Self {
        Self {
            name,
            shape,
            support,
            note,
            way_out: "",
            neutral: &[],
            secret: false,
            own: false,
        }
    }

    /// Means the same as leaving the field out.
    pub(crate) const fn neutral(mut self, values: &'static [&'static str]) -> Self {
        self.neutral = values;
        self
    }

    /// The value is never shown.
    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// A word that a Pod does not have.
    pub(crate) const fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// Whether a manifest's field of this name is this one.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        match self.name {
            EXTENDED_RESOURCE => ExtendedResource::new(name).is_ok(),
            own => own == name,
        }
    }

    /// The fields within the value, if it has fields.
    #[must_use]
    pub const fn fields(&self) -> &'static [Field] {
        match self.shape {
            Shape::Object(fields) | Shape::List(fields) => fields,
            _ => &[],
        }
    }
}

/// The field counts.
pub(crate) const fn done(name: &'static str, shape: Shape, note: &'static str) -> Field {
    Field::new(name, shape, Support::Done, note)
}

/// The field counts where the operator allows what it says.
pub(crate) const fn policy(name: &'static str, shape: Shape, note: &'static str) -> Field {
    Field::new(name, shape, Support::Policy, note)
}

/// The field has no effect.
pub(crate) const fn warned(name: &'static str, note: &'static str) -> Field {
    Field::new(name, Shape::Opaque, Support::Warned, note)
}

/// The field is the server's to say.
pub(crate) const fn ignored(name: &'static str, note: &'static str) -> Field {
    Field::new(name, Shape::Opaque, Support::Ignored, note)
}

/// A manifest with the field is refused.
pub(crate) const fn refused(
    name: &'static str,
    note: &'static str,
    way_out: &'static str,
) -> Field {
    let mut field = Field::new(name, Shape::Opaque, Support::Refused, note);
    field.way_out = way_out;
    field
}
