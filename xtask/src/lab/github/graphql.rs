//! Executes GraphQL queries with aliases, arguments, variables and inline fragments. An [`Object`] defines the fields.

use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::{Map, Value, json};

pub type Arguments = Map<String, Value>;

/// One object of the graph.
pub trait Object: Sized {
    fn type_name(&self) -> &'static str;
    /// This object as the type of a fragment; `None` if it has another type.
    fn as_type(&self, name: &str) -> Option<Self>;
    /// `None`: the field does not exist.
    fn field(&self, name: &str, arguments: &Arguments) -> Option<FieldValue<Self>>;
}

/// The value of a field.
pub enum FieldValue<O> {
    Leaf(Value),
    One(O),
    Many(Vec<O>),
    /// Null, and an entry in `errors`.
    Missing {
        kind: &'static str,
        message: String,
    },
}

/// Executes `{"query": …, "variables": …}`; returns the body of the response.
pub fn execute<O: Object>(root: &O, request: &Value) -> Value {
    let query = request["query"].as_str().unwrap_or_default();
    let variables = &request["variables"];
    let outcome = parse(query).and_then(|document| {
        for name in &document.required {
            if variables[name].is_null() {
                return Err(format!("Variable ${name} of type String! was not provided"));
            }
        }
        let mut run = Run { variables, errors: Vec::new(), path: Vec::new() };
        let data = run.object(root, &document.selections)?;
        Ok((data, run.errors))
    });
    match outcome {
        Ok((data, errors)) if errors.is_empty() => json!({"data": data}),
        Ok((data, errors)) => json!({"data": data, "errors": errors}),
        Err(message) => json!({"errors": [{"message": message}]}),
    }
}

struct Run<'a> {
    variables: &'a Value,
    errors: Vec<Value>,
    path: Vec<String>,
}

impl Run<'_> {
    fn object<O: Object>(&mut self, object: &O, selections: &[Selection]) -> Result<Value, String> {
        let mut out = Map::new();
        self.collect(object, selections, &mut out)?;
        Ok(Value::Object(out))
    }

    fn collect<O: Object>(
        &mut self,
        object: &O,
        selections: &[Selection],
        out: &mut Map<String, Value>,
    ) -> Result<(), String> {
        for selection in selections {
            match selection {
                Selection::Fragment(type_name, inner) => {
                    if let Some(object) = object.as_type(type_name) {
                        self.collect(&object, inner, out)?;
                    }
                }
                Selection::Field(field) => {
                    self.path.push(field.alias.clone());
                    let value = self.field(object, field)?;
                    self.path.pop();
                    out.insert(field.alias.clone(), value);
                }
            }
        }
        Ok(())
    }

    fn field<O: Object>(&mut self, object: &O, field: &Field) -> Result<Value, String> {
        let (name, on) = (&field.name, object.type_name());
        if name == "__typename" {
            return Ok(on.into());
        }
        let arguments = field.arguments.iter().map(|(key, argument)| {
            let value = match argument {
                Argument::Literal(value) => value.clone(),
                Argument::Variable(variable) => self.variables[variable].clone(),
            };
            (key.clone(), value)
        });
        let Some(found) = object.field(name, &arguments.collect()) else {
            return Err(format!("Field '{name}' doesn't exist on type '{on}'"));
        };
        let inner = &field.selections;
        match found {
            FieldValue::Leaf(ref value) if !value.is_null() && !inner.is_empty() => {
                Err(format!("Selections can't be made on scalars (field '{name}')"))
            }
            FieldValue::One(_) | FieldValue::Many(_) if inner.is_empty() => {
                Err(format!("Field must have selections (field '{name}')"))
            }
            FieldValue::Leaf(value) => Ok(value),
            FieldValue::One(object) => self.object(&object, inner),
            FieldValue::Many(objects) => objects.iter().map(|o| self.object(o, inner)).collect(),
            FieldValue::Missing { kind, message } => {
                let error = json!({"type": kind, "path": self.path, "message": message});
                self.errors.push(error);
                Ok(Value::Null)
            }
        }
    }
}

struct Document {
    /// The variables that must have a value: `$name: Type!`.
    required: Vec<String>,
    selections: Vec<Selection>,
}

enum Selection {
    Field(Field),
    Fragment(String, Vec<Selection>),
}

struct Field {
    alias: String,
    name: String,
    arguments: Vec<(String, Argument)>,
    selections: Vec<Selection>,
}

enum Argument {
    Literal(Value),
    Variable(String),
}

#[derive(Debug, PartialEq)]
enum Token {
    Name(String),
    Literal(Value),
    Mark(char),
}

