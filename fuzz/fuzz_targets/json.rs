//! Strict JSON, against serde_json: what is taken means the same there, and what is refused there or
//! has a member twice, or is nested too deep, is refused here.
#![no_main]

use std::collections::HashSet;
use std::fmt;

use hsm_jose::jose::json::{MAX_DEPTH, parse_object};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let strict = parse_object(data);
    let loose = serde_json::from_slice::<Value>(data);
    match (strict, loose) {
        (Ok(members), Ok(value)) => {
            assert_eq!(Value::Object(members), value);
            let shape: Shape = serde_json::from_slice(data).expect("JSON");
            assert!(!shape.has_twice && shape.depth <= MAX_DEPTH);
        }
        (Ok(_), Err(error)) => panic!("serde_json refuses: {error}"),
        (Err(_), Ok(Value::Object(_))) => {
            let shape: Shape = serde_json::from_slice(data).expect("JSON");
            assert!(shape.has_twice || shape.depth > MAX_DEPTH, "refused without a reason");
        }
        (Err(error), _) => assert!(error.to_string().len() < 200),
    }
});

/// What a JSON text is like, seen by a parser that keeps nothing.
#[derive(Default)]
struct Shape {
    depth: usize,
    has_twice: bool,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Shape, A::Error> {
        let mut shape = Shape::default();
        while let Some(inner) = access.next_element::<Shape>()? {
            shape.depth = shape.depth.max(inner.depth);
            shape.has_twice |= inner.has_twice;
        }
        shape.depth += 1;
        Ok(shape)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Shape, A::Error> {
        let (mut shape, mut names) = (Shape::default(), HashSet::new());
        while let Some((name, inner)) = access.next_entry::<String, Shape>()? {
            shape.depth = shape.depth.max(inner.depth);
            shape.has_twice |= inner.has_twice | !names.insert(name);
        }
        shape.depth += 1;
        Ok(shape)
    }
}
