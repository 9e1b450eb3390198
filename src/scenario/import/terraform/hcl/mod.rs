//! Terraform configuration, evaluated as `terraform plan` would without asking Google Cloud.
//!
//! Texts are parsed and folders made modules ([`load`]), declarations found by name ([`index`]), and then every resource is
//! evaluated ([`eval`], [`reference`]) and written down as a [`Block`] ([`body`]). Evaluation is lazy: a local, a variable, an
//! output or an attribute is computed when something refers to it, and once. What only Google Cloud or another program knows
//! is [unknown](value::Value::Unknown) and says why; nothing is guessed.

use std::ops::Range;

use super::{Block, Modules, Provider, Unknown, address, resources};
use crate::scenario::diagnostic::{Diagnostic, FileId, Place};
use crate::scenario::import::Import;

mod body;
mod eval;
mod functions;
mod hide;
mod index;
mod load;
mod module;
mod reference;
mod resource;
mod template;
mod types;
mod value;

#[cfg(test)]
mod tests;

/// Stack for the evaluation: references lead from one to the next, and each takes some.
const STACK: usize = 256 << 20;

/// Evaluates configuration: one block for each instance of each resource and data source. Those of a type that nobody reads
/// are counted, and what they depend on may stay unknown.
pub(super) fn blocks(import: &mut Import, modules: Modules) -> Vec<Block> {
    blocks_of(import, modules, resources::knows)
}

/// As [`blocks`], where `wanted` says which types somebody reads.
fn blocks_of(import: &mut Import, modules: Modules, wanted: fn(&str) -> bool) -> Vec<Block> {
    if modules.files.is_empty() {
        return Vec::new();
    }
    let result = std::thread::scope(|scope| {
        let evaluation =
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || evaluate(import, modules, wanted));
        evaluation.ok().and_then(|thread| thread.join().ok())
    });
    result.unwrap_or_else(|| {
        let message = "the Terraform configuration cannot be evaluated: there is no memory for it";
        import.push(Diagnostic::unusable("too-large", message));
        Vec::new()
    })
}

fn evaluate(import: &mut Import, modules: Modules, wanted: fn(&str) -> bool) -> Vec<Block> {
    let loaded = load::load(import, modules);
    let configs = index::index(import, &loaded);
    hide::hide(import, &loaded);
    let mut evaluator = eval::Evaluator::new(import, &configs, wanted);
    for root in &loaded.roots {
        evaluator.root(root);
    }
    evaluator.blocks()
}

/// A place of what the parser has found.
fn place(file: FileId, span: Option<Range<usize>>) -> Place {
    let span = span.unwrap_or_default();
    Place { file, start: span.start as u32, end: span.end as u32 }
}