/// The three dots of a fragment, as one character.
const SPREAD: char = '…';

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut rest = text.trim_start_matches(blank);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' => {
                let end = 1 + rest[1..].find('"').ok_or("Unterminated string")?;
                let value = serde_json::from_str(&rest[..=end]).map_err(|e| e.to_string())?;
                out.push(Token::Literal(value));
                end + 1
            }
            '.' if rest.starts_with("...") => {
                out.push(Token::Mark(SPREAD));
                3
            }
            '_' | 'a'..='z' | 'A'..='Z' => {
                let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
                let end = end.unwrap_or(rest.len());
                out.push(Token::Name(rest[..end].to_owned()));
                end
            }
            '0'..='9' => {
                let end = rest.find(|c: char| !c.is_ascii_digit());
                let end = end.unwrap_or(rest.len());
                let number: u64 = rest[..end].parse().map_err(|_| "Bad number")?;
                out.push(Token::Literal(number.into()));
                end
            }
            '{' | '}' | '(' | ')' | '[' | ']' | ':' | '$' | '!' | '=' => {
                out.push(Token::Mark(first));
                1
            }
            other => return Err(format!("Parse error on \"{other}\"")),
        };
        rest = rest[length..].trim_start_matches(blank);
    }
    Ok(out)
}

fn blank(c: char) -> bool {
    c.is_whitespace() || c == ','
}

struct Parser(Peekable<IntoIter<Token>>);

fn parse(query: &str) -> Result<Document, String> {
    let mut parser = Parser(tokens(query)?.into_iter().peekable());
    let mut required = Vec::new();
    if parser.0.next_if_eq(&Token::Name("query".into())).is_some() {
        parser.0.next_if(|token| matches!(token, Token::Name(_)));
        if parser.is('(') {
            required = parser.variables()?;
        }
    }
    parser.mark('{')?;
    let selections = parser.selections()?;
    match parser.0.next() {
        None => Ok(Document { required, selections }),
        Some(token) => Err(format!("Parse error on {token:?}")),
    }
}

impl Parser {
    fn is(&mut self, mark: char) -> bool {
        self.0.next_if_eq(&Token::Mark(mark)).is_some()
    }

    fn mark(&mut self, mark: char) -> Result<(), String> {
        match self.0.next() {
            Some(Token::Mark(found)) if found == mark => Ok(()),
            other => Err(format!("Parse error on {other:?}, expected \"{mark}\"")),
        }
    }

    fn name(&mut self) -> Result<String, String> {
        match self.0.next() {
            Some(Token::Name(name)) => Ok(name),
            other => Err(format!("Parse error on {other:?}, expected a name")),
        }
    }

    /// `$a: String!, $b: Int = 1)`
    fn variables(&mut self) -> Result<Vec<String>, String> {
        let mut required = Vec::new();
        let mut current = String::new();
        while !self.is(')') {
            match self.0.next() {
                Some(Token::Mark('$')) => current = self.name()?,
                Some(Token::Mark('!')) => required.push(current.clone()),
                Some(_) => {}
                None => return Err("Parse error on end of file".into()),
            }
        }
        Ok(required)
    }

    /// Parses up to and including the closing brace.
    fn selections(&mut self) -> Result<Vec<Selection>, String> {
        let mut out = Vec::new();
        while !self.is('}') {
            if !self.is(SPREAD) {
                out.push(Selection::Field(self.field()?));
                continue;
            }
            let on = self.name()?;
            if on != "on" {
                return Err(format!("The stub supports only inline fragments, not '...{on}'"));
            }
            let type_name = self.name()?;
            self.mark('{')?;
            out.push(Selection::Fragment(type_name, self.selections()?));
        }
        Ok(out)
    }

    fn field(&mut self) -> Result<Field, String> {
        let alias = self.name()?;
        let name = if self.is(':') { self.name()? } else { alias.clone() };
        let mut arguments = Vec::new();
        if self.is('(') {
            while !self.is(')') {
                let key = self.name()?;
                self.mark(':')?;
                arguments.push((key, self.argument()?));
            }
        }
        let selections = if self.is('{') { self.selections()? } else { Vec::new() };
        Ok(Field { alias, name, arguments, selections })
    }

    fn argument(&mut self) -> Result<Argument, String> {
        match self.0.next() {
            Some(Token::Literal(value)) => Ok(Argument::Literal(value)),
            Some(Token::Mark('$')) => Ok(Argument::Variable(self.name()?)),
            other => Err(format!("Parse error on {other:?}, expected a value")),
        }
    }
}
