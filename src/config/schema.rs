//! The JSON schema of the configuration, made from the table of keys.

use serde_json::{Map, Value, json};

use super::keys::{Describe, Shape, TABLES, Table};

/// A size as a string, as [`values::size`](super::values::size) reads it.
const SIZE_PATTERN: &str = "^[0-9]+ *(([kKmMgGtT][iI]?)?[bB])?$";
/// A duration, as [`values::duration`](super::values::duration) reads it; the order of the units is not checked here.
const DURATION_PATTERN: &str = "^([0-9]+ *(w|d|h|ms|m|s) *)+$";

/// The configuration's JSON schema (draft 2020-12), with which editors complete and check `logtap.toml`.
#[must_use]
pub fn json_schema() -> String {
    let tables: Map<String, Value> = TABLES.iter().map(|table| (table.name.to_owned(), table_schema(table))).collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "logtap.toml",
        "description": "The configuration of logtap, a daemon that streams log files.",
        "type": "object",
        "additionalProperties": false,
        "properties": tables,
    });
    format!("{schema:#}\n")
}

fn table_schema(table: &Table) -> Value {
    let keys: Map<String, Value> = table.keys.iter().map(|key| (key.name().to_owned(), key_schema(*key))).collect();
    let required: Vec<&str> = table.keys.iter().filter(|key| key.is_required()).map(|key| key.name()).collect();
    // What is missing in one file may stand in another; only a source is always whole.
    let object = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": keys,
        "required": if table.repeated { required } else { Vec::new() },
    });
    let mut schema = if table.repeated { json!({ "type": "array", "items": object }) } else { object };
    schema["description"] = table.about.into();
    schema
}

fn key_schema(key: &dyn Describe) -> Value {
    let strings = json!({ "type": "string" });
    let mut schema = match key.shape() {
        Shape::Text(example) => json!({ "type": "string", "examples": [example] }),
        Shape::Texts(example) => {
            json!({ "type": "array", "items": strings, "uniqueItems": true, "examples": [[example]] })
        }
        Shape::Count(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Size(least, most) => json!({ "anyOf": [
            { "type": "string", "pattern": SIZE_PATTERN },
            { "type": "integer", "minimum": least, "maximum": most },
        ]}),
        Shape::Time(..) => json!({ "type": "string", "pattern": DURATION_PATTERN }),
        Shape::Switch => json!({ "type": "boolean" }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Multiline => json!({ "anyOf": [
            { "enum": ["off", "indent"] },
            { "type": "object", "additionalProperties": false, "properties": { "start": strings }, "required": ["start"] },
        ]}),
        Shape::Labels => json!({ "type": "object", "additionalProperties": strings }),
    };
    schema["description"] = key.about().into();
    if let Some(default) = key.default_toml().and_then(|text| json_of_toml(&text)) {
        schema["default"] = default;
    }
    schema
}

/// A value that is written as TOML, as JSON.
fn json_of_toml(text: &str) -> Option<Value> {
    fn convert(value: toml::Value) -> Option<Value> {
        Some(match value {
            toml::Value::String(text) => text.into(),
            toml::Value::Integer(number) => number.into(),
            toml::Value::Float(number) => number.into(),
            toml::Value::Boolean(value) => value.into(),
            toml::Value::Datetime(time) => time.to_string().into(),
            toml::Value::Array(items) => Value::Array(items.into_iter().map(convert).collect::<Option<_>>()?),
            toml::Value::Table(table) => {
                let pairs = table.into_iter().map(|(key, value)| Some((key, convert(value)?)));
                Value::Object(pairs.collect::<Option<_>>()?)
            }
        })
    }
    let mut table: toml::Table = format!("value = {text}").parse().ok()?;
    convert(table.remove("value")?)
}
