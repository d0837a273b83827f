//! Wire forms of the vocabulary's types, which have none of their own.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serializer, de};

/// Writes an identifier as text.
pub(crate) fn serialize<T: AsRef<str>, S: Serializer>(id: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(id.as_ref())
}

/// Reads an identifier, which checks its form.
pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(from)?;
    text.parse().map_err(de::Error::custom)
}

/// Writes something as it is shown, which is how it is read, too.
pub(crate) fn shown<T: Display, S: Serializer>(it: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(it)
}

/// The same for one that may be left out.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Display, FromStr, Serializer, de};

    pub(crate) fn serialize<T: AsRef<str>, S: Serializer>(
        id: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => to.serialize_str(id.as_ref()),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(de::Error::custom))
            .transpose()
    }
}

/// A [`burstlet_model::Stamp`] as its two counts of nanoseconds.
pub(crate) mod stamp {
    use burstlet_model::{BootTime, Stamp, WallTime};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Wire {
        boot_ns: u64,
        wall_ns: i64,
    }

    pub(crate) fn serialize<S: Serializer>(stamp: &Stamp, to: S) -> Result<S::Ok, S::Error> {
        Wire {
            boot_ns: stamp.boot.0,
            wall_ns: stamp.wall.0,
        }
        .serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Stamp, D::Error> {
        let wire = Wire::deserialize(from)?;
        Ok(Stamp {
            boot: BootTime(wire.boot_ns),
            wall: WallTime(wire.wall_ns),
        })
    }

    /// The same for a moment that may not have come yet.
    pub(crate) mod option {
        use super::{
            BootTime, Deserialize, Deserializer, Serialize, Serializer, Stamp, WallTime, Wire,
        };

        pub(crate) fn serialize<S: Serializer>(
            stamp: &Option<Stamp>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            stamp
                .map(|stamp| Wire {
                    boot_ns: stamp.boot.0,
                    wall_ns: stamp.wall.0,
                })
                .serialize(to)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Stamp>, D::Error> {
            let wire = Option::<Wire>::deserialize(from)?;
            Ok(wire.map(|wire| Stamp {
                boot: BootTime(wire.boot_ns),
                wall: WallTime(wire.wall_ns),
            }))
        }
    }
}
