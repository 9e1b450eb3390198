//! `egressim schema`.

use anyhow::Result;

use super::OK;
use super::terminal::Terminal;

pub(super) fn run(terminal: &Terminal) -> Result<u8> {
    let schema = crate::scenario::schema::schema();
    terminal.keep_json("schema.json", &schema)?;
    terminal.print_json(&schema)?;
    Ok(OK)
}
