//! Templates: text with `${…}` and `%{…}` in it.

use hcl_edit::expr::Expression;
use hcl_edit::template::{Directive, Element, StringTemplate, Strip, Template};

use super::eval::{Evaluator, Scope, iterate, unknown_or};
use super::value::Value;

/// The longest text, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// A template on its way to text.
#[derive(Default)]
struct Out {
    text: String,
    /// How much of the text may not be stripped: what interpolations have given.
    fixed: usize,
    /// The next literal loses its leading space.
    strip: bool,
}

impl Out {
    fn literal(&mut self, literal: &str) {
        let literal = if std::mem::take(&mut self.strip) { literal.trim_start() } else { literal };
        self.text.push_str(literal);
    }

    fn value(&mut self, text: &str) {
        self.text.push_str(text);
        self.fixed = self.text.len();
    }

    /// A marker: `~` takes space away from the literal before or behind it.
    fn mark(&mut self, strip: Strip) {
        if matches!(strip, Strip::Start | Strip::Both) {
            let end = self.text.trim_end().len().max(self.fixed);
            self.text.truncate(end);
        }
        self.strip = matches!(strip, Strip::End | Strip::Both);
    }
}

impl<'w> Evaluator<'w> {
    /// A quoted template; one that is nothing but an interpolation has the value of that, whatever its type.
    pub fn quoted(&mut self, template: &'w StringTemplate, scope: &Scope<'w>) -> Value {
        let mut elements = template.iter();
        if let (Some(Element::Interpolation(only)), None) = (elements.next(), elements.next()) {
            return self.eval(&only.expr, scope);
        }
        let mut out = Out::default();
        match self.elements(template.iter(), scope, &mut out) {
            Ok(()) => Value::from(out.text),
            Err(unknown) => unknown,
        }
    }

    pub fn template(&mut self, template: &'w Template, scope: &Scope<'w>) -> Value {
        let mut out = Out::default();
        match self.elements(template.iter(), scope, &mut out) {
            Ok(()) => Value::from(out.text),
            Err(unknown) => unknown,
        }
    }

    fn elements(
        &mut self,
        elements: impl Iterator<Item = &'w Element>,
        scope: &Scope<'w>,
        out: &mut Out,
    ) -> Result<(), Value> {
        for element in elements {
            match element {
                Element::Literal(literal) => out.literal(literal.as_str()),
                Element::Interpolation(interpolation) => {
                    out.mark(interpolation.strip);
                    let text = self.piece(&interpolation.expr, scope)?;
                    self.spend(text.len() as u64 / 8);
                    out.value(&text);
                }
                Element::Directive(directive) => self.directive(directive, scope, out)?,
            }
            self.bounded(out)?;
        }
        Ok(())
    }

    fn piece(&mut self, expression: &'w Expression, scope: &Scope<'w>) -> Result<std::rc::Rc<str>, Value> {
        let value = self.eval(expression, scope);
        value.text().ok_or_else(|| unknown_or(&value, "a part of a template", "a string"))
    }

    fn bounded(&mut self, out: &Out) -> Result<(), Value> {
        if out.text.len() > MAX_BYTES || !self.spend(1) {
            return Err(Value::error("a text is too long"));
        }
        Ok(())
    }

    fn directive(&mut self, directive: &'w Directive, scope: &Scope<'w>, out: &mut Out) -> Result<(), Value> {
        match directive {
            Directive::If(directive) => {
                out.mark(directive.if_expr.strip);
                let condition = self.eval(&directive.if_expr.cond_expr, scope);
                let Some(truth) = condition.truth() else {
                    return Err(unknown_or(&condition, "the condition of a template", "a truth value"));
                };
                if truth {
                    self.elements(directive.if_expr.template.iter(), scope, out)?;
                }
                if let Some(otherwise) = &directive.else_expr {
                    out.mark(otherwise.strip);
                    if !truth {
                        self.elements(otherwise.template.iter(), scope, out)?;
                    }
                }
                out.mark(directive.endif_expr.strip);
            }
            Directive::For(directive) => {
                let each = &directive.for_expr;
                let collection = self.eval(&each.collection_expr, scope);
                out.mark(each.strip);
                for (key, value) in iterate(&collection)? {
                    let mut inner = scope.with(each.value_var.as_str(), value);
                    if let Some(name) = &each.key_var {
                        inner = inner.with(name.as_str(), key);
                    }
                    out.strip = matches!(each.strip, Strip::End | Strip::Both);
                    self.elements(each.template.iter(), &inner, out)?;
                    if matches!(directive.endfor_expr.strip, Strip::Start | Strip::Both) {
                        out.mark(Strip::Start);
                    }
                    self.bounded(out)?;
                }
                out.strip = matches!(directive.endfor_expr.strip, Strip::End | Strip::Both);
            }
        }
        Ok(())
    }
}
