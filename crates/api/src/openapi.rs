//! The interface for programs that read descriptions of interfaces.

mod choices;
mod model;
mod program;
mod schemas;

use serde_json::{Map, Value, json};

use self::model::{
    Answer, Content, Endpoint, FORBIDDEN, Form, Parameter, Place, TOO_LARGE, TOO_SLOW, UNAUTHORIZED,
};

/// Describes every endpoint as OpenAPI 3.1 has it: parameters, bodies, and the codes that they answer.
#[must_use]
pub fn openapi() -> Value {
    let mut paths = Map::new();
    for endpoint in endpoints() {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(endpoint.method.to_owned(), operation(endpoint));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Waypost control interface",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What dashboards and clients of Clash ask for, figures for Prometheus, and explanations. \
                Errors are `{\"message\": …}`.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:9090" }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": {
                "type": "http", "scheme": "bearer",
                "description": "The secret. A WebSocket may give it as `?token=` instead.",
            } },
            "schemas": schemas::schemas(),
        },
    })
}

fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    choices::ENDPOINTS.iter().chain(program::ENDPOINTS)
}

fn operation(endpoint: &Endpoint) -> Value {
    let parameters: Vec<Value> = endpoint.parameters.iter().map(parameter).collect();
    let mut answers: Map<String, Value> =
        endpoint.answers.iter().map(|answer| (answer.code.to_string(), response(answer))).collect();
    if endpoint.needs_secret {
        answers.insert("401".to_owned(), response(&UNAUTHORIZED));
    }
    answers.insert("403".to_owned(), response(&FORBIDDEN));
    if endpoint.body.is_some() {
        answers.insert("408".to_owned(), response(&TOO_SLOW));
        answers.insert("413".to_owned(), response(&TOO_LARGE));
    }
    let mut operation = json!({
        "operationId": endpoint.id, "summary": endpoint.summary, "parameters": parameters, "responses": answers,
    });
    if let Some(fields) = operation.as_object_mut() {
        if !endpoint.needs_secret {
            fields.insert("security".to_owned(), json!([]));
        }
        if endpoint.is_stream {
            // A client that wants the whole body would wait for ever.
            fields.insert("x-stream".to_owned(), true.into());
        }
        if let Some(body) = &endpoint.body {
            let content = json!({ "application/json": { "schema": named(body.schema) } });
            let body = json!({ "required": body.is_required, "content": content });
            fields.insert("requestBody".to_owned(), body);
        }
    }
    operation
}

fn parameter(parameter: &Parameter) -> Value {
    let place = match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
    };
    let schema = match parameter.form {
        Form::Text => json!({ "type": "string" }),
        Form::OneOf(words) => json!({ "type": "string", "enum": words }),
        Form::AtLeast(least) => json!({ "type": "integer", "minimum": least }),
        Form::Number { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
    };
    json!({
        "name": parameter.name, "in": place, "required": parameter.is_required,
        "description": parameter.text, "schema": schema,
    })
}

fn response(answer: &Answer) -> Value {
    let mut response = json!({ "description": answer.text });
    let content = match answer.content {
        Content::Nothing => return response,
        Content::Json(name) => json!({ "application/json": { "schema": named(name) } }),
        Content::Other(kind) => json!({ kind: { "schema": { "type": "string" } } }),
    };
    if let Some(fields) = response.as_object_mut() {
        fields.insert("content".to_owned(), content);
    }
    response
}

fn named(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_leads_to_a_schema_and_every_schema_is_used() {
        let description = openapi();
        let known: BTreeSet<String> =
            description["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
        let text = description.to_string();
        let used: BTreeSet<String> = text
            .split("#/components/schemas/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .map(str::to_owned)
            .collect();
        assert_eq!(used, known);
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let names: BTreeSet<&str> = endpoints().map(|endpoint| endpoint.id).collect();
        assert_eq!(names.len(), endpoints().count());
        for endpoint in endpoints() {
            let in_path = endpoint.path.matches('{').count();
            let declared =
                endpoint.parameters.iter().filter(|parameter| parameter.place == Place::Path).count();
            assert_eq!(in_path, declared, "{}", endpoint.path);
        }
    }
}
