//! Secrets in the texts of a configuration: what stands under a secret name, in environment variables, and what is declared
//! sensitive. Findings quote these texts.

use std::collections::HashSet;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Body, Structure};
use hcl_edit::template::Element;

use super::load::{Folder, Loaded, Values, start};
use super::place;
use crate::scenario::diagnostic::{FileId, Place};
use crate::scenario::import::Import;
use crate::scenario::import::secrets::is_secret;

/// Overwrites the secrets of all texts.
pub(super) fn hide(import: &mut Import, loaded: &Loaded) {
    let sensitive: Vec<HashSet<&str>> = loaded.folders.iter().map(sensitive).collect();
    let mut hidden = Hidden { file: FileId::from_index(u32::MAX), places: Vec::new() };
    for folder in &loaded.folders {
        for (file, body) in &folder.files {
            hidden.file = *file;
            hidden.body(body, false);
            for block in body.blocks().filter(|block| block.has_ident("module")) {
                let Some(callee) = folder.calls.get(&(*file, start(block))) else { continue };
                hidden.attributes(&block.body, &sensitive[*callee]);
            }
        }
    }
    for root in &loaded.roots {
        for values in &root.values {
            if let Values::Hcl(file, body) = values {
                hidden.file = *file;
                hidden.body(body, false);
                hidden.attributes(body, &sensitive[root.folder]);
            }
        }
    }
    hidden.places.sort_unstable();
    import.sources.hide(&hidden.places);
}

/// The variables of a module that are sensitive.
fn sensitive(folder: &Folder) -> HashSet<&str> {
    let variables = folder.files.iter().flat_map(|(_, body)| body.blocks()).filter(|block| block.has_ident("variable"));
    variables
        .filter(|block| is_sensitive(&block.body))
        .filter_map(|block| Some(block.labels.first()?.as_str()))
        .collect()
}

fn is_sensitive(body: &Body) -> bool {
    body.get_attribute("sensitive").is_some_and(|attribute| attribute.value.as_bool() == Some(true))
}

struct Hidden {
    file: FileId,
    places: Vec<Place>,
}

impl Hidden {
    /// The values of attributes with these names.
    fn attributes(&mut self, body: &Body, names: &HashSet<&str>) {
        for attribute in body.attributes().filter(|attribute| names.contains(attribute.key.as_str())) {
            self.expression(&attribute.value, true);
        }
    }

    fn body(&mut self, body: &Body, secret: bool) {
        // `name = …` and `value = …`: an environment variable.
        let named = body.has_attribute("name") || body.has_attribute("key");
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => {
                    let key = attribute.key.as_str();
                    self.expression(&attribute.value, secret || is_secret(key) || (named && key == "value"));
                }
                Structure::Block(block) => {
                    let name = super::resource::named(block).unwrap_or_default();
                    let declared = match name {
                        "variable" => {
                            let label = block.labels.first().map_or("", |label| label.as_str());
                            is_secret(label) || is_sensitive(&block.body)
                        }
                        _ => is_secret(name),
                    };
                    self.body(&block.body, secret || declared);
                }
            }
        }
    }

    fn expression(&mut self, expression: &Expression, secret: bool) {
        match expression {
            Expression::String(_)
            | Expression::Number(_)
            | Expression::StringTemplate(_)
            | Expression::HeredocTemplate(_)
                if secret =>
            {
                self.places.push(place(self.file, expression.span()));
            }
            Expression::StringTemplate(template) => {
                let inner = template.iter().filter_map(Element::as_interpolation);
                inner.for_each(|inner| self.expression(&inner.expr, false));
            }
            Expression::Array(array) => array.iter().for_each(|item| self.expression(item, secret)),
            Expression::Object(object) => {
                let word = |key: &ObjectKey| match key {
                    ObjectKey::Ident(name) => name.as_str().to_owned(),
                    ObjectKey::Expression(key) => key.as_str().unwrap_or_default().to_owned(),
                };
                let named = object.iter().any(|(key, _)| matches!(&*word(key), "name" | "key"));
                for (key, value) in object {
                    let key = word(key);
                    self.expression(value.expr(), secret || is_secret(&key) || (named && key == "value"));
                }
            }
            Expression::Parenthesis(inner) => self.expression(inner.inner(), secret),
            Expression::Conditional(conditional) => {
                self.expression(&conditional.true_expr, secret);
                self.expression(&conditional.false_expr, secret);
            }
            Expression::FuncCall(call) => {
                let secret = secret || call.name.name.as_str() == "sensitive";
                call.args.iter().for_each(|argument| self.expression(argument, secret));
            }
            Expression::BinaryOp(operation) => {
                self.expression(&operation.lhs_expr, secret);
                self.expression(&operation.rhs_expr, secret);
            }
            Expression::ForExpr(each) => {
                self.expression(&each.intro.collection_expr, secret);
                self.expression(&each.value_expr, secret);
            }
            _ => {}
        }
    }
}
