//! `egressim schema`.

use anyhow::Result;

use super::OK;
use super::terminal::Terminal;

pub(super) fn run(terminal: &Terminal) -> Result<u8> {
    terminal.print_json(&crate::scenario::schema::schema())?;
    Ok(OK)
}
