//! Standard output and standard error: colours, progress, and what is said in which form.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{Colour, Common, Format};
use crate::report::output::OutputFolder;
use crate::report::text::TextStyle;

/// Where a command speaks.
pub(super) struct Terminal {
    quiet: bool,
    json: bool,
    colour: Colour,
    out: Option<PathBuf>,
}

impl Terminal {
    pub(super) fn new(common: &Common) -> Terminal {
        match common.color {
            Colour::Auto => {}
            Colour::Always => anstream::ColorChoice::Always.write_global(),
            Colour::Never => anstream::ColorChoice::Never.write_global(),
        }
        Terminal {
            quiet: common.quiet,
            json: common.format == Format::Json,
            colour: common.color,
            out: common.out.clone(),
        }
    }

    /// Whether the result is to be one JSON document.
    pub(super) fn json(&self) -> bool {
        self.json
    }

    fn coloured(&self, stream_is_terminal: bool) -> bool {
        match self.colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => stream_is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    /// Whether standard output is coloured.
    pub(super) fn colours_results(&self) -> bool {
        self.coloured(io::stdout().is_terminal())
    }

    /// Style of text on standard output.
    pub(super) fn style(&self) -> TextStyle {
        if self.colours_results() { TextStyle::coloured() } else { TextStyle::plain() }
    }

    /// Whether standard error is coloured.
    pub(super) fn colours_errors(&self) -> bool {
        self.coloured(io::stderr().is_terminal())
    }

    /// Writes a result.
    pub(super) fn print(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        write(&mut out)?;
        out.flush()?;
        Ok(())
    }

    /// Begins the folder of `--out`, if there is one: before a long job, so that it does not fail at its end.
    pub(super) fn folder(&self) -> anyhow::Result<Option<OutputFolder>> {
        Ok(self.out.as_deref().map(OutputFolder::create).transpose()?)
    }

    /// Writes a document to the folder of `--out`, if there is one.
    pub(super) fn keep_json(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        self.keep_json_in(self.folder()?, name, value)
    }

    /// Writes a document to a folder that was begun, if there is one.
    pub(super) fn keep_json_in(
        &self,
        folder: Option<OutputFolder>,
        name: &str,
        value: &impl Serialize,
    ) -> anyhow::Result<()> {
        let Some(mut folder) = folder else { return Ok(()) };
        folder.write(name, |out| {
            serde_json::to_writer_pretty(&mut *out, value)?;
            out.write_all(b"\n")
        })?;
        Ok(folder.commit()?)
    }

    /// Writes a result as JSON.
    pub(super) fn print_json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        self.print(|out| {
            serde_json::to_writer_pretty(&mut *out, value)?;
            out.write_all(b"\n")
        })
    }

    /// Says something that is no result, unless it shall be quiet.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            // A closed standard error is nobody to tell that to.
            let _ = write!(io::stderr(), "{text}");
        }
    }

    /// Something to show how far a long job is; it appears after a second, on a terminal only.
    pub(super) fn progress(&self, what: &'static str) -> Progress {
        let shows = !self.quiet && io::stderr().is_terminal();
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = interrupted.clone();
        // Where there is no such signal, or somebody else handles it, the run simply cannot be interrupted cleanly.
        let _ = ctrlc::set_handler(move || {
            // Once asks; twice insists.
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(super::FAILED));
            }
        });
        Progress { interrupted, what, shows, began: Instant::now(), bar: None }
    }
}

/// A progress bar that is not there for the first second. It also learns of Ctrl-C, so that a run can end without leaving
/// half of a file behind.
pub(super) struct Progress {
    interrupted: Arc<AtomicBool>,
    what: &'static str,
    shows: bool,
    began: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// How far the job is, from 0 to 1.
    pub(super) fn fraction(&mut self, fraction: f64) -> ControlFlow<()> {
        let what = self.what;
        if let Some(bar) = self.bar(1000, "{msg} {wide_bar} {percent} %") {
            bar.set_message(what);
            bar.set_position((fraction * 1000.0) as u64);
        }
        self.goes_on()
    }

    /// How much of an unknown whole is done.
    pub(super) fn count(&mut self, count: u64) -> ControlFlow<()> {
        let what = self.what;
        if let Some(bar) = self.bar(u64::MAX, "{spinner} {msg} {human_pos} records ({per_sec})") {
            bar.set_message(what);
            bar.set_position(count);
        }
        self.goes_on()
    }

    fn goes_on(&self) -> ControlFlow<()> {
        if self.interrupted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn bar(&mut self, length: u64, template: &str) -> Option<&ProgressBar> {
        if self.bar.is_none() && self.shows && self.began.elapsed() > Duration::from_secs(1) {
            let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::with_template(template).expect("the template is sound"));
            self.bar = Some(bar);
        }
        self.bar.as_ref()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
