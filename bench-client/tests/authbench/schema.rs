//! As much of JSON Schema as `docs/summary.schema.json` uses.

use serde_json::Value;

/// Where the value breaks the schema.
pub(crate) fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    visit(schema, schema, value, "$", &mut found);
    found
}

fn visit(root: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/$defs/").expect("references are local");
        assert!(root["$defs"][name].is_object(), "{reference} is not defined");
        return visit(root, &root["$defs"][name], value, place, found);
    }
    if let Some(options) = schema["anyOf"].as_array() {
        let tries: Vec<Vec<String>> = options
            .iter()
            .map(|option| {
                let mut problems = Vec::new();
                visit(root, option, value, place, &mut problems);
                problems
            })
            .collect();
        if !tries.iter().any(Vec::is_empty) {
            found.push(format!("{place} fits no alternative: {tries:?}"));
        }
        return;
    }
    if schema.get("const").is_some_and(|only| only != value)
        || schema["enum"].as_array().is_some_and(|options| !options.contains(value))
    {
        found.push(format!("{place}: {value} is not allowed"));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = |name: &&str| match *name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("the type {other} is not known here"),
    };
    if !types.is_empty() && !types.iter().any(fits) {
        found.push(format!("{place}: {value} is not {types:?}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.is_object() && value.get(name).is_none() {
            found.push(format!("{place}.{name} is missing"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(known), _) => visit(root, known, member, &place, found),
            (None, Value::Bool(false)) => found.push(format!("{place} is not described")),
            (None, other) if other.is_object() => visit(root, other, member, &place, found),
            (None, _) => {}
        }
    }
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        visit(root, &schema["items"], item, &format!("{place}[{i}]"), found);
    }
}
