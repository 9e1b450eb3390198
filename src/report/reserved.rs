//! `addresses.json`: what `gcloud compute addresses list --format=json` shows of the blocks that Direct VPC egress holds.
//!
//! Google documents the purpose `SERVERLESS` ("a regional internal IP address range reserved for Serverless") with its
//! `prefixLength`; the names are seen, not documented.

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::identity::{PROJECT, resource_number};

const COMPUTE: &str = "https://www.googleapis.com/compute/v1/projects";

/// One reserved block.
#[derive(Debug, Clone, Copy)]
pub struct ReservedBlock<'a> {
    /// The block.
    pub range: Ipv4Net,
    /// Region of its subnet.
    pub region: &'a str,
    /// Its subnet.
    pub subnetwork: &'a str,
}

/// The list, in the order given.
pub fn addresses<'a>(blocks: impl IntoIterator<Item = ReservedBlock<'a>>) -> Value {
    let item = |block: ReservedBlock<'a>| {
        let ReservedBlock { range, region, subnetwork } = block;
        let number = resource_number(&[PROJECT, region, "addresses", &range.to_string()]);
        let name = format!("serverless-ipv4-{number}");
        let home = format!("{COMPUTE}/{PROJECT}/regions/{region}");
        json!({
            "kind": "compute#address",
            "name": name,
            "address": range.network().to_string(),
            "prefixLength": range.prefix_len(),
            "addressType": "INTERNAL",
            "purpose": "SERVERLESS",
            "status": "RESERVED",
            "region": home,
            "subnetwork": format!("{home}/subnetworks/{subnetwork}"),
            "selfLink": format!("{home}/addresses/{name}"),
        })
    };
    blocks.into_iter().map(item).collect()
}
