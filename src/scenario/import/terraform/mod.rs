//! Terraform: plans and states as `terraform show -json` prints them, raw state files, and configuration (HCL).
//!
//! All of them come down to a [`Block`]: one instance of one resource with its attributes as the provider calls them. What
//! is not known is absent there and listed as [`Unknown`]. [`resources`] turns blocks into resources of the REST APIs.

use std::path::{Path, PathBuf};

use super::{Format, Import};
use crate::scenario::diagnostic::{FileId, Place};
use crate::scenario::tree::Node;

mod address;
mod hcl;
mod json;
mod resources;

/// One instance of one managed resource or data source.
#[derive(Debug)]
pub(super) struct Block {
    /// `module.network["a"].google_compute_subnetwork.apps[0]`.
    pub address: String,
    /// `google_compute_subnetwork`.
    pub kind: String,
    /// The whole of it, or its header.
    pub place: Place,
    /// A mapping of its attributes, in snake_case as the provider's documentation has them; nested blocks are lists. A
    /// reference to another resource of the configuration has been replaced by that resource's name, or by a path that ends
    /// with it (`regions/us-central1/subnetworks/apps`). A resource whose own name is not known is called by
    /// [`address::fallback_name`].
    pub body: Node,
    /// Attributes without a value here.
    pub unknown: Vec<Unknown>,
    /// What `provider "google"` says for resources that do not.
    pub provider: Provider,
}

/// An attribute whose value cannot be known from what was read.
#[derive(Debug, Clone)]
pub(super) struct Unknown {
    /// `nat_ips`, `template[0].vpc_access[0].connector`.
    pub path: String,
    pub place: Place,
    /// A fragment: `known only after apply`, `var.region has no value`, `the function file() is not evaluated`.
    pub why: String,
}

/// Defaults of a provider.
#[derive(Debug, Clone, Default)]
pub(super) struct Provider {
    pub project: Option<String>,
    pub region: Option<String>,
    pub zone: Option<String>,
}

impl Provider {
    /// Its region, or that of its zone.
    pub fn region(&self) -> Option<&str> {
        let of_zone = || Some(self.zone.as_deref()?.rsplit_once('-')?.0);
        self.region.as_deref().or_else(of_zone)
    }
}

/// Terraform configuration by folder: the files of one are one module.
#[derive(Debug, Default)]
pub(super) struct Modules {
    files: Vec<(Option<PathBuf>, FileId, Format)>,
}

impl Modules {
    /// Adds a file of configuration or of variables.
    pub fn add(&mut self, file: FileId, format: Format, path: Option<&Path>) {
        let folder = path.and_then(Path::parent).map(Path::to_owned);
        self.files.push((folder, file, format));
    }
}

/// Which of Terraform's formats a document has.
pub(super) fn claims(node: &Node) -> Option<Format> {
    json::claims(node)
}

/// Reads a plan or a state.
pub(super) fn read(import: &mut Import, format: Format, node: Node) {
    let blocks = json::blocks(import, format, node);
    resources::read(import, blocks);
}

/// Evaluates configuration.
pub(super) fn evaluate(import: &mut Import, modules: Modules) {
    let blocks = hcl::blocks(import, modules);
    resources::read(import, blocks);
}
