//! The members of a JSON serialization, read in one pass: texts are borrowed from the token where
//! they have no escapes, headers become objects, and what nobody asked for is checked and left
//! behind (RFC 7515 section 7.2, RFC 7516 section 7.2: it "MUST be ignored").

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::jose::header::{MAX_HEADER_LEN, MAX_HEADER_VALUES};
use crate::jose::json::{self, MAX_DEPTH, Room, Strict, deeper};

/// The members that an object is known to have, and what each is.
pub(super) type Shape = [(&'static str, Kind)];

/// What a member is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// A header: an object of at most [`MAX_HEADER_LEN`] bytes and [`MAX_HEADER_VALUES`] values.
    Header,
    /// An array of at most so many objects, each of this shape.
    Each(&'static Shape, usize),
    /// Anything: that it is there is all that is asked.
    Any,
    /// A member that belongs to another kind of token.
    Stray,
}

/// The members that were there.
#[derive(Default)]
pub(super) struct Members<'a> {
    found: Vec<(&'static str, Found<'a>)>,
}

enum Found<'a> {
    Text(Cow<'a, str>),
    Header(Map<String, Value>),
    Each(Vec<Members<'a>>),
    Object(Members<'a>),
    Nothing,
}

impl<'a> Members<'a> {
    /// Reads the object that `text` is.
    ///
    /// # Errors
    /// [`Error::Malformed`]: not JSON, something after it, duplicate members at any level, nesting
    /// over [`MAX_DEPTH`], or a known member that is not what it must be.
    pub(super) fn read(text: &'a str, shape: &'static Shape) -> Result<Self> {
        let reader = Reader { want: Want::Object(shape), name: "", depth: MAX_DEPTH };
        match json::parse_with(text, reader) {
            Ok(Found::Object(members)) => Ok(members),
            Ok(_) => Err(malformed("not a JSON object")),
            Err(error) => Err(malformed(error)),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.found.iter().any(|(found, _)| *found == name)
    }

    /// Takes a text that must not be empty where it is: what is empty is absent (RFC 7516 section
    /// 7.2.1).
    pub(super) fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>> {
        match self.take(name) {
            Some(Found::Text(text)) if text.is_empty() => {
                Err(malformed(format!("{name} is empty, and must be absent then")))
            }
            Some(Found::Text(text)) => Ok(Some(text)),
            _ => Ok(None),
        }
    }

    /// Takes a text that may be empty.
    pub(super) fn any_text(&mut self, name: &str) -> Option<Cow<'a, str>> {
        match self.take(name) {
            Some(Found::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Takes a header; none is as good as an empty one.
    pub(super) fn header(&mut self, name: &str) -> Map<String, Value> {
        match self.take(name) {
            Some(Found::Header(header)) => header,
            _ => Map::new(),
        }
    }

    /// Takes the objects of an array.
    pub(super) fn each(&mut self, name: &str) -> Option<Vec<Self>> {
        match self.take(name) {
            Some(Found::Each(each)) => Some(each),
            _ => None,
        }
    }

    fn take(&mut self, name: &str) -> Option<Found<'a>> {
        let index = self.found.iter().position(|(found, _)| *found == name)?;
        Some(self.found.swap_remove(index).1)
    }
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Reader {
    want: Want,
    /// The member's name, for an error.
    name: &'static str,
    depth: usize,
}

#[derive(Clone, Copy)]
enum Want {
    Member(Kind),
    Object(&'static Shape),
    /// Anything well-formed: nothing of it is kept.
    Anything,
}

impl Reader {
    fn scalar<'a, E: de::Error>(self) -> std::result::Result<Found<'a>, E> {
        match self.want {
            Want::Anything => Ok(Found::Nothing),
            _ => Err(self.wrong()),
        }
    }

    /// What is wrong, without a word of the token.
    fn wrong<E: de::Error>(self) -> E {
        E::custom(match self.want {
            Want::Member(Kind::Text) => format!("{} is not a string", self.name),
            Want::Member(Kind::Header) => format!("{} is not an object", self.name),
            Want::Member(Kind::Each(..)) => format!("{} is not an array", self.name),
            Want::Member(Kind::Stray) => format!("{} is of another kind of token", self.name),
            Want::Object(_) | Want::Anything | Want::Member(Kind::Any) => {
                "an object is missing where one must be".into()
            }
        })
    }
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Found<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> std::result::Result<Found<'de>, E> {
        self.scalar()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> std::result::Result<Found<'de>, E> {
        self.scalar()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> std::result::Result<Found<'de>, E> {
        self.scalar()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> std::result::Result<Found<'de>, E> {
        self.scalar()
    }

    fn visit_unit<E: de::Error>(self) -> std::result::Result<Found<'de>, E> {
        self.scalar()
    }

    fn visit_borrowed_str<E: de::Error>(
        self,
        text: &'de str,
    ) -> std::result::Result<Found<'de>, E> {
        match self.want {
            Want::Member(Kind::Text) => Ok(Found::Text(Cow::Borrowed(text))),
            _ => self.scalar(),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Found<'de>, E> {
        match self.want {
            Want::Member(Kind::Text) => Ok(Found::Text(Cow::Owned(text.to_owned()))),
            _ => self.scalar(),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(
        self,
        mut access: A,
    ) -> std::result::Result<Found<'de>, A::Error> {
        let depth = deeper(self.depth)?;
        match self.want {
            Want::Member(Kind::Each(shape, max)) => {
                let inner = Self { want: Want::Object(shape), depth, ..self };
                let mut each = Vec::new();
                while let Some(found) = access.next_element_seed(inner)? {
                    let Found::Object(members) = found else { return Err(self.wrong()) };
                    if each.len() == max {
                        return Err(de::Error::custom(format!("over {max} {}", self.name)));
                    }
                    each.push(members);
                }
                Ok(Found::Each(each))
            }
            Want::Anything => {
                while access.next_element_seed(Self { depth, ..self })?.is_some() {}
                Ok(Found::Nothing)
            }
            _ => Err(self.wrong()),
        }
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut access: A,
    ) -> std::result::Result<Found<'de>, A::Error> {
        let shape: &Shape = match self.want {
            Want::Member(Kind::Header) => {
                let room = Room::new(MAX_HEADER_LEN, MAX_HEADER_VALUES);
                return match (Strict { depth: self.depth, room: &room }).visit_map(access)? {
                    Value::Object(members) => Ok(Found::Header(members)),
                    _ => Err(self.wrong()),
                };
            }
            Want::Object(shape) => shape,
            Want::Anything => &[],
            Want::Member(_) => return Err(self.wrong()),
        };
        let depth = deeper(self.depth)?;
        // Names that nobody knows are compared at the end: sorting takes no more memory than they do.
        let (mut unknown, mut members) = (Vec::new(), Members::default());
        while let Some(name) = access.next_key_seed(Name)? {
            match shape.iter().find(|(known, _)| *known == name) {
                Some((name, _)) if members.has(name) => return Err(duplicate()),
                Some((name, Kind::Stray)) => {
                    let stray = Self { want: Want::Member(Kind::Stray), name, depth };
                    return Err(stray.wrong());
                }
                Some((name, Kind::Any)) => {
                    let reader = Self { want: Want::Anything, name, depth };
                    access.next_value_seed(reader)?;
                    members.found.push((*name, Found::Nothing));
                }
                Some((name, kind)) => {
                    let reader = Self { want: Want::Member(*kind), name, depth };
                    members.found.push((*name, access.next_value_seed(reader)?));
                }
                None => {
                    unknown.push(name);
                    let reader = Self { want: Want::Anything, depth, ..self };
                    access.next_value_seed(reader)?;
                }
            }
        }
        unknown.sort_unstable();
        if unknown.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(duplicate());
        }
        match self.want {
            Want::Object(_) => Ok(Found::Object(members)),
            _ => Ok(Found::Nothing),
        }
    }
}

/// Reads the name of a member, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> std::result::Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> std::result::Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

fn duplicate<E: de::Error>() -> E {
    E::custom("duplicate member")
}

fn malformed(what: impl fmt::Display) -> Error {
    Error::Malformed(format!("JSON serialization: {what}"))
}
